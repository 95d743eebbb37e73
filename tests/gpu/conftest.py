"""What the tests of `make gpu-check` share: a rehearsal on a processor, and what it tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gpu.ground import Ground
from tests.gpu.results import Check


@pytest.fixture
def told() -> list[Check]:
    return []


@pytest.fixture
def ground(tmp_path: Path, told: list[Check]) -> Ground:
    return Ground(cuda=False, small=True, work=tmp_path, tell=told.append)
