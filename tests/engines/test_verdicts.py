"""A verdict that refuses is of all plans; one that lets serve is of the very plans that were judged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines import ladder as ladders
from engines.bundle import Bundle
from engines.engine import FusedEngine
from engines.ladder import Ladder, Wanted
from engines.planner import Budget
from engines.sessions.choose import EngineChoice
from engines.tensorrt.store import PlanStore
from engines.verdicts import Verdicts
from engines.verify import Verdict
from tests.standin import Machine, installed

WANTED = Wanted("tensorrt", "fp32", 1, gpu=Budget(tokens=64, image_rows=4, audio_seconds=1.0, head_rows=16))
GOOD = Verdict(10, 2000, 1, 0.1, nan=False)


@pytest.fixture
def gpu(cache: Path) -> Iterator[Machine]:
    with installed() as machine:
        yield machine


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with each engine that is verified."""
    found: list[int] = []

    def verify(*given: object) -> Verdict:
        found.append(1)
        return GOOD

    monkeypatch.setattr(ladders, "verify", verify)
    return found


def served(bundle: Bundle) -> str:
    engine = Ladder(bundle, WANTED).open()
    engine.close()
    return engine.info.why


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


def test_the_same_plans_are_not_verified_again(bundle: Bundle, gpu: Machine, judged: list[int]):
    assert served(bundle) == served(bundle)
    assert len(judged) == 1


def test_plans_that_were_built_anew_are_verified_anew(bundle: Bundle, gpu: Machine, judged: list[int]):
    served(bundle)
    PlanStore().prune(everything=True)
    served(bundle)
    served(bundle)
    assert len(judged) == 2


def test_one_plan_that_was_spoiled_is_enough(bundle: Bundle, gpu: Machine, judged: list[int]):
    served(bundle)
    next(PlanStore().folder.glob("*.plan")).write_bytes(b"spoiled")
    served(bundle)
    assert len(judged) == 2
