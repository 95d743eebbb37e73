"""Figures of merit over labelled rows; each is NaN where it is not defined."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
BINS: Final = 15


def steps(truth: Array, score: Array) -> tuple[Array, Array, Array]:
    """For each distinct score from the highest down: the score, rows at it or over, and hits among them."""
    values, place, times = np.unique(-score, return_inverse=True, return_counts=True)
    hits = np.bincount(place, weights=truth, minlength=len(values))
    return -values, np.cumsum(times), np.cumsum(hits)


def auroc(truth: Array, score: Array) -> float:
    """Area under the ROC curve; ties count half. ``truth`` 0/1 [n], ``score`` [n]."""
    positives, count = int(truth.sum()), len(truth)
    if not 0 < positives < count:
        return float("nan")
    _, taken, hits = steps(truth, score)
    found, wrong = np.append(0.0, hits) / positives, np.append(0.0, taken - hits) / (count - positives)
    return float(((found[1:] + found[:-1]) / 2 * np.diff(wrong)).sum())


def average_precision(truth: Array, score: Array) -> float:
    """Area under the precision-recall curve, by steps; rows of equal score count together."""
    positives = truth.sum()
    if not positives:
        return float("nan")
    _, taken, hits = steps(truth, score)
    return float((hits / taken * np.diff(hits, prepend=0.0)).sum() / positives)


def curve(truth: Array, score: Array, points: int = 60) -> list[tuple[float, float]]:
    """(recall, precision) from the highest score down, thinned to so many points; empty without positives."""
    positives = truth.sum()
    if not positives:
        return []
    _, taken, hits = steps(truth, score)
    turns = np.flatnonzero(np.diff(hits, prepend=0.0))  # between hits only precision falls
    kept = np.unique(np.searchsorted(hits[turns], np.linspace(hits[turns[0]], positives, points)))
    at = turns[np.minimum(kept, len(turns) - 1)]
    return [(float(hits[k] / positives), float(hits[k] / taken[k])) for k in at]


def reliability(truth: Array, probability: Array, bins: int = BINS) -> list[tuple[float, float, int]]:
    """Bins of equal mass: mean probability, share of positives, rows; empty with fewer rows than bins."""
    if len(truth) < bins:
        return []
    parts = np.array_split(np.argsort(probability, kind="stable"), bins)
    return [(float(probability[p].mean()), float(truth[p].mean()), len(p)) for p in parts]


def calibration_error(truth: Array, probability: Array, bins: int = BINS) -> float:
    """Expected calibration error over bins of equal mass."""
    found = reliability(truth, probability, bins)
    if not found:
        return float("nan")
    return sum(rows * abs(said - was) for said, was, rows in found) / len(truth)


def brier(truth: Array, probability: Array) -> float:
    """Mean squared distance of the probability from what was; over classes where both have two axes."""
    if not len(truth):
        return float("nan")
    squares = (probability.astype(np.float64) - truth) ** 2
    return float(squares.mean() if squares.ndim == 1 else squares.sum(axis=1).mean())


def confusion(truth: Array, guess: Array, classes: int = 3) -> Array:
    """Int [classes, classes]: rows are the truth."""
    return np.bincount(truth * classes + guess, minlength=classes**2).reshape(classes, classes)


def macro_recall(truth: Array, guess: Array, classes: int = 3) -> float:
    """Mean over the classes that occur of the share that was found."""
    table = confusion(truth.astype(np.int64), guess, classes)
    seen = table.sum(axis=1) > 0
    return float((table.diagonal()[seen] / table.sum(axis=1)[seen]).mean()) if seen.any() else float("nan")
