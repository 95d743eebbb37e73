"""The independent checker: whether every event came through, decided from the topics and the group alone.

It knows nothing of the daemon's counters or code: `judge` compares what went in with what came out and with
what was committed. A verdict lists everything that breaks the promise; without any, `problems` is empty.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal, NamedTuple

DEAD = "tidegate-dlq-"


class Place(NamedTuple):
    """Where a record lies."""

    topic: str
    partition: int
    offset: int


class Lane(NamedTuple):
    """A partition."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Fact:
    """A record as it lies in a topic."""

    at: Place
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    time: int = 0
    """Milliseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A score or a dead letter, and the input it says it is for."""

    kind: Literal["score", "dead"]
    origin: Place | None
    fact: Fact


@dataclass(frozen=True, slots=True)
class Sample:
    """Offsets committed at one moment, and the ends of the output topics read right after."""

    committed: Mapping[Lane, int]
    ends: Mapping[Lane, int]


@dataclass(slots=True)
class History:
    """Everything the judgement rests on."""

    came: list[Fact]
    answers: list[Answer]
    committed: Mapping[Lane, int] = field(default_factory=dict)
    samples: Sequence[Sample] = ()
    dropped: frozenset[Place] = frozenset()


@dataclass(slots=True)
class Verdict:
    """What was found; every list but the counts must be empty."""

    scored: int = 0
    dead: int = 0
    duplicates: int = 0
    missing: list[Place] = field(default_factory=list)
    twofold: list[Place] = field(default_factory=list)
    """Scored and dead-lettered, or answered though dropped."""
    unknown: list[str] = field(default_factory=list)
    """Answers to events that never came."""
    disordered: list[str] = field(default_factory=list)
    overcommitted: list[str] = field(default_factory=list)
    malformed: list[str] = field(default_factory=list)
    altered: list[Place] = field(default_factory=list)
    """Dead letters that do not carry the record as it came."""

    def problems(self, duplicates: int | None = None) -> list[str]:
        """One line for each kind of broken promise; `duplicates` is how many are allowed (None: any)."""
        kinds = ("missing", "twofold", "unknown", "disordered", "overcommitted", "malformed", "altered")
        found = [_line(kind, getattr(self, kind)) for kind in kinds if getattr(self, kind)]
        if duplicates is not None and self.duplicates > duplicates:
            found.append(f"duplicates: {self.duplicates}, allowed {duplicates}")
        return found


def judge(history: History) -> Verdict:
    """Compare what came with what was answered and committed."""
    came = {fact.at: fact for fact in history.came}
    answers: dict[Place, list[Answer]] = defaultdict(list)
    verdict = Verdict()
    for answer in history.answers:
        if answer.origin is None or answer.origin not in came:
            verdict.unknown.append(f"{answer.kind} at {tuple(answer.fact.at)} for {answer.origin}")
        else:
            answers[answer.origin].append(answer)
    _cover(verdict, came, answers, history.dropped)
    verdict.disordered = disordered(came, answers)
    done = set(answers) | history.dropped
    verdict.overcommitted = _overcommits("at the end", history.committed, came, done)
    for number, sample in enumerate(history.samples):
        then = {at for at, found in answers.items() if any(_visible(each, sample) for each in found)}
        verdict.overcommitted += _overcommits(
            f"sample {number}", sample.committed, came, then | history.dropped
        )
    for answer in history.answers:
        fault = score_fault(answer.fact.value) if answer.kind == "score" else None
        if fault:
            verdict.malformed.append(f"{tuple(answer.fact.at)}: {fault}")
        if answer.kind == "dead" and answer.origin in came and _altered(answer.fact, came[answer.origin]):
            verdict.altered.append(answer.origin)
    return verdict


def _cover(
    verdict: Verdict,
    came: Mapping[Place, Fact],
    answers: Mapping[Place, list[Answer]],
    dropped: frozenset[Place],
) -> None:
    for at in came:
        kinds = Counter(answer.kind for answer in answers.get(at, ()))
        verdict.scored += kinds["score"] > 0
        verdict.dead += kinds["dead"] > 0
        verdict.duplicates += sum(count - 1 for count in kinds.values())
        ways = len(kinds) + (at in dropped)
        if ways == 0:
            verdict.missing.append(at)
        elif ways > 1:
            verdict.twofold.append(at)


def disordered(came: Mapping[Place, Fact], answers: Mapping[Place, list[Answer]]) -> list[str]:
    """Keys whose first scores are not in input order, or lie in several partitions (then none can tell)."""
    firsts: dict[tuple[Lane, bytes], list[tuple[Place, Place]]] = defaultdict(list)
    for at, found in answers.items():
        key, scores = came[at].key, [answer.fact.at for answer in found if answer.kind == "score"]
        if key is not None and scores:
            firsts[Lane(at.topic, at.partition), key].append((at, min(scores)))
    faults = []
    for (lane, key), pairs in firsts.items():
        if len({Lane(out.topic, out.partition) for _, out in pairs}) > 1:
            faults.append(f"key {key!r} of {tuple(lane)}: its scores lie in several partitions")
            continue
        pairs.sort(key=lambda pair: pair[1])
        for (before, _), (after, out) in pairwise(pairs):
            if before.offset > after.offset:
                faults.append(
                    f"key {key!r} of {tuple(lane)}: {after.offset} after {before.offset}, at {tuple(out)}"
                )
    return faults


def _visible(answer: Answer, sample: Sample) -> bool:
    at = answer.fact.at
    return at.offset < sample.ends.get(Lane(at.topic, at.partition), 0)


def _overcommits(
    when: str, committed: Mapping[Lane, int], came: Iterable[Place], done: set[Place] | frozenset[Place]
) -> list[str]:
    ahead: dict[Lane, list[int]] = defaultdict(list)
    ends: dict[Lane, int] = defaultdict(int)
    for at in came:
        lane = Lane(at.topic, at.partition)
        ends[lane] = max(ends[lane], at.offset + 1)
        if at.offset < committed.get(lane, 0) and at not in done:
            ahead[lane].append(at.offset)
    faults = [
        f"{when}: {tuple(lane)} committed {committed[lane]}, unanswered {sorted(offsets)[:5]}"
        for lane, offsets in ahead.items()
    ]
    return faults + [
        f"{when}: {tuple(lane)} committed {offset}, but the topic ends at {ends[lane]}"
        for lane, offset in committed.items()
        if offset > ends[lane]
    ]


def _altered(dead: Fact, came: Fact) -> bool:
    headers = dict(dead.headers)
    if headers.get("tidegate-dlq-mode") == b"reference":
        return bool(dead.value)
    kept = tuple(pair for pair in dead.headers if not pair[0].startswith(DEAD))
    own = tuple(pair for pair in kept if pair[0] != "tidegate-event-id")
    # Kafka clients cannot send a record of nothing at all: an empty value stands for it.
    value = b"" if came.key is None and came.value is None else came.value
    return (dead.key, dead.value) != (came.key, value) or came.headers not in (kept, own)


def answers_of(scores: Iterable[Fact], dead: Iterable[Fact]) -> list[Answer]:
    """Scores by their `origin`, dead letters by their headers; an origin that cannot be read is None."""
    found = [Answer("score", _score_origin(fact.value), fact) for fact in scores]
    return found + [Answer("dead", _dead_origin(fact), fact) for fact in dead]


def _score_origin(value: bytes | None) -> Place | None:
    try:
        origin = json.loads(value or b"")["origin"]
        return Place(origin["topic"], origin["partition"], origin["offset"])
    except (ValueError, KeyError, TypeError):
        return None


def _dead_origin(fact: Fact) -> Place | None:
    headers = dict(fact.headers)
    try:
        topic, partition, offset = (
            (headers[DEAD + name] or b"").decode() for name in ("topic", "partition", "offset")
        )
        return Place(topic, int(partition), int(offset))
    except (ValueError, KeyError):
        return None


# -- what a score must be, whoever wrote it ------------------------------------------------------------------


def score_fault(value: bytes | None) -> str | None:
    """What is wrong with a score, None where it keeps the contract."""
    try:
        score = json.loads(value or b"", parse_constant=_refuse)
        if score["schema"] != "tidegate.score/1" or not score["id"]:
            return "no schema or no id"
        return (
            _inputs_fault(score["inputs"])
            or _sentiment_fault(score["sentiment"])
            or _moderation_fault(score["moderation"])
            or _decision_fault(score["decision"])
            or _shares_fault(score["contributions"])
            or _facts_fault(score)
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return f"{type(error).__name__}: {error}"


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} in a score")


def _inputs_fault(inputs: list[dict[str, Any]]) -> str | None:
    known = ("scored", "truncated", "failed", "absent")
    if any(item["status"] not in known for item in inputs):
        return "an input of unknown status"
    if not {"text", "image", "audio"} <= {item["modality"] for item in inputs}:
        return "a modality without an entry"
    return None if any(i["status"] in known[:2] for i in inputs) else "a score that rests on nothing"


def _sentiment_fault(sentiment: dict[str, Any]) -> str | None:
    if sentiment["status"] == "not_evaluated":
        rest = {value for name, value in sentiment.items() if name != "status"}
        return None if rest == {None} else "a sentiment that was not evaluated and says something"
    shares = sentiment["probabilities"]
    if not math.isclose(sum(shares.values()), 1, abs_tol=0.01):
        return f"sentiment sums to {sum(shares.values())}"
    return None if sentiment["label"] in shares and -1 <= sentiment["polarity"] <= 1 else "a bad sentiment"


def _moderation_fault(moderation: dict[str, dict[str, Any]]) -> str | None:
    for label, said in moderation.items():
        probability = said["probability"]
        if (probability is None) != (said["status"] == "not_evaluated"):
            return f"{label}: {said['status']} with probability {probability}"
        if probability is not None and not 0 <= probability <= 1:
            return f"{label}: probability {probability}"
    return None if moderation else "no labels"


def _decision_fault(decision: dict[str, Any]) -> str | None:
    good = decision["action"] in ("allow", "review", "block") and decision["mode"] in ("enforce", "shadow")
    return None if good and "@" in decision["policy"] else f"a bad decision: {decision}"


def _shares_fault(shares: dict[str, float | None]) -> str | None:
    total = sum(share for share in shares.values() if share is not None)
    return None if math.isclose(total, 1, abs_tol=0.01) else f"contributions sum to {total}"


def _facts_fault(score: dict[str, Any]) -> str | None:
    if len(score["model"]["digest"]) != 64 or score["attempt"] < 1:
        return "no model digest, or no attempt"
    return None if min(score["timings_ms"].values()) >= 0 else "a negative time"


def _line(kind: str, found: Sequence[Any]) -> str:
    shown = ", ".join(str(tuple(each) if isinstance(each, tuple) else each) for each in found[:5])
    return f"{kind}: {len(found)} ({shown}{', …' if len(found) > 5 else ''})"
