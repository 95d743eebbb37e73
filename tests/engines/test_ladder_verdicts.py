"""On a GPU the first engine serves that decides as fp32 on the processor does; each refusal is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines import ladder as ladders
from engines.bundle import Bundle
from engines.engine import FusedEngine, open_engine
from engines.ladder import Ladder, Wanted
from engines.planner import Budget
from engines.verify import Unverified
from tests.engines.cards import (
    Card,
    Change,
    breaks,
    by,
    flips,
    opened,
    quantised,
    shifts,
    steps,
)
from tests.tiny_bundle import seal


def test_the_first_that_verifies_serves_with_the_calibration_of_fp32(
    evaluated: Bundle, cards: dict[str, Card]
):
    ladder = Ladder(evaluated, Wanted(threads=1))
    engine = opened(ladder)
    assert (engine.info.engine, engine.info.precision) == ("tensorrt", "fp16")
    assert engine.info.calibrated
    assert engine.thresholds == evaluated.calibration["fp32"].thresholds
    assert "0 of" in engine.info.why
    assert "decisions differ" in engine.info.why
    assert "calibration of fp32" in engine.info.why
    assert ladder.steps == []


def test_a_precision_that_decides_otherwise_is_passed_over_and_told(
    evaluated: Bundle, cards: dict[str, Card]
):
    cards["tensorrt"].heads["fp16"] = flips
    ladder = Ladder(evaluated, Wanted(threads=1))
    engine = opened(ladder)
    assert engine.info.precision == "bf16"
    assert steps(ladder) == [("tensorrt fp16", "unverified")]
    assert "decisions differ" in ladder.steps[0].reason
    assert "before it tensorrt fp16" in engine.info.why


@pytest.mark.parametrize(("change", "code"), [(breaks, "unverified"), (shifts, "failed")])
def test_no_numbers_and_wrong_golden_answers_are_refused(
    evaluated: Bundle, cards: dict[str, Card], change: Change, code: str
):
    cards["tensorrt"].heads["fp16"] = change
    ladder = Ladder(evaluated, Wanted(threads=1))
    assert opened(ladder).info.precision == "bf16"
    assert steps(ladder) == [("tensorrt fp16", code)]


@pytest.mark.parametrize(
    ("change", "code"),
    [(by(0.2), None), (by(20), "failed"), (flips, "unverified"), (breaks, "unverified")],
)
def test_of_8_bits_golden_vectors_catch_nonsense_and_decisions_the_rest(
    evaluated: Bundle, cards: dict[str, Card], change: Change, code: str | None
):
    eight = quantised(evaluated)
    cards["tensorrt"].heads |= {"fp8": change, "fp16": by(0.2)}
    ladder = Ladder(eight, Wanted("tensorrt", threads=1))
    assert opened(ladder).info.precision == ("fp8" if code is None else "bf16")
    told = [("tensorrt fp8", code), ("tensorrt fp16", "failed")]
    assert steps(ladder) == (told if code else [])


def test_8_bits_take_more_decisions_than_golden_vectors_hold(bundle: Bundle, cards: dict[str, Card]):
    ladder = Ladder(quantised(bundle), Wanted("tensorrt", threads=1))
    assert opened(ladder).info.precision == "fp16"
    assert steps(ladder) == [("tensorrt fp8", "unverified")]
    assert "proves little" in ladder.steps[0].reason


def test_a_pinned_pair_that_is_refused_says_why_itself(evaluated: Bundle, cards: dict[str, Card]):
    cards["tensorrt"].heads["fp16"] = flips
    with pytest.raises(Unverified, match="does not decide as the reference"):
        Ladder(evaluated, Wanted("tensorrt", "fp16", 1)).open()


def test_a_verdict_is_kept_across_restarts(
    evaluated: Bundle, cards: dict[str, Card], monkeypatch: pytest.MonkeyPatch
):
    cards["tensorrt"].heads["fp16"] = flips
    first = opened(Ladder(evaluated, Wanted(threads=1)))
    cards["tensorrt"].opened.clear()

    def never(*_: object) -> None:
        raise AssertionError("verified again")

    monkeypatch.setattr(ladders, "verify", never)
    again = Ladder(evaluated, Wanted(threads=1))
    assert opened(again).info == first.info
    assert steps(again) == [("tensorrt fp16", "unverified")]
    assert cards["tensorrt"].opened == ["bf16"]


def test_another_version_is_verified_anew(evaluated: Bundle, cards: dict[str, Card]):
    cards["tensorrt"].heads["fp16"] = flips
    opened(Ladder(evaluated, Wanted(threads=1)))
    cards["tensorrt"].heads.clear()
    cards["tensorrt"].version = "2"
    assert opened(Ladder(evaluated, Wanted(threads=1))).info.precision == "fp16"


def test_another_budget_means_other_plans_which_are_verified_anew(evaluated: Bundle, cards: dict[str, Card]):
    cards["tensorrt"].heads["fp16"] = flips
    opened(Ladder(evaluated, Wanted(threads=1)))
    cards["tensorrt"].heads.clear()
    assert opened(Ladder(evaluated, Wanted(threads=1))).info.precision == "bf16"
    assert opened(Ladder(evaluated, Wanted(threads=1, gpu=Budget(tokens=512)))).info.precision == "fp16"


@pytest.mark.parametrize("junk", [b"", b"{", b"[]", b'{"events": 1}'])
def test_spoiled_keepsakes_are_made_anew(evaluated: Bundle, cards: dict[str, Card], cache: Path, junk: bytes):
    first = opened(Ladder(evaluated, Wanted(threads=1)))
    kept = list((cache / "tidegate" / "verdicts").iterdir())
    assert {path.suffix for path in kept} == {".json", ".safetensors"}
    for path in kept:
        path.write_bytes(junk)
    assert opened(Ladder(evaluated, Wanted(threads=1))).info == first.info


def test_where_nothing_can_be_kept_it_is_still_served(
    evaluated: Bundle, cards: dict[str, Card], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/none")
    assert opened(Ladder(evaluated, Wanted(threads=1))).info.precision == "fp16"


def test_golden_vectors_alone_verify_and_say_that_they_are_few(bundle: Bundle, cards: dict[str, Card]):
    assert "proves little" in opened(Ladder(bundle, Wanted(threads=1))).info.why


def test_a_bundle_that_brings_nothing_to_judge_by_is_served_at_fp32(folder: Path, cards: dict[str, Card]):
    (folder / "golden.safetensors").unlink()
    ladder = Ladder(seal(folder), Wanted("tensorrt", threads=1))
    engine = opened(ladder)
    assert engine.info.precision == "fp32"
    assert "nothing to verify" in engine.info.why
    assert [code for _, code in steps(ladder)] == ["unverified"] * 2


def test_an_engine_that_is_refused_is_closed(
    evaluated: Bundle, cards: dict[str, Card], monkeypatch: pytest.MonkeyPatch
):
    cards["tensorrt"].heads["fp16"] = flips
    closed: list[str] = []
    close = FusedEngine.close

    def closing(engine: FusedEngine) -> None:
        closed.append(engine.info.engine + " " + engine.info.precision)
        close(engine)

    monkeypatch.setattr(FusedEngine, "close", closing)
    engine = Ladder(evaluated, Wanted(threads=1)).open()
    assert closed == ["onnxruntime fp32", "tensorrt fp16"]
    engine.close()


def test_a_gpu_backend_is_verified_wherever_it_is_opened(evaluated: Bundle, cards: dict[str, Card]):
    cards["tensorrt"].heads["fp16"] = flips
    engine = open_engine(evaluated, "tensorrt", threads=1)
    engine.close()
    assert engine.info.precision == "bf16"
