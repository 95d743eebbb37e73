"""One thread for torch: more of them fight over a machine that other tests keep busy."""

from __future__ import annotations

from importlib.util import find_spec

import pytest


@pytest.fixture(autouse=True)
def _calm():
    if find_spec("torch") is not None:
        import torch

        torch.set_num_threads(1)
