"""Thresholds that keep a promised precision or recall, with a bound on how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from engines.thresholds import Thresholds
from engines.training.intervals import ONE_SIDED, wilson
from engines.training.metrics import Array, steps

DIGITS: Final = 6
"""As the service rounds probabilities."""


@dataclass(frozen=True, slots=True)
class Goals:
    """What `block` and `review` are to keep, each with 95 % confidence."""

    precision: float = 0.95
    recall: float = 0.9


def find(truth: Array, probability: Array, goals: Goals) -> Thresholds:
    """The lowest `block` that keeps the precision, the highest `review` that keeps the recall.

    ``truth`` 0/1 [n]; ``probability`` [n] must come from fits that did not see these rows. `review` is never
    over `block`: where a block threshold may lie lower, both are there.
    """
    positives, rows = int(truth.sum()), len(truth)
    if not positives or rows == positives:
        none = "no event is annotated" if not rows else f"all {rows} events are of one class"
        aims = {"recall_target": goals.recall, "precision_target": goals.precision}
        return Thresholds(**aims, rows=rows, positives=positives, why=none)
    score, taken, hits = steps(truth, probability)
    edge = np.append((score[:-1] + score[1:]) / 2, score[-1])  # in the gap: noise of an engine moves nothing
    sure = np.flatnonzero(wilson(hits, taken, ONE_SIDED)[0] >= goals.precision)
    full = np.flatnonzero(wilson(hits, np.full(len(hits), positives), ONE_SIDED)[0] >= goals.recall)
    block = int(sure[-1]) if len(sure) else None
    review = None if not len(full) else int(full[0]) if block is None else max(int(full[0]), block)
    why = [
        *([] if review is not None else [_few_for_recall(positives, goals)]),
        *([] if block is not None else [_no_precision(positives, goals)]),
    ]
    return Thresholds(
        None if review is None else round(float(edge[review]), DIGITS),
        None if block is None else round(float(edge[block]), DIGITS),
        None if review is None else round(float(hits[review] / positives), 4),
        None if block is None else round(float(hits[block] / taken[block]), 4),
        goals.recall, goals.precision, rows, positives, "; ".join(why),
    )  # fmt: skip


def fewest(target: float) -> int:
    """How many hits without one miss it takes to be sure of a share."""
    return int(np.ceil(ONE_SIDED**2 * target / (1 - target)))


def _few_for_recall(positives: int, goals: Goals) -> str:
    return (
        f"no recall of {goals.recall:g} can be promised with {positives} positive events, "
        f"at least {fewest(goals.recall)} are needed"
    )


def _no_precision(positives: int, goals: Goals) -> str:
    needed = fewest(goals.precision)
    if positives < needed:
        return (
            f"no precision of {goals.precision:g} can be promised with {positives} positive events, "
            f"at least {needed} are needed"
        )
    return f"at no threshold a precision of {goals.precision:g} is sure"
