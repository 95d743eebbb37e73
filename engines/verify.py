"""Whether an engine decides as another does: the share of decisions that differ, label by label.

A decision is what a policy asks: whether a label's probability reaches its calibrated threshold for review,
and the one for blocking (0.5 where it has neither), and which sentiment is the likeliest. Only what can be
evaluated counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.alive import Alive, unheard
from engines.batch import Batch, Float32
from engines.engine import Engine
from engines.errors import EngineError
from engines.head import NotFinite
from engines.sessions.choose import QUANTISED
from engines.thresholds import Thresholds

BOUND: Final = 0.001
"""The share of decisions that may differ."""
ENOUGH: Final = 1_000
"""Decisions that such a share needs: with fewer, none that differs proves little."""
SENTIMENT: Final = "sentiment"
HALF: Final = 0.5
"""The threshold of a label that has none."""
_EVENTS: Final = 256


class Unverified(EngineError):  # noqa: N818
    """An engine that was refused because of what it decided."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One label, or sentiment: decisions, how many differ, and the largest difference of a probability."""

    decisions: int
    flipped: int
    largest: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an engine compares with the reference; ``largest`` is the largest difference of a probability,
    ``nan`` whether an answer was no number. ``by_label`` has the labels, and ``sentiment``.
    """

    events: int
    decisions: int
    flipped: int
    largest: float
    nan: bool
    by_label: Mapping[str, Compared] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """The share of decisions that differ."""
        return self.flipped / self.decisions if self.decisions else 0.0

    @property
    def enough(self) -> bool:
        """Whether there were enough decisions to tell."""
        return self.decisions >= ENOUGH

    @property
    def good(self) -> bool:
        """Whether there are decisions, at most `BOUND` of them differ, and every answer is a number."""
        return self.decisions > 0 and not self.nan and self.share <= BOUND

    def serves(self, precision: str) -> bool:
        """Whether an engine at this precision may serve: of 8 bits golden vectors tell little, so there must
        be decisions enough too.
        """
        return self.good and (self.enough or precision not in QUANTISED)

    def __str__(self) -> str:
        if self.nan:
            return f"of {self.events} events some have answers that are no numbers"
        if not self.decisions:
            return f"{self.events} events held nothing to decide, which proves nothing"
        told = f"{self.flipped} of {self.decisions} decisions differ ({self.share:.2%})"
        told += f", a probability by at most {self.largest:.2g}"
        if not self.enough:
            told += f"; fewer than {ENOUGH} decisions, which proves little"
        return told

    def to_dict(self) -> dict[str, Any]:
        """The plain form, which JSON holds."""
        return asdict(self)

    @classmethod
    def from_dict(cls, tree: Mapping[str, Any]) -> Verdict:
        """From the plain form; raises ValueError, KeyError or TypeError where it is none."""
        by_label = {str(name): Compared(**entry) for name, entry in tree["by_label"].items()}
        events, decisions, flipped = (int(tree[name]) for name in ("events", "decisions", "flipped"))
        return cls(events, decisions, flipped, float(tree["largest"]), bool(tree["nan"]), by_label)


@dataclass(frozen=True, slots=True)
class Answers:
    """What an engine says of events: ``sentiment`` float32 [n, 3] and ``moderation`` float32 [n, labels],
    NaN where it cannot be evaluated; and the thresholds of its labels.
    """

    sentiment: Float32
    moderation: Float32
    names: tuple[str, ...]
    thresholds: Mapping[str, Thresholds]


def answers(engine: Engine, events: Batch, alive: Alive = unheard) -> Answers:
    """What an engine says of events, calling ``alive`` now and then; raises EngineError."""
    outputs = []
    for part in parts(events):
        outputs.append(engine.infer(part))
        alive()
    return Answers(
        np.concatenate([np.zeros((0, 3), np.float32), *(own.sentiment for own in outputs)]),
        np.concatenate([np.zeros((0, len(engine.labels)), np.float32), *(own.moderation for own in outputs)]),
        engine.labels.names,
        engine.thresholds,
    )


def verify(reference: Engine | Answers, other: Engine, events: Batch, alive: Alive = unheard) -> Verdict:
    """Compare an engine with a reference, or what that says of the same events, each at its own thresholds.

    Raises EngineError where an engine fails; numbers that are not finite are part of the verdict.
    """
    want = reference if isinstance(reference, Answers) else answers(reference, events, alive)
    try:
        got = answers(other, events, alive)
    except NotFinite:
        return Verdict(len(events), 0, 0, float("inf"), nan=True)
    return compare(want, got)


def compare(want: Answers, got: Answers) -> Verdict:
    """The verdict on answers of an engine to the events of a reference."""
    can = ~np.isnan(want.sentiment).any(axis=1)
    gaps = np.abs(want.sentiment[can] - got.sentiment[can])
    turned = want.sentiment[can].argmax(axis=1) != got.sentiment[can].argmax(axis=1)
    found = {SENTIMENT: Compared(len(turned), int(turned.sum()), _largest(gaps))}
    nan = bool(np.isnan(got.sentiment[can]).any())
    for k, name in enumerate(want.names):
        can = ~np.isnan(want.moderation[:, k])
        one, other = want.moderation[can, k], got.moderation[can, k]
        nan |= bool(np.isnan(other).any())
        mine, theirs = _levels(want.thresholds.get(name)), _levels(got.thresholds.get(name))
        flipped = [
            int(((one >= mine[kind]) != (other >= theirs.get(kind, mine[kind]))).sum()) for kind in mine
        ]
        found[name] = Compared(len(one) * len(mine), sum(flipped), _largest(np.abs(one - other)))
    return Verdict(
        len(want.sentiment),
        sum(own.decisions for own in found.values()),
        sum(own.flipped for own in found.values()),
        max(own.largest for own in found.values()),
        nan,
        found,
    )


def parts(batch: Batch, events: int = _EVENTS) -> Iterator[Batch]:
    """The same events, so many at a time."""
    for start in range(0, len(batch), events):
        end = start + events
        cuts = [
            slice(*np.searchsorted(owner, (start, end)).tolist())
            for owner in (batch.text_event, batch.image_event, batch.audio_event)
        ]
        yield Batch(
            batch.presence[start:end],
            batch.text[cuts[0]],
            batch.text_event[cuts[0]] - np.int32(start),
            batch.images[cuts[1]],
            batch.image_event[cuts[1]] - np.int32(start),
            batch.audio[cuts[2]],
            batch.audio_event[cuts[2]] - np.int32(start),
        )


def _levels(found: Thresholds | None) -> dict[str, float]:
    pairs = () if found is None else (("review", found.review), ("block", found.block))
    return {kind: level for kind, level in pairs if level is not None} or {"half": HALF}


def _largest(gaps: NDArray[Any]) -> float:
    """The largest of some differences; infinite where one is no number."""
    worst = float(np.max(gaps, initial=0.0))
    return worst if np.isfinite(worst) else float("inf")
