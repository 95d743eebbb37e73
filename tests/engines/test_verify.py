"""Verdicts: every decision counts once, at the threshold where it is taken."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import pytest

from engines.batch import Batch
from engines.bundle import Bundle
from engines.engine import EngineChoice, FusedEngine
from engines.head import NotFinite
from engines.thresholds import Thresholds
from engines.verify import Answers, Verdict, answers, compare, parts, verify
from tests.tiny_bundle import examples

NAMES = ("harassment", "spam/ads")
NONE = float("nan")
SURE = [0.1, 0.2, 0.7]


def said(
    sentiment: list[list[float]],
    moderation: list[list[float]],
    thresholds: Mapping[str, Thresholds] | None = None,
) -> Answers:
    columns = np.array(sentiment, np.float32), np.array(moderation, np.float32)
    return Answers(*columns, NAMES, thresholds or {})


@pytest.fixture
def engine(bundle: Bundle):
    found = FusedEngine(bundle, EngineChoice("onnxruntime", "fp32"), threads=1, contributions=False)
    yield found
    found.close()


def test_the_same_answers_flip_nothing():
    want = said([SURE, SURE], [[0.2, 0.9], [0.6, 0.1]])
    verdict = compare(want, want)
    assert (verdict.events, verdict.decisions, verdict.flipped, verdict.largest) == (2, 6, 0, 0.0)
    assert verdict.good
    assert not verdict.enough
    assert "fewer than" in str(verdict)


def test_without_thresholds_a_label_is_decided_at_one_half():
    verdict = compare(said([SURE], [[0.49, 0.9]]), said([SURE], [[0.51, 0.6]]))
    assert verdict.by_label["harassment"].flipped == 1
    assert verdict.by_label["spam/ads"].flipped == 0
    assert verdict.largest == pytest.approx(0.3)
    assert verdict.share == pytest.approx(1 / 3)
    assert not verdict.good


def test_review_and_block_are_two_decisions():
    levels = {"harassment": Thresholds(review=0.2, block=0.8)}
    verdict = compare(said([SURE], [[0.1, 0.1]], levels), said([SURE], [[0.9, 0.1]], levels))
    assert verdict.by_label["harassment"].decisions == 2
    assert verdict.by_label["harassment"].flipped == 2
    crossed = compare(said([SURE], [[0.45, 0.1]], levels), said([SURE], [[0.55, 0.1]], levels))
    assert crossed.by_label["harassment"].flipped == 0


def test_a_threshold_is_reached_where_it_is_met_exactly():
    levels = {"harassment": Thresholds(review=0.25)}
    verdict = compare(said([SURE], [[0.25, 0.1]], levels), said([SURE], [[0.26, 0.1]], levels))
    assert verdict.flipped == 0


def test_each_engine_decides_at_its_own_thresholds():
    one, other = ({"harassment": Thresholds(review=level)} for level in (0.3, 0.2))
    verdict = compare(said([SURE], [[0.35, 0.1]], one), said([SURE], [[0.25, 0.1]], other))
    assert verdict.flipped == 0
    none = compare(said([SURE], [[0.35, 0.1]], one), said([SURE], [[0.25, 0.1]]))
    assert none.flipped == 1


def test_the_likeliest_sentiment_is_a_decision():
    verdict = compare(said([SURE], [[0.1, 0.1]]), said([[0.5, 0.1, 0.4]], [[0.1, 0.1]]))
    assert verdict.by_label["sentiment"].flipped == 1


def test_what_cannot_be_evaluated_is_no_decision():
    blank = [NONE] * 3
    verdict = compare(
        said([SURE, blank], [[NONE, 0.1], [0.2, NONE]]), said([SURE, blank], [[0.9, 0.1], [0.2, 0.9]])
    )
    assert verdict.decisions == 3
    assert not verdict.nan


@pytest.mark.parametrize("where", ["sentiment", "moderation"])
def test_an_answer_that_is_no_number_is_no_good(where: str):
    broken = ([[NONE] * 3], [[0.1, 0.1]]) if where == "sentiment" else ([SURE], [[NONE, 0.1]])
    verdict = compare(said([SURE], [[0.1, 0.1]]), said(*broken))
    assert verdict.nan
    assert not verdict.good
    assert "no numbers" in str(verdict)


def test_one_in_a_thousand_may_differ_and_no_more():
    assert Verdict(1, 2000, 2, 0.1, nan=False).good
    assert not Verdict(1, 2000, 3, 0.1, nan=False).good
    assert Verdict(1, 1000, 0, 0.1, nan=False).enough


def test_8_bits_take_decisions_enough():
    few, many = Verdict(1, 999, 0, 0.1, nan=False), Verdict(1, 1000, 0, 0.1, nan=False)
    assert [few.serves(precision) for precision in ("fp32", "fp16", "fp8", "int8")] == [
        True,
        True,
        False,
        False,
    ]
    assert many.serves("fp8")
    assert not Verdict(1, 2000, 3, 0.1, nan=False).serves("fp32")


def test_without_a_decision_nothing_is_good():
    nothing = compare(*[said([[NONE] * 3], [[NONE, NONE]])] * 2)
    assert (nothing.decisions, nothing.share) == (0, 0.0)
    assert not nothing.good
    assert "nothing to decide" in str(nothing)


def test_a_verdict_survives_json():
    verdict = compare(said([SURE], [[0.49, 0.9]]), said([SURE], [[0.51, 0.6]]))
    assert Verdict.from_dict(json.loads(json.dumps(verdict.to_dict()))) == verdict


def test_an_engine_agrees_with_itself(engine: FusedEngine):
    heard = []
    verdict = verify(engine, engine, Batch.of(examples(300)), lambda: heard.append(1))
    assert verdict.flipped == 0
    assert verdict.decisions > 600
    assert len(heard) == 4
    told = answers(engine, Batch.of(examples(300)))
    assert verify(told, engine, Batch.of(examples(300))) == verdict


def test_numbers_that_are_not_finite_are_a_verdict(engine: FusedEngine, monkeypatch: pytest.MonkeyPatch):
    events = Batch.of(examples(7))
    want = answers(engine, events)

    def broken(batch: Batch) -> None:
        raise NotFinite("overflow")

    monkeypatch.setattr(engine, "infer", broken)
    verdict = verify(want, engine, events)
    assert verdict.nan
    assert not verdict.good


@pytest.mark.parametrize("size", [1, 3, 64])
def test_parts_hold_the_same_events(size: int):
    rows = examples(20)
    cut = list(parts(Batch.of(rows), size))
    assert sum(map(len, cut)) == 20
    for k, part in enumerate(cut):
        want = Batch.of(rows[k * size : (k + 1) * size])
        for name in Batch.__slots__:
            mine, theirs = getattr(part, name), getattr(want, name)
            assert len(mine) == len(theirs)
            for one, other in zip(mine, theirs, strict=True):
                np.testing.assert_array_equal(one, other)
