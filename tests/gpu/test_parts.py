"""Every part of `make gpu-check` that the stand-in can run is run here, on a tiny bundle: what it tells."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engines.batch import Batch
from engines.bundle import GRAPHS, Bundle
from engines.engine import EngineChoice, FusedEngine
from engines.golden import write_golden
from engines.sessions.base import Arrays
from engines.sessions.tensorrt import opened
from engines.tensorrt.buckets import buckets_of
from engines.tensorrt.signature import Signature
from tests import tiny_bundle
from tests.gpu import failures, graphs, soak, speed, starter
from tests.gpu.answers import checked, numberless
from tests.gpu.ground import Ground
from tests.gpu.results import Check
from tests.standin import Machine, installed

FIELDS = ("sentiment", "moderation", "unimodal")


@pytest.fixture(scope="module")
def deciding(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle, with events enough to judge decisions by."""
    folder = tmp_path_factory.mktemp("deciding") / "tiny"
    shutil.copytree(tiny, folder)
    events = tiny_bundle.examples(420)
    engine = FusedEngine(Bundle.load(folder), EngineChoice("onnxruntime", "fp32"), threads=1)
    answer = engine.logits(Batch.of(events))[1]
    engine.close()
    write_golden(folder / "golden.safetensors", events, {name: getattr(answer, name) for name in FIELDS})
    tiny_bundle.seal(folder)
    return folder


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with installed() as found:
        yield found


@pytest.fixture
def ground(
    tmp_path: Path, told: list[Check], machine: Machine, deciding: Path, monkeypatch: pytest.MonkeyPatch
) -> Ground:
    """A rehearsal, in which the bundles that ship and those that are measured are the tiny one."""
    monkeypatch.setattr(Ground, "shipped", lambda _: (str(deciding),))
    monkeypatch.setattr(speed, "bundle_of", lambda *_: Bundle.load(deciding))
    return Ground(cuda=False, small=True, work=tmp_path / "work", tell=told.append)


def verdict(told: list[Check], words: str) -> str:
    found = {one.verdict for one in told if words in one.check}
    assert len(found) == 1, [one.check for one in told]
    return found.pop()


def test_the_starter_is_opened_run_and_decides(ground: Ground, told: list[Check], machine: Machine):
    starter.measure(ground, "fp32")
    starter.decide(ground, ("fp32",))
    assert verdict(told, "build, load, verify, run") == "pass"
    assert verdict(told, "flipped decisions") == "pass"
    assert machine.faults == []


def test_what_was_built_by_a_part_of_its_own_is_only_loaded_by_those_that_measure(
    ground: Ground, told: list[Check], machine: Machine
):
    starter.build(ground, ground.shipped()[0], GRAPHS, "fp32")
    assert [one.verdict for one in told] == ["pass"]
    built = len(machine.built)
    starter.measure(ground, "fp32")
    starter.decide(ground, ("fp32",))
    assert len(machine.built) == built == len(GRAPHS)


def test_a_model_is_built_by_a_part_of_its_own(ground: Ground, told: list[Check], machine: Machine):
    speed.build(ground, "bert", "fp32")
    assert [(one.check, one.verdict) for one in told] == [("bert fp32: plans", "pass")]
    terms = ground.terms()
    opened(Bundle.load(ground.shipped()[0]), "text", "fp32", terms, store=ground.store).close()
    assert len(machine.built) == 1


def test_one_answer_that_is_no_number_fails_the_starter(deciding: Path):
    engine = FusedEngine(Bundle.load(deciding), EngineChoice("onnxruntime", "fp32"), uncalibrated="warn")
    want = engine.infer(starter.mixed(Bundle.load(deciding), 7))
    engine.close()
    assert numberless(want, want) == []
    spoilt = np.array(want.moderation)
    spoilt[-1, np.isfinite(spoilt[-1]).argmax()] = np.nan
    assert numberless(replace(want, moderation=spoilt), want) == ["moderation"]
    made_up = np.zeros_like(want.severity)
    assert numberless(replace(want, severity=made_up), want) == ["severity"]


def test_decisions_that_differ_fail(ground: Ground, told: list[Check], machine: Machine):
    machine.noise["fp32"] = 0.5
    starter.decide(ground, ("fp32",))
    assert verdict(told, "flipped decisions") == "fail"


@pytest.mark.train
def test_torch_as_the_engine_is_opened_warmed_up_and_decides_as_the_reference(
    ground: Ground, told: list[Check]
):
    pytest.importorskip("torch")
    starter.on_torch(ground, "fp32")
    assert verdict(told, "fp32 on torch: build, load, verify, run") == "pass"
    assert verdict(told, "fp32 on torch: flipped decisions") == "pass"


def test_a_model_is_measured_verified_and_compared(
    ground: Ground, told: list[Check], machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "torch", None)
    speed.measure(ground, "bert", "fp32")
    for words in ("build, load, run", "golden logit", "are finite", "any bucket beside fp32"):
        assert verdict(told, words) == "pass"
    bars = {one.check: (one.bar, one.verdict) for one in told}
    assert bars["bert fp32: of the serial roofline"] == ("≥ 0.8", "noted"), "a rehearsal's speed is no figure"
    (peer,) = [one for one in told if "against ONNX Runtime" in one.check]
    assert peer.bar == "> 1"
    assert "copies included" in peer.reason
    assert machine.faults == []


def test_a_model_without_graphs_of_a_precision_keeps_the_rows_of_its_bars(
    ground: Ground, told: list[Check], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Ground, "at", lambda *_: None)
    speed.measure(ground, "bert", "fp16")
    graphs.measure(ground, "fp16")
    assert [(one.bar, one.verdict) for one in told] == [
        ("≥ 0.8", "not measured"), ("> 1", "not measured"), ("≥ 2×", "not measured"),
    ]  # fmt: skip
    assert all("no graphs" in one.reason for one in told)


def test_8_bits_have_a_roofline_and_no_bar(
    ground: Ground, told: list[Check], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Ground, "at", lambda *_: None)
    speed.measure(ground, "bert", "fp8")
    assert told[0].check == "bert fp8: of the serial roofline"
    assert told[0].bar == ""


class Spoilt:
    """A session whose answers for one count of rows are not what they were."""

    def __init__(self, session, rows: int, value: float) -> None:
        self.session, self.rows, self.value = session, rows, value

    def run(self, inputs: Arrays):
        found = self.session.run(inputs)
        if len(inputs["ids"]) == self.rows:
            found = {name: np.array(each) for name, each in found.items()}
            found["tokens"].flat[-1 if np.isnan(self.value) else 0] = self.value
        return found

    def close(self) -> None:
        self.session.close()


@pytest.mark.parametrize(
    ("value", "verdicts"),
    [(float("nan"), ["fail", "pass"]), (1e3, ["pass", "fail"])],
)
def test_one_bucket_that_computes_wrongly_fails_the_speed_part(
    ground: Ground, told: list[Check], deciding: Path, value: float, verdicts: list[str]
):
    bundle = Bundle.load(deciding)
    buckets = buckets_of(
        "text", Signature.of(bundle.read("text.onnx")), bundle.preprocess, ground.budget
    )  # fmt: skip
    rows = max(bucket.rows for bucket in buckets)
    session = Spoilt(opened(bundle, "text", "fp32", ground.terms(), store=ground.store), rows, value)
    checked(ground, session, bundle, "text", buckets, "fp32", "x")
    session.close()
    assert [one.verdict for one in told] == verdicts
    assert str(rows) in " ".join(one.reason for one in told if one.verdict == "fail")


def test_graphs_on_and_off_are_measured_at_one_row(ground: Ground, told: list[Check], machine: Machine):
    graphs.measure(ground, "fp32")
    assert {(one.bar, one.verdict) for one in told} == {("≥ 2×", "noted")}
    assert all("ms on" in one.reason for one in told)
    assert machine.faults == []


def test_a_soak_ends_without_an_error_and_says_what_grew(ground: Ground, told: list[Check], machine: Machine):
    soak.measure(ground, "fp32", 1)
    assert verdict(told, "no error") == "pass"
    for memory in ("device", "host"):
        (one,) = [one for one in told if f"growth of {memory} memory" in one.check]
        assert (one.bar, one.verdict) == ("≤ 16.0", "noted"), "seconds settle nothing"
        assert "MiB at last" in one.reason
    assert machine.faults == []


def test_an_error_in_a_soak_fails_it(ground: Ground, told: list[Check], machine: Machine):
    machine.nan = frozenset({"fp32"})
    soak.measure(ground, "fp32", 1)
    assert [one.verdict for one in told] == ["fail"]


def test_failures_are_what_the_checks_say_and_want_of_memory_is_met_while_loading(
    ground: Ground, told: list[Check], machine: Machine
):
    failures.measure(ground)
    assert {one.check: one.verdict for one in told if one.verdict != "pass"} == {}
    short = [one.reason for one in told if "out of memory is said" in one.check]
    assert ["80%" in reason for reason in short] == [True, False], (
        "the engine's own share, then the card's end"
    )
    assert len(machine.built) == 3, "the first, that of the spoilt one, that of the signed rubbish"
    assert not [address for address in machine.pieces if address < 0]


def test_what_a_rehearsal_measures_neither_passes_nor_fails(told: list[Check], tmp_path: Path):
    slow = Check("speed", "0.5", "≥ 0.8", "fail")
    for small in (True, False):
        Ground(cuda=False, small=small, work=tmp_path, tell=told.append).measured(slow)
    assert [one.verdict for one in told] == ["noted", "fail"]
