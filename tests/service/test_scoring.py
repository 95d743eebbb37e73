"""Whose fault it is when the model cannot answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from engines.batch import Batch, Outputs
from engines.engine import FusedEngine, open_engine
from engines.errors import EngineError
from service.scoring import infer_isolated
from tests import tiny_bundle


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FusedEngine]:
    folder: Path = tiny_bundle.build(tmp_path_factory.mktemp("bundle"))
    opened = open_engine(folder, backend="onnxruntime", precision="fp32", threads=1)
    yield opened
    opened.close()


class Troubled:
    """A real engine that fails when told to."""

    def __init__(self, engine: FusedEngine, fails: Callable[[Batch], bool], broken: bool = False) -> None:
        self._engine, self._fails, self._broken = engine, fails, broken

    def infer(self, batch: Batch) -> Outputs:
        if self._fails(batch):
            raise EngineError("the device stumbled")
        return self._engine.infer(batch)

    def warm_up(self) -> None:
        if self._broken:
            raise EngineError("the device is gone")
        self._engine.warm_up()


def poisoned(batch: Batch) -> bool:
    return any(len(ids) == 13 for (ids,) in batch.text)


def test_the_one_event_it_cannot_bear_is_named_and_the_others_are_answered(engine):
    examples = [e for e in tiny_bundle.examples(9) if e.text is None or len(e.text[0]) != 13]
    bad = tiny_bundle.examples(1)[0]
    bad.text = (np.full(13, 5, dtype=np.int32),)
    outputs, blamed = infer_isolated(Troubled(engine, poisoned), [*examples[:4], bad, *examples[4:]])
    assert list(blamed) == [4]
    np.testing.assert_allclose(outputs.moderation, engine.infer(Batch.of(examples)).moderation, atol=1e-5)


def test_a_fault_that_passes_blames_nobody(engine):
    failures = iter([True])
    outputs, blamed = infer_isolated(
        Troubled(engine, lambda batch: next(failures, False)), tiny_bundle.examples(1)
    )
    assert blamed == {}
    assert len(outputs.sentiment) == 1


def test_an_engine_that_fails_on_everything_is_the_engines_trouble(engine):
    with pytest.raises(EngineError, match="gone"):
        infer_isolated(Troubled(engine, lambda batch: True, broken=True), tiny_bundle.examples(4))
