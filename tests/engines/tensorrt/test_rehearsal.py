"""Warming up runs every profile that plans have, and holds its answers against fp32 on the processor."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engines import golden
from engines.batch import MODALITIES, Float32
from engines.bundle import Bundle
from engines.engine import EngineChoice, FusedEngine
from engines.errors import EngineError
from engines.planner import Budget
from engines.rehearsal import rehearsals
from engines.sessions.base import Arrays
from engines.tensorrt.buckets import Bucket, buckets_of, pieces
from engines.tensorrt.signature import Signature
from engines.tensorrt.staging import measured
from engines.towers import Towers
from service.assembly import GPU
from tests.standin import Gpu, Machine, machine, running
from tests.tiny_bundle import seal

SMALL = Budget(tokens=2048, image_rows=16, audio_seconds=4.0, head_rows=64)
COMPUTE = running._Run._compute
Ran = tuple[int, str, str]
"""A GPU, a graph, and the largest shapes of a profile."""


@pytest.fixture(autouse=True)
def own_cache(cache: Path) -> None:
    """Plans are kept where no other test looks."""


class Spy:
    """How often each profile ran; in the one that is `wrong` every number becomes `value`."""

    def __init__(self) -> None:
        self.ran: Counter[Ran] = Counter()
        self.wrong: Ran | None = None
        self.value = 0.0

    def compute(self, run: running._Run) -> None:
        highest = {name: shapes[2] for name, shapes in run.engine._profiles[run.profile].items()}
        device = machine.pieces[run.memory[0]].device
        place = device, run.engine._graph.digest, repr(sorted(highest.items()))
        self.ran[place] += 1
        COMPUTE(run)
        if place == self.wrong:
            rows = next(iter(run.shapes.values()))[0]
            for side in run.engine._graph.outputs:
                made = run._array(side.name, (rows, *side.dims[1:]), side.numpy)
                assert made is not None
                made[...] = self.value


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    found = Spy()
    monkeypatch.setattr(running._Run, "_compute", lambda run: found.compute(run))
    return found


def opened(bundle: Bundle, devices: tuple[int, ...] = (0,)) -> FusedEngine:
    choice = EngineChoice("tensorrt", "fp32")
    return FusedEngine(bundle, choice, threads=1, budget=SMALL, devices=devices)


def planned(engine: FusedEngine) -> int:
    """How many profiles the plans have that an engine opened, on all GPUs."""
    loaded = [each for timed in engine._sessions for each in timed._session._loaded]
    return sum(len(stored.key.profiles) for each in loaded for stored in each.plans.stored)


@pytest.mark.parametrize("version", ["10.6.0", "10.15.1.29"])
def test_every_profile_that_is_planned_runs_before_users_come(
    gpu: Machine, bundle: Bundle, spy: Spy, version: str
):
    gpu.tensorrt = version
    engine = opened(bundle)
    engine.infer(engine._typical(1, 1))
    engine.infer(engine._typical(32, 2))
    engine.golden_error()
    assert len(spy.ran) < planned(engine), "what else is run before does not do"
    engine.warm_up()
    assert len(spy.ran) == planned(engine)
    assert len(gpu.built) == (4 if version == "10.15.1.29" else planned(engine))
    engine.close()


def test_an_engine_that_is_asked_again_whether_it_is_sound_rehearses_no_more(
    gpu: Machine, bundle: Bundle, spy: Spy
):
    engine = opened(bundle)
    engine.warm_up()
    first = spy.ran.total()
    spy.ran.clear()
    engine.warm_up()
    assert spy.ran.total() < first / 2
    assert len(spy.ran) < planned(engine)
    engine.close()


def test_of_several_gpus_each_runs_all_of_them(gpu: Machine, bundle: Bundle, spy: Spy):
    gpu.gpus = [Gpu(), Gpu(uuid=bytes(16))]
    engine = opened(bundle, (0, 1))
    engine.warm_up()
    assert len(spy.ran) == planned(engine)
    engine.close()


@pytest.mark.parametrize(
    ("value", "told"), [(9.0, "a logit is off by .* in the text tower's profile of "), (np.nan, "no number")]
)
def test_a_profile_that_is_off_is_a_golden_check_that_failed(
    gpu: Machine, bundle: Bundle, spy: Spy, value: float, told: str
):
    engine = opened(bundle)
    engine.infer(engine._typical(1, 1))
    engine.infer(engine._typical(32, 2))
    engine.golden_error()
    reached = set(spy.ran)
    engine.warm_up()
    engine.close()
    spy.wrong, spy.value = next(place for place in spy.ran if place not in reached), value
    again = opened(bundle)
    with pytest.raises(EngineError, match=f"golden answers.*{told}.*engine.precision to fp32"):
        again.warm_up()
    again.close()


def test_without_golden_vectors_they_are_run_all_the_same(gpu: Machine, folder: Path, spy: Spy):
    (folder / "golden.safetensors").unlink()
    engine = opened(seal(folder))
    engine.warm_up()
    assert len(spy.ran) == planned(engine)
    engine.close()


class Planned:
    """A session that only notes in which buckets rows would run."""

    def __init__(self, signature: Signature, buckets: tuple[Bucket, ...], tokens: tuple[int, int]) -> None:
        self._signature, self._buckets, self._tokens = signature, buckets, tokens
        self.ran: list[Bucket] = []

    def run(self, inputs: Arrays) -> dict[str, Float32]:
        rows, axes = measured(self._signature, inputs, "")
        self.ran += [piece.bucket for piece in pieces(self._buckets, rows, axes)]
        return {"tokens": np.zeros((rows, *self._tokens), np.float32)}

    def close(self) -> None:
        pass


@pytest.mark.parametrize("budget", [GPU, SMALL])
@pytest.mark.parametrize("source", ["starter", "edge"])
def test_a_rehearsal_is_run_in_the_very_bucket_that_it_is_for(source: str, budget: Budget):
    bundle = Bundle.load(source)
    spec, budget = bundle.preprocess, replace(budget, rate=bundle.preprocess.audio.rate)
    shapes = [(count, bundle.width) for count in bundle.tokens]
    sessions, buckets = [], {}
    for tower, shape in zip(MODALITIES, shapes, strict=True):
        signature = Signature.of(bundle.read(bundle.graph_name(tower)))
        buckets[tower] = buckets_of(tower, signature, spec, budget)
        sessions.append(Planned(signature, buckets[tower], shape))
    towers = Towers(sessions, shapes, budget, channels=spec.text.channels, planned=spec.text.planned)
    assert bundle.golden is not None
    found = rehearsals(bundle, buckets, golden.examples_of(bundle.golden, spec.text.channels))
    for own in found:
        towers.run(own.batch)
    for tower, session in zip(MODALITIES, sessions, strict=True):
        assert session.ran == [own.bucket for own in found if own.tower == tower]
        assert {bucket.axes for bucket in session.ran} == {bucket.axes for bucket in buckets[tower]}
