"""The checker must be able to fail: each made-up history breaks one promise, and it says which."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.checker import (
    Answer,
    Fact,
    History,
    Lane,
    Place,
    Sample,
    answers_of,
    judge,
    score_fault,
)

SCORE = {
    "schema": "tidegate.score/1",
    "id": "e",
    "origin": {"topic": "in", "partition": 0, "offset": 0},
    "inputs": [
        {"modality": "text", "status": "scored"},
        {"modality": "image", "status": "absent"},
        {"modality": "audio", "status": "absent"},
    ],
    "sentiment": {
        "status": "scored",
        "label": "neutral",
        "polarity": 0.1,
        "probabilities": {"negative": 0.2, "neutral": 0.5, "positive": 0.3},
        "per_modality": None,
    },
    "moderation": {"hate": {"probability": 0.5, "status": "scored"}},
    "decision": {"action": "allow", "mode": "enforce", "policy": "p@1"},
    "contributions": {"text": 1.0, "image": None, "audio": None},
    "model": {"digest": "0" * 64},
    "timings_ms": {"queue": 0.0},
    "attempt": 1,
}


def came(offset: int, key: bytes | None = b"k") -> Fact:
    return Fact(Place("in", 0, offset), key, b"{}", (("h", b"1"),))


def score(origin: int, at: int, partition: int = 0) -> Answer:
    value = json.dumps(SCORE | {"origin": {"topic": "in", "partition": 0, "offset": origin}}).encode()
    (answer,) = answers_of([Fact(Place("out", partition, at), b"k", value)], [])
    return answer


def dead(origin: int, at: int) -> Answer:
    told = {"topic": b"in", "partition": b"0", "offset": str(origin).encode()}
    headers = (("h", b"1"), *((f"tidegate-dlq-{name}", value) for name, value in told.items()))
    (answer,) = answers_of([], [Fact(Place("dead", 0, at), b"k", b"{}", headers)])
    return answer


def found(history: History, duplicates: int | None = None) -> list[str]:
    return [line.partition(":")[0] for line in judge(history).problems(duplicates)]


def good() -> History:
    return History([came(0), came(1), came(2)], [score(0, 0), dead(1, 0), score(2, 1)], {Lane("in", 0): 3})


def test_a_faithful_history_has_no_problems():
    verdict = judge(good())
    assert verdict.problems(duplicates=0) == []
    assert (verdict.scored, verdict.dead, verdict.duplicates) == (2, 1, 0)


def test_a_lost_event_is_missing_and_overcommitted():
    history = good()
    del history.answers[2]
    assert found(history) == ["missing", "overcommitted"]


def test_a_lost_event_that_is_not_committed_is_only_missing():
    history = good()
    del history.answers[2]
    history.committed = {Lane("in", 0): 2}
    assert found(history) == ["missing"]


def test_a_commit_beyond_the_end_of_the_topic_is_an_overcommit():
    history = good()
    history.committed = {Lane("in", 0): 4}
    assert found(history) == ["overcommitted"]


def test_a_commit_that_ran_ahead_for_a_moment_is_seen_in_its_sample():
    history = good()
    ends = {Lane("out", 0): 1, Lane("dead", 0): 1}
    history.samples = [Sample({Lane("in", 0): 2}, ends)]
    assert found(history) == []
    history.samples = [Sample({Lane("in", 0): 3}, ends)]
    assert found(history) == ["overcommitted"]


def test_scored_and_dead_lettered_is_not_disjoint():
    history = good()
    history.answers.append(dead(0, 1))
    assert found(history) == ["twofold"]


def test_an_expected_drop_is_no_loss_but_must_not_be_answered_too():
    history = good()
    history.dropped = frozenset({Place("in", 0, 3)})
    history.came.append(came(3))
    assert found(history) == []
    history.answers.append(score(3, 2))
    assert found(history) == ["twofold"]


def test_duplicates_are_counted_and_bounded_where_a_bound_is_claimed():
    history = good()
    history.answers.append(score(2, 2))
    assert found(history) == []
    assert found(history, duplicates=1) == []
    assert found(history, duplicates=0) == ["duplicates"]


def test_first_scores_of_a_key_out_of_order_are_disorder():
    history = good()
    history.answers = [score(2, 0), dead(1, 0), score(0, 1)]
    assert found(history) == ["disordered"]


def test_a_repeated_suffix_is_no_disorder():
    history = good()
    history.answers = [score(0, 0), dead(1, 0), score(2, 1), score(0, 2), score(2, 3)]
    assert found(history) == []


def test_events_without_a_key_have_no_order():
    history = good()
    history.came = [replace(fact, key=None) for fact in history.came]
    history.answers = [score(2, 0), score(1, 1), score(0, 2)]
    assert found(history) == []


def test_one_key_over_several_output_partitions_is_disorder():
    history = good()
    history.answers[2] = score(2, 0, partition=1)
    assert found(history) == ["disordered"]


def test_an_answer_to_an_event_that_never_came_is_unknown():
    history = good()
    history.answers.append(score(9, 2))
    assert found(history) == ["unknown"]


def test_an_answer_without_an_origin_is_unknown_and_malformed():
    history = good()
    history.answers += answers_of([Fact(Place("out", 0, 2), b"k", b"not json")], [])
    assert found(history) == ["unknown", "malformed"]


@pytest.mark.parametrize("changed", [{"value": b"{ }"}, {"key": b"other"}, {"headers": ()}])
def test_a_dead_letter_that_changed_the_record_is_seen(changed: dict):
    history = good()
    given = history.came[1]
    history.came[1] = replace(given, **changed)
    assert found(history) == ["altered"]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"schema": "other/1"}, "schema"),
        ({"contributions": {"text": 0.5, "image": None, "audio": None}}, "contributions"),
        ({"moderation": {"hate": {"probability": 0.0, "status": "not_evaluated"}}}, "not_evaluated"),
        ({"moderation": {"hate": {"probability": 1.5, "status": "scored"}}}, "1.5"),
        ({"decision": {"action": "delete", "mode": "enforce", "policy": "p@1"}}, "decision"),
        ({"inputs": [{"modality": m, "status": "absent"} for m in ("text", "image", "audio")]}, "nothing"),
        ({"sentiment": SCORE["sentiment"] | {"probabilities": {"neutral": 0.5}}}, "sentiment"),
        ({"timings_ms": {"queue": float("nan")}}, "NaN"),
    ],
)
def test_a_score_that_breaks_the_contract_is_malformed(change: dict, fault: str):
    assert score_fault(json.dumps(SCORE).encode()) is None
    assert fault in (score_fault(json.dumps(SCORE | change).encode()) or "")
