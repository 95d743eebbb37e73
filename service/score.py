"""From the engine's answers to the score record (contract §3).

The hot path builds plain dictionaries; `service.score_model` is the same record as a schema, and a test holds
the two together.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from engines.batch import MODALITIES, SENTIMENTS, Float32, Outputs
from engines.labels import Label, Labels, enough
from engines.shapley import values
from engines.thresholds import Thresholds
from service.errors import RecordError
from service.policy import Decision, Policy, Reason
from service.record import Record
from service.score_model import SCHEMA
from service.wire import rfc3339, size_of

if TYPE_CHECKING:
    from engines.engine import EngineInfo
    from engines.spans import Span
    from service.intake.intake import InputReport, Prepared

BIT: Final = {modality: 1 << k for k, modality in enumerate(MODALITIES)}
USED: Final = frozenset({"scored", "truncated"})
EXACT: Final = 1 << 53
NO_SHARES: Final[dict[str, float | None]] = dict.fromkeys(MODALITIES)
NO_SENTIMENT: Final = {
    "status": "not_evaluated",
    "label": None,
    "polarity": None,
    "probabilities": None,
    "per_modality": None,
}


class Timings(NamedTuple):
    """Milliseconds that one event spent waiting, being prepared, being inferred, and in all."""

    queue: float
    prepare: float
    infer: float
    total: float


@dataclass(frozen=True, slots=True)
class Scored:
    """A score ready to publish."""

    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]]
    decision: Decision


class _Rows:
    """A cycle's answers as lists, rounded once: picking single numbers out of arrays is dear."""

    def __init__(self, outputs: Outputs) -> None:
        self.outputs = outputs
        self.sentiment = _rounded(outputs.sentiment)
        self.unimodal = _rounded(outputs.unimodal)
        self.moderation = _rounded(outputs.moderation)
        self.severity = np.clip(np.rint(outputs.severity), 0, 7).tolist()
        self.graded: Any = np.isfinite(outputs.severity).any(axis=1).tolist()


class Scorer:
    """Builds the score records of one engine under one policy; used by one thread at a time.

    `thresholds` are those of the engine's calibration, for policies that leave them to it; `fits` is the
    largest record that the output topic takes, in bytes of key, value and headers; with
    `contributions` off, all shares are null.
    """

    def __init__(
        self,
        labels: Labels,
        info: EngineInfo,
        policy: Policy,
        *,
        thresholds: Mapping[str, Thresholds] | None = None,
        fits: int | None = None,
        contributions: bool = True,
    ) -> None:
        self._judge = policy.bind(labels, thresholds)
        self._policy, self._mode = policy.reference, policy.mode
        self._fits, self._contributions = fits, contributions
        self._names = labels.names
        self._columns = {name: 1 + k for k, name in enumerate(labels.names)}
        self._evidence = tuple(_evidence(label) for label in labels.labels)
        self._model = orjson.Fragment(orjson.dumps(_model(info)))
        self._rows: _Rows | None = None

    def encode(
        self,
        record: Record,
        prepared: Prepared,
        outputs: Outputs,
        row: int,
        timings: Timings,
        *,
        spans: Sequence[Span] | None = None,
        attempt: int = 1,
        now: float | None = None,
    ) -> Scored:
        """The score of `outputs` row `row`; `now` is epoch seconds (default: the clock).

        `spans` are of the label that decided, None where nobody asked for them.
        Raises RecordError("invalid", "too_large", stage="publish") when it does not fit the output topic.
        """
        score, decision = self._build(record, prepared, outputs, row, spans)
        event, identity = prepared.event, prepared.event_id.encode("utf-8", "replace")
        score["timings_ms"] = {
            "queue": round(max(0.0, timings.queue), 3),
            "prepare": round(max(0.0, timings.prepare), 3),
            "infer": round(max(0.0, timings.infer), 3),
            "total": round(max(0.0, timings.total), 3),
        }
        score["attempt"] = attempt
        score["time"]["scored"] = rfc3339(time.time() if now is None else now)
        value = _dumps(score)
        headers = [("tidegate-event-id", identity), ("content-type", b"application/json")]
        if event is not None and event.traceparent:
            headers.append(("traceparent", event.traceparent.encode("utf-8", "replace")))
        key = identity if record.key is None else record.key
        if self._fits is not None and (size := size_of(key, value, headers)) > self._fits:
            detail = f"its score takes {size} bytes, the output topic {self._fits}"
            raise RecordError("invalid", "too_large", detail, stage="publish")
        return Scored(key, value, headers, decision)

    def deciding(
        self, prepared: Sequence[Prepared], outputs: Outputs, rows: Sequence[int]
    ) -> Iterator[tuple[int, int]]:
        """Events that a probability had flagged, as (number, number of the label that decided).

        Safe beside `encode` in another thread, and decides as it does.
        """
        moderation = _rounded(outputs.moderation)
        for k, row in enumerate(rows):
            if row >= 0:
                decided = self._judge.decide(moderation[row], _tried(prepared[k].inputs)).decided
                if decided is not None:
                    yield k, self._columns[decided] - 1

    def _build(
        self,
        record: Record,
        prepared: Prepared,
        outputs: Outputs,
        row: int,
        spans: Sequence[Span] | None,
    ) -> tuple[dict[str, Any], Decision]:
        if self._rows is None or self._rows.outputs is not outputs:
            self._rows = _Rows(outputs)
        rows, event, example = self._rows, prepared.event, prepared.example
        assert event is not None, "A score without an event. This is a bug."
        assert example is not None, "A score without an example. This is a bug."
        presence, tried = example.presence, _tried(prepared.inputs)
        probabilities = rows.moderation[row]
        decision = self._judge.decide(probabilities, tried)
        shares = self._reasons(decision, outputs.patterns[row], presence)
        stamp = record.timestamp if record.timestamp >= 0 else None
        when = event.time if event.time is not None else None if stamp is None else stamp / 1e3
        score: dict[str, Any] = {
            "schema": SCHEMA,
            "id": prepared.event_id,
            "origin": {
                "topic": record.topic,
                "partition": record.partition,
                "offset": record.offset,
                "timestamp": stamp,
            },
            "time": {"event": rfc3339(when)},
            "inputs": [_input(item) for item in prepared.inputs],
            "sentiment": _sentiment(rows.sentiment[row], rows.unimodal[row], presence),
            "moderation": self._moderation(rows, row, presence, prepared.inputs),
            "decision": {
                "action": decision.action,
                "policy": self._policy,
                "mode": self._mode,
                "reasons": [
                    _reason(reason, shares, spans if reason.label == decision.decided else None)
                    for reason in decision.reasons
                ],
            },
            "contributions": shares.get(decision.decided) or self._shares(outputs.patterns[row], 0, presence),
            "model": self._model,
            "source": event.source,
            "lang": event.lang,
            "author": event.author,
            "thread": event.thread,
            "tenant": event.tenant,
            "reach": _number(event.reach),
            "topics": event.topics,
        }
        return score, decision

    def _moderation(
        self, rows: _Rows, row: int, presence: int, inputs: Sequence[InputReport]
    ) -> dict[str, Any]:
        refs = _References(inputs)
        severities: list[float] | None = rows.severity[row] if rows.graded[row] else None
        result: dict[str, dict[str, Any]] = {}
        for k, probability in enumerate(rows.moderation[row]):
            if probability != probability:  # NaN
                result[self._names[k]] = {
                    "probability": None,
                    "severity": None,
                    "status": "not_evaluated",
                    "inputs": (),
                }
                continue
            severity = severities[k] if severities else None
            result[self._names[k]] = {
                "probability": probability,
                "severity": int(severity) if severity is not None and severity == severity else None,
                "status": "scored",
                "inputs": refs[self._evidence[k][presence]],
            }
        return result

    def _reasons(
        self, decision: Decision, patterns: Float32, presence: int
    ) -> dict[str | None, dict[str, float | None]]:
        """The shares of the modalities in each label that flagged the event."""
        if not self._contributions:
            return {}
        return {
            reason.label: self._shares(patterns, self._columns[reason.label], presence)
            for reason in decision.reasons
            if reason.probability is not None
        }

    def _shares(self, patterns: Float32, column: int, presence: int) -> dict[str, float | None]:
        if not self._contributions:
            return NO_SHARES
        if presence.bit_count() == 1:
            return {modality: 1.0 if presence & bit else None for modality, bit in BIT.items()}
        logits = patterns[:, column].tolist()
        raw = [(k, abs(sum(w * logits[p] for p, w in weights))) for k, weights in _WEIGHTS[presence]]
        total = sum(value for _, value in raw)
        spread = [(k, round(v / total if 0 < total < inf else 1 / len(raw), 6)) for k, v in raw]
        most = max(spread, key=itemgetter(1))[0]  # takes what rounding left over
        found: dict[str, float | None] = dict.fromkeys(MODALITIES)
        for k, share in spread:
            found[MODALITIES[k]] = share
        found[MODALITIES[most]] = round(1.0 - sum(share for k, share in spread if k != most), 6)
        return found


def _weights(presence: int) -> list[tuple[int, tuple[tuple[int, float], ...]]]:
    """Shapley values are linear in the patterns: by modality, the weights of the patterns that count.

    Patterns without weight are left out: they were not run and hold NaN.
    """
    units = [values(unit, presence) for unit in np.eye(8, dtype=np.float32)]
    return [
        (unit[0][0], tuple((p, w) for p, (_, w) in enumerate(unit) if w)) for unit in zip(*units, strict=True)
    ]


_WEIGHTS: Final = tuple(_weights(presence) for presence in range(8))


def _rounded(values: Float32) -> Any:
    exact: NDArray[np.float64] = values.astype(np.float64)
    return np.clip(np.round(exact, 6), 0.0, 1.0).tolist()


def _evidence(label: Label) -> tuple[int, ...]:
    """By presence: the modalities, as bits, that an answer rests on, which are those of its complete sets."""
    masks = []
    for presence in range(8):
        complete = [needed for needed in label.evidence if enough((needed,), presence)]
        masks.append(sum(BIT[modality] for modality in frozenset().union(*complete)))
    return tuple(masks)


def _model(info: EngineInfo) -> dict[str, Any]:
    names = ("bundle", "version", "digest", "engine", "precision")
    said = {name: getattr(info, name) for name in names}
    return said | {"synthetic": list(info.synthetic), "calibrated": info.calibrated}


def _reason(
    reason: Reason, shares: Mapping[str | None, dict[str, float | None]], spans: Sequence[Span] | None
) -> dict[str, Any]:
    return {
        "label": reason.label,
        "probability": reason.probability,
        "threshold": reason.threshold,
        "action": reason.action,
        "contributions": shares.get(reason.label),
        "spans": None if spans is None else [span._asdict() for span in spans],
    }


def _tried(inputs: Sequence[InputReport]) -> int:
    tried = 0
    for item in inputs:
        if item.status != "absent":
            tried |= BIT[item.modality]
    return tried


def _input(item: InputReport) -> dict[str, Any]:
    return {
        "modality": item.modality,
        "index": item.index,
        "status": item.status,
        "reason": item.reason,
        "sha256": item.sha256,
        "size": item.size,
    }


class _References(dict[int, list[dict[str, Any]]]):
    """By modalities as bits: the items of these that were read, made when first asked for."""

    def __init__(self, inputs: Sequence[InputReport]) -> None:
        self._inputs = [i for i in inputs if i.status in USED]

    def __missing__(self, mask: int) -> list[dict[str, Any]]:
        self[mask] = [
            {"modality": i.modality, "index": i.index} for i in self._inputs if mask & BIT[i.modality]
        ]
        return self[mask]


def _sentiment(probabilities: list[float], unimodal: list[list[float]], presence: int) -> dict[str, Any]:
    negative, neutral, positive = probabilities
    if negative != negative:  # NaN
        return NO_SENTIMENT
    alone = {}
    for k, modality in enumerate(MODALITIES):
        said = unimodal[k]
        heard = bool(presence >> k & 1) and said[0] == said[0]
        alone[modality] = dict(zip(SENTIMENTS, said, strict=True)) if heard else None
    return {
        "status": "scored",
        "label": SENTIMENTS[probabilities.index(max(probabilities))],
        "polarity": round(positive - negative, 6),
        "probabilities": {"negative": negative, "neutral": neutral, "positive": positive},
        "per_modality": alone,
    }


def _number(value: float | int | None) -> float | int | None:
    """JSON numbers beyond 2^53 lose digits in most readers anyway, and the encoder takes only 64 bits."""
    if not isinstance(value, int) or -EXACT <= value <= EXACT:
        return value
    try:
        return float(value)
    except OverflowError:
        return None


def _dumps(score: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(score)
    except TypeError as error:  # a lone surrogate that came past the intake costs its own record only
        raise RecordError("invalid", "invalid_event", str(error)[:80], stage="publish") from error
