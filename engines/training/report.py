"""What `evaluate` found, as plain data: the card, the terminal and `--json` all come from this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np

from engines.training.intervals import Estimate

Curve = tuple[tuple[float, float], ...]
Bins = tuple[tuple[float, float, int], ...]
TELLING: Final = 150
"""Rows below which a calibration error is mostly chance: ten for each bin."""


@dataclass(frozen=True, slots=True)
class Operating:
    """A threshold at work: the share of positives in what it takes, and the share of positives it takes."""

    threshold: float
    precision: Estimate
    recall: Estimate
    taken: int


@dataclass(frozen=True, slots=True)
class LabelReport:
    """One label on some events. Figures are NaN where one class is missing.

    ``ece`` over 15 bins of equal mass; ``severity_error`` mean absolute, in grades of 0…7; ``bins`` (mean
    probability, share of positives, rows) and ``curve`` (recall, precision) are there for whole splits only.
    """

    rows: int
    positives: int
    auroc: Estimate
    auprc: float
    ece: float
    brier: float
    review: Operating | None = None
    block: Operating | None = None
    severity_error: float = float("nan")
    bins: Bins = ()
    curve: Curve = ()

    @property
    def both(self) -> bool:
        """Whether there are rows of either class, as ranking needs."""
        return 0 < self.positives < self.rows


@dataclass(frozen=True, slots=True)
class SentimentReport:
    """Sentiment on some events; ``confusion`` has the truth as rows, negative, neutral, positive.

    ``polarity_error`` is the mean absolute error of polarity, −1…1, over the ``graded`` events that have one.
    """

    rows: int
    macro_recall: Estimate
    recalls: tuple[float, ...]
    ece: float
    brier: float
    confusion: tuple[tuple[int, ...], ...]
    polarity_error: float
    graded: int
    bins: Bins = ()


@dataclass(frozen=True, slots=True)
class Slice:
    """Some events: all of a split, or those of one language, source or presence pattern.

    ``any_rule`` is about events that break any rule, scored by their likeliest label.
    """

    events: int
    sentiment: SentimentReport
    labels: Mapping[str, LabelReport]
    any_rule: LabelReport

    @property
    def mean_auroc(self) -> float:
        """Over the labels that have one; NaN for none."""
        known = [each.auroc.value for each in self.labels.values() if not np.isnan(each.auroc.value)]
        return float(np.mean(known)) if known else float("nan")

    @property
    def worst_ece(self) -> float:
        """Of sentiment and the labels, where enough rows tell it from chance; NaN for none."""
        every: list[SentimentReport | LabelReport] = [self.sentiment, *self.labels.values()]
        known = [each.ece for each in every if each.rows >= TELLING]
        return float(np.nanmax(known)) if known and not np.isnan(known).all() else float("nan")


@dataclass(frozen=True, slots=True)
class Crossed:
    """A label that needs several modalities, on sets where none tells it alone: AUROC by what was shown."""

    label: str
    rows: int
    together: Estimate
    alone: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True)
class SplitReport:
    """One split, whole and in parts."""

    whole: Slice
    languages: Mapping[str, Slice]
    patterns: Mapping[str, Slice]
    sources: Mapping[str, Slice]
    crossed: tuple[Crossed, ...] = ()


@dataclass(frozen=True, slots=True)
class Invariance:
    """The same events alone, together and in another order: the ``largest`` difference of a probability, and
    how many of so many decisions ``flipped``.
    """

    events: int
    largest: float
    flipped: int
    decisions: int
    limit: float
    flips: float

    @property
    def holds(self) -> bool:
        """Whether both stay within what the precision allows."""
        return self.largest <= self.limit and self.flipped <= self.flips * self.decisions


@dataclass(frozen=True, slots=True)
class Report:
    """Everything measured of one bundle on one engine; ``dataset`` is the SHA-256 of the events.

    ``uncalibrated`` names the labels, and "sentiment", that are not calibrated although others are.
    """

    bundle: str
    version: str
    digest: str
    engine: str
    backend: str
    precision: str
    calibrated: bool
    synthetic: tuple[str, ...]
    dataset: str
    splits: Mapping[str, SplitReport]
    invariance: Invariance
    notes: tuple[str, ...] = field(default=())
    uncalibrated: tuple[str, ...] = ()

    @property
    def moderates(self) -> bool:
        """Whether the bundle has moderation labels at all."""
        return any(part.whole.labels for part in self.splits.values())

    def to_dict(self) -> dict[str, Any]:
        """For JSON; NaN stays NaN."""
        return asdict(self)
