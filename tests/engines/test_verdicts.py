"""A verdict is of the very plans that were judged: others are verified anew, whatever it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engines import ladder as ladders
from engines.bundle import Bundle
from engines.engine import FusedEngine
from engines.ladder import Ladder, Wanted
from engines.planner import Budget
from engines.sessions.choose import EngineChoice
from engines.tensorrt.store import PlanStore
from engines.verdicts import Verdicts, forget
from engines.verify import Unverified, Verdict
from tests.standin import Machine, installed

WANTED = Wanted("tensorrt", "fp32", 1, gpu=Budget(tokens=64, image_rows=4, audio_seconds=1.0, head_rows=16))
GOOD = Verdict(10, 2000, 1, 0.1, nan=False)
BAD = Verdict(10, 2000, 99, 0.1, nan=False)


@pytest.fixture
def gpu(cache: Path) -> Iterator[Machine]:
    with installed() as machine:
        yield machine


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[Verdict]:
    """Grows with each engine that is verified."""
    return judging(monkeypatch, GOOD)


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> list[Verdict]:
    """The same where each is found to decide otherwise."""
    return judging(monkeypatch, BAD)


def judging(monkeypatch: pytest.MonkeyPatch, verdict: Verdict) -> list[Verdict]:
    found: list[Verdict] = []

    def verify(*given: object) -> Verdict:
        found.append(verdict)
        return verdict

    monkeypatch.setattr(ladders, "verify", verify)
    return found


def served(bundle: Bundle, wanted: Wanted = WANTED) -> str:
    engine = Ladder(bundle, wanted).open()
    engine.close()
    return engine.info.why


def try_to_serve(bundle: Bundle, wanted: Wanted = WANTED) -> None:
    with pytest.raises(Unverified, match="99 of 2000 decisions differ"):
        served(bundle, wanted)


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("anew", [False, True])
def test_what_is_kept_is_of_the_plans_it_was_found_on(anew: bool):
    verdicts = Verdicts()
    verdicts.keep("facts", GOOD, ("a", "b"))
    found = Verdicts() if anew else verdicts
    assert found.recall("facts") == found.recall("facts", ("a", "b")) == GOOD
    assert found.recall("facts", ("a", "c")) is None
    assert found.recall("facts", ()) is None
    assert found.recall("other") is None


def test_one_of_before_plans_were_told_apart_is_of_none(cache: Path):
    folder = cache / "tidegate" / "verdicts"
    folder.mkdir(parents=True)
    (folder / "facts.json").write_text(json.dumps(GOOD.to_dict()))
    assert Verdicts().recall("facts") == Verdicts().recall("facts", ()) == GOOD
    assert Verdicts().recall("facts", ("a",)) is None


def test_an_engine_names_its_plans_and_one_without_names_none(bundle: Bundle, gpu: Machine):
    engine = Ladder(bundle, WANTED).open()
    assert len(engine.plans) == len(gpu.built) >= 4
    assert list(engine.plans) == sorted(set(engine.plans))
    engine.close()
    host = FusedEngine(bundle, EngineChoice("onnxruntime", "fp32"), threads=1)
    assert host.plans == ()
    host.close()


def test_the_same_plans_are_not_verified_again(bundle: Bundle, gpu: Machine, judged: list[Verdict]):
    assert served(bundle) == served(bundle)
    assert len(judged) == 1


def test_plans_that_were_built_anew_are_verified_anew(bundle: Bundle, gpu: Machine, judged: list[Verdict]):
    served(bundle)
    PlanStore().prune(everything=True)
    served(bundle)
    served(bundle)
    assert len(judged) == 2


def test_one_plan_that_was_spoiled_is_enough(bundle: Bundle, gpu: Machine, judged: list[Verdict]):
    served(bundle)
    next(PlanStore().folder.glob("*.plan")).write_bytes(b"spoiled")
    served(bundle)
    assert len(judged) == 2


def test_what_was_refused_is_refused_unopened_as_long_as_its_plans_are_there(
    bundle: Bundle, gpu: Machine, refused: list[Verdict]
):
    try_to_serve(bundle)
    built = len(gpu.built)
    gpu.calls.clear()
    try_to_serve(bundle)
    assert (len(refused), len(gpu.built)) == (1, built)
    assert not gpu.calls["cudaMalloc"]


@pytest.mark.parametrize("spoil", [False, True])
def test_once_they_are_gone_it_is_tried_again_and_only_once(
    bundle: Bundle, gpu: Machine, refused: list[Verdict], spoil: bool
):
    try_to_serve(bundle)
    built = len(gpu.built)
    if spoil:
        next(PlanStore().folder.glob("*.plan")).write_bytes(b"spoiled")
    else:
        PlanStore().prune(everything=True)
    try_to_serve(bundle)
    again = len(gpu.built)
    assert (len(refused), again - built) == (2, 1 if spoil else built)
    try_to_serve(bundle)
    assert (len(refused), len(gpu.built)) == (2, again)


def test_where_no_plan_can_be_kept_no_start_builds_in_vain(
    bundle: Bundle, gpu: Machine, refused: list[Verdict]
):
    wanted = replace(WANTED, plans=Path("/proc/none/plans"))
    try_to_serve(bundle, wanted)
    built = len(gpu.built)
    try_to_serve(bundle, wanted)
    assert (len(refused), len(gpu.built)) == (1, built)


def test_a_ladder_that_judges_anew_asks_no_verdict_and_replaces_it(
    bundle: Bundle, gpu: Machine, monkeypatch: pytest.MonkeyPatch
):
    judging(monkeypatch, BAD)
    try_to_serve(bundle)
    built = len(gpu.built)
    again = judging(monkeypatch, GOOD)
    for _ in range(2):
        assert "1 of 2000" in served(bundle, replace(WANTED, anew=True))
    assert len(again) == 2
    served(bundle)
    assert (len(again), len(gpu.built)) == (2, built)


@pytest.mark.usefixtures("cache")
def test_one_that_refuses_names_its_plans():
    verdicts = Verdicts()
    verdicts.keep("facts", BAD, ("a", "b"))
    assert verdicts.refusal("facts", "fp16", lambda: ("a", "b", "c")) == BAD
    assert verdicts.refusal("facts", "fp16", lambda: ("a", "c")) is None
    assert verdicts.refusal("other", "fp16", lambda: ("a", "b")) is None
    verdicts.keep("facts", BAD)
    assert Verdicts().refusal("facts", "fp16", lambda: ()) == BAD
    few = replace(GOOD, decisions=200, flipped=0)
    verdicts.keep("facts", few)
    assert verdicts.refusal("facts", "fp16", lambda: ()) is None
    assert verdicts.refusal("facts", "fp8", lambda: ()) == few


@pytest.mark.usefixtures("cache")
def test_what_another_process_found_since_is_heard():
    mine, theirs = Verdicts(), Verdicts()
    mine.keep("facts", BAD, ("a",))
    theirs.keep("facts", GOOD, ("a",))
    assert mine.recall("facts", ("a",)) == GOOD


def test_forgetting_drops_verdicts_and_keeps_what_the_reference_said(cache: Path):
    Verdicts().keep("facts", BAD)
    said = cache / "tidegate" / "verdicts" / "said.safetensors"
    said.touch()
    forget()
    assert Verdicts().recall("facts") is None
    assert said.exists()
