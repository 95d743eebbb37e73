"""The figures of a scorer on everyday sentences, each with what chance in the choice of lines leaves open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.training import metrics
from engines.training.text import rows, sentences
from engines.training.text.rows import LABELS, Table
from tests.peers.scorers import Answers

Array = NDArray[Any]
FOLDER: Final = Path(__file__).parents[1] / "everyday"
RESAMPLES: Final = 1000
_EDGES: Final = (2.5, 97.5)


@dataclass(frozen=True, slots=True)
class Figure:
    """A value and its bootstrap 95 % interval; NaN where it is not defined."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f}–{self.high:.3f})" if self.value == self.value else "–"


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one scorer on the lines of one language; None where it has no such answer."""

    sentiment: Figure | None
    """Three-way macro recall on all lines."""
    abiding: Figure | None
    """The same on lines that break no rule."""
    breach: Figure | None
    """AUROC of the highest label for "breaks any rule"."""
    labels: Figure | None
    """Mean over the labels of each one's AUROC against all other lines."""
    each: dict[str, float]
    """AUROC by label."""


def everyday(lang: str, folder: Path = FOLDER) -> Table:
    """The held-out sentences of a language; raises EngineError where a line is broken."""
    return rows.table(list(sentences.read(folder / f"{lang}.tsv", lang)))


def measure(answers: Answers, lines: Table, resamples: int = RESAMPLES) -> Figures:
    """Every figure that the scorer has answers for."""
    broken = lines.labels.any(axis=1)
    sentiment = abiding = breach = labels = None
    each: dict[str, float] = {}
    if answers.classes is not None:
        truth, guess = lines.sentiment.argmax(axis=1), answers.classes
        sentiment = figure(metrics.macro_recall, (truth, guess), resamples)
        abiding = figure(metrics.macro_recall, (truth[~broken], guess[~broken]), resamples)
    if answers.breach is not None:
        breach = figure(metrics.auroc, (broken.astype(float), answers.breach), resamples)
    known = {name: k for k, name in enumerate(LABELS) if name in (answers.chances or {})}
    if known and answers.chances:
        truth, chances = (
            lines.labels[:, list(known.values())],
            np.stack([answers.chances[n] for n in known], 1),
        )
        each = dict(zip(known, _by_label(truth, chances), strict=True))
        labels = figure(lambda t, c: float(np.nanmean(_by_label(t, c))), (truth, chances), resamples)
    return Figures(sentiment, abiding, breach, labels, each)


def _by_label(truth: Array, chances: Array) -> list[float]:
    return [metrics.auroc(truth[:, k], chances[:, k]) for k in range(truth.shape[1])]


def figure(of: Callable[..., float], arrays: Sequence[Array], resamples: int = RESAMPLES) -> Figure:
    """``of`` over arrays of one length, and over as many rows drawn with replacement ``resamples`` times."""
    random, count = np.random.default_rng(0), len(arrays[0])
    found = []
    for _ in range(resamples):
        drawn = random.integers(0, count, count)
        found.append(of(*(array[drawn] for array in arrays)))
    low, high = np.nanpercentile(found, _EDGES) if found else (float("nan"), float("nan"))
    return Figure(of(*arrays), float(low), float(high))
