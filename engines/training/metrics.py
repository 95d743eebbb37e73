"""Figures of merit over labelled rows; each is NaN where it is not defined."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def auroc(truth: Array, score: Array) -> float:
    """Area under the ROC curve; ties count half. ``truth`` 0/1 [n], ``score`` [n]."""
    positives, count = int(truth.sum()), len(truth)
    if not 0 < positives < count:
        return float("nan")
    _, place, times = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(times) - (times - 1) / 2)[place]
    below = ranks[truth == 1].sum() - positives * (positives + 1) / 2
    return float(below / (positives * (count - positives)))


def average_precision(truth: Array, score: Array) -> float:
    """Area under the precision-recall curve, by steps."""
    if not truth.any():
        return float("nan")
    hits = truth[np.argsort(-score, kind="stable")]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits == 1].mean())


def calibration_error(truth: Array, probability: Array, bins: int = 15) -> float:
    """Expected calibration error over bins of equal mass."""
    if len(truth) < bins:
        return float("nan")
    parts = np.array_split(np.argsort(probability, kind="stable"), bins)
    return float(sum(len(p) * abs(probability[p].mean() - truth[p].mean()) for p in parts) / len(truth))


def confusion(truth: Array, guess: Array, classes: int = 3) -> Array:
    """Int [classes, classes]: rows are the truth."""
    return np.bincount(truth * classes + guess, minlength=classes**2).reshape(classes, classes)


def macro_recall(truth: Array, guess: Array, classes: int = 3) -> float:
    """Mean over the classes that occur of the share that was found."""
    table = confusion(truth.astype(np.int64), guess, classes)
    seen = table.sum(axis=1) > 0
    return float((table.diagonal()[seen] / table.sum(axis=1)[seen]).mean()) if seen.any() else float("nan")
