"""Graphs at another precision are refused where they answer otherwise, with the next better one."""

from __future__ import annotations

import pytest

from engines.bundle import Bundle
from engines.errors import EngineError
from engines.training import casting


@pytest.mark.parametrize(("precision", "better"), [("bf16", "--precision fp16"), ("fp16", "fp32")])
def test_a_precision_that_is_too_coarse_names_the_next_better_one(precision, better, tiny, monkeypatch):
    monkeypatch.setattr(casting, "golden_error", lambda _bundle, _graphs: 0.5)
    with pytest.raises(EngineError, match=r"off by 0\.5") as caught:
        casting._error(Bundle.load(tiny), precision, {})
    assert better in caught.value.remedy
