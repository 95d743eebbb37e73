"""Towers one after the other, or side by side: the same tokens, and no run without rows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from engines.batch import Batch, Example
from engines.bundle import Bundle
from engines.engine import EngineChoice, FusedEngine
from engines.errors import DeviceLost, EngineError, OutOfMemory
from engines.lanes import Lanes, gpu_lanes
from engines.planner import Budget
from engines.sessions.base import Arrays
from engines.sessions.choose import BACKENDS
from engines.towers import Towers
from tests.tiny_bundle import TOKENS, WIDTH, examples, image, sound

SHAPES = [(count, WIDTH) for count in TOKENS.values()]
SMALL = Budget(tokens=32, image_rows=2, audio_seconds=0.6)


class Counted:
    """A session that answers with the sums of its rows, and counts; `meet` is called in every run."""

    def __init__(self, tower: str, meet: Callable[[], object] = lambda: None) -> None:
        self._tokens, self._meet = TOKENS[tower], meet
        self.rows: list[int] = []

    def run(self, inputs: Arrays) -> dict[str, np.ndarray]:
        self._meet()
        rows = next(iter(inputs.values()))
        self.rows.append(len(rows))
        sums = rows.reshape(len(rows), -1).astype(np.float32).sum(axis=1)
        return {"tokens": np.broadcast_to(sums[:, None, None], (len(rows), self._tokens, WIDTH)).copy()}

    def close(self) -> None:
        pass


def sessions(meet: Callable[[], object] = lambda: None) -> list[Counted]:
    return [Counted(tower, meet) for tower in TOKENS]


@pytest.mark.parametrize("lanes", [1, 2, gpu_lanes(2)])
def test_side_by_side_gives_the_tokens_of_one_after_the_other(lanes: int):
    batch = Batch.of(examples(60))
    pool = Lanes(lanes)
    first = Towers(sessions(), SHAPES, SMALL).run(batch)
    other = Towers(sessions(), SHAPES, SMALL, pool, side_by_side=True).run(batch)
    pool.close()
    for one, two in zip(first, other, strict=True):
        np.testing.assert_array_equal(one, two)


def test_side_by_side_all_towers_compute_at_the_same_time():
    random = np.random.default_rng(0)
    event = Example((np.arange(1, 9, dtype=np.int32),), [image(random)], [sound(random)])
    pool, together = Lanes(gpu_lanes(1)), threading.Barrier(3)
    Towers(sessions(lambda: together.wait(10)), SHAPES, SMALL, pool, side_by_side=True).run(Batch.of([event]))
    pool.close()
    assert not together.broken


def test_no_tower_waits_for_anothers_last_micro_batch():
    texts = [Example((np.arange(1, 30, dtype=np.int32),)) for _ in range(20)]
    random = np.random.default_rng(0)
    order: list[str] = []
    towers = [
        Counted(tower, lambda tower=tower: order.append(tower)) for tower in TOKENS
    ]  # on one lane, so that the order is that of the jobs
    batch = Batch.of([*texts, Example(None, [image(random)], [sound(random)])])
    Towers(towers, SHAPES, SMALL, side_by_side=True).run(batch)
    assert order[:3] == ["audio", "image", "text"]
    assert order[3:] == ["text"] * 19


@pytest.mark.parametrize("side_by_side", [False, True])
@pytest.mark.parametrize("presence", range(8))
def test_a_tower_without_rows_is_not_run(presence: int, side_by_side: bool):
    mixed = [example for example in examples(14) if example.presence == presence]
    found = sessions()
    tokens = Towers(found, SHAPES, SMALL, side_by_side=side_by_side).run(Batch.of(mixed))
    for k, session in enumerate(found):
        assert bool(session.rows) == bool(presence >> k & 1)
        assert sum(session.rows) == len(tokens[k])


def test_an_engine_on_a_gpu_runs_its_towers_side_by_side(bundle: Bundle, monkeypatch: pytest.MonkeyPatch):
    gpu = replace(BACKENDS["onnxruntime"], on_gpu=lambda: True, describe=lambda: "a GPU")
    monkeypatch.setitem(BACKENDS, "gpu", gpu)
    batch = Batch.of(examples(40))
    reference = FusedEngine(bundle, EngineChoice("onnxruntime", "fp32"), threads=1, budget=SMALL)
    engine = FusedEngine(bundle, EngineChoice("gpu", "fp32"), threads=1, budget=SMALL)
    np.testing.assert_allclose(engine.infer(batch).moderation, reference.infer(batch).moderation, atol=1e-6)
    assert engine.info.backend == "a GPU"
    assert engine.memory == {}
    engine.close()
    reference.close()


def test_an_error_names_the_events_of_its_micro_batch():
    def fail() -> None:
        raise EngineError("no")

    towers = [Counted("text"), Counted("image", fail), Counted("audio")]
    pool = Lanes(4)
    with pytest.raises(EngineError, match="no") as caught:
        Towers(towers, SHAPES, SMALL, pool, side_by_side=True).run(Batch.of(examples(7)))
    pool.close()
    assert set(caught.value.events) <= {1, 2, 5, 6}


@pytest.mark.parametrize("kind", [OutOfMemory, DeviceLost])
def test_trouble_of_a_gpu_stays_what_it_is_and_blames_no_event(kind: type[EngineError]):
    def fail() -> None:
        raise kind("gone")

    with pytest.raises(kind) as caught:
        Towers(sessions(fail), SHAPES, SMALL).run(Batch.of(examples(7)))
    assert caught.value.events == ()
