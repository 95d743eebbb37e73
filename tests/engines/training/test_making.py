"""The whole way from events to a sealed bundle: what was kept from an earlier run leaves no trace in it."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from engines.training import dataset  # noqa: E402
from engines.training.making import make  # noqa: E402
from engines.training.recipe import parse  # noqa: E402
from engines.training.work import Work  # noqa: E402
from tests.labelled import texts, write  # noqa: E402

pytestmark = pytest.mark.train


def test_a_run_that_finds_all_stages_done_seals_the_very_same_bundle(tmp_path: Path):
    recipe = parse({"name": "mine", "text": {"tower": "bag", "epochs": 1}, "head": {"epochs": 1}})
    data = dataset.load(write(tmp_path / "events.jsonl", texts(200)))
    work = Work(tmp_path / "work")
    first, second = (make(data, recipe, tmp_path / name, work, threads=1) for name in ("one", "two"))
    assert second.digest == first.digest
    assert "minutes" not in (second.folder / "MODEL_CARD.md").read_text()
