"""Temperature and Platt scaling by presence pattern, each drawn to the fit over all patterns; then a bend.

Guo et al. 2017, "On Calibration of Modern Neural Networks" (temperature); Platt 1999 (scale and bias); Kull,
Silva Filho and Flach 2017, "Beta calibration" (the bend: what is rare and what is sure need other scales).
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engines.batch import Float32
from engines.calibration import Calibration
from engines.head import Logits
from engines.labels import Labels
from engines.training.dataset import Events
from engines.training.leaving import SENTIMENT
from engines.training.taxonomy import UNKNOWN
from engines.training.thin import FEWEST, others

PULL: Final = 10.0
"""How strongly a presence pattern's fit is drawn to the fit over all patterns: worth some 40 rows."""
ENOUGH_ROWS: Final = 200
ENOUGH_POSITIVES: Final = 30
"""With fewer rows, or fewer of either class, the pull grows in proportion: nothing is learnt from chance."""
_STEPS: Final = 40

_FLATTEST: Final = 0.05
"""The least scale: a higher logit is never a lower probability."""

Integers = NDArray[np.integer[Any]]


class Held(NamedTuple):
    """What a fit leaves as ``old`` has it, bool: ``sentiment`` [8] and ``labels`` [8, labels] by presence
    pattern, and ``bends`` [labels], which all patterns share; `held` works it out.
    """

    old: Calibration
    sentiment: NDArray[np.bool_]
    labels: NDArray[np.bool_]
    bends: NDArray[np.bool_]


def fit(
    labels: Labels, logits: Logits, events: Events, alone: NDArray[np.int64], left: Held | None = None
) -> Calibration:
    """The calibration that makes what is annotated likeliest; ``logits`` one row an event.

    ``alone`` int64 [events, 3]: what each modality says by itself, `UNKNOWN` where nobody knows; what is
    ``left`` is not fitted anew.
    """
    presence = events.presence
    out = Calibration.identity(len(labels))
    bend = _bends(out, len(labels))
    out = replace(out, calibrated=True, bend=bend)
    whole = temperature(logits.sentiment, events.sentiment, 0.0, PULL)
    for pattern in range(8):
        here = (presence == pattern) & (events.sentiment != UNKNOWN)
        scores, truth = logits.sentiment[here], events.sentiment[here]
        fewest = np.bincount(truth, minlength=3).min()
        out.temperature[pattern] = np.exp(temperature(scores, truth, whole, pull(len(truth), fewest)))
    can = labels.evaluable(presence)
    for k in range(len(labels)):
        known = (events.labels[:, k] != UNKNOWN) & can[:, k]
        scores, truth = logits.moderation[:, k], events.labels[:, k]
        given = None if left is None or not left.bends[k] else _bends(left.old, len(labels))[k]
        start = platt(scores[known], truth[known], (1.0, 0.0), 1.0, given)
        for pattern in range(8):
            here = known & (presence == pattern)
            positives = int(truth[here].sum())
            strength = pull(int(here.sum()), min(positives, int(here.sum()) - positives))
            out.scale[pattern, k], out.bias[pattern, k] = platt(
                scores[here], truth[here], start, strength, given
            )
        scaled = out.scale[presence, k] * scores + out.bias[presence, k]
        bend[k] = beta(scaled[known], truth[known]) if given is None else given
    for m in range(3):
        out.unimodal_temperature[m] = np.exp(temperature(logits.unimodal[:, m], alone[:, m], 0.0, PULL))
    return out if left is None else _kept(out, left, alone)


def held(old: Calibration, labels: Labels, events: Events, named: Container[str]) -> Held:
    """``old`` for what is ``named``: labels, with every pattern, and sentiment; and for the presence
    patterns, of what ``old`` calibrates, with fewer than `FEWEST` rows that are not of the commonest answer.

    A label of which any pattern stays keeps its bend, lest that pattern's probabilities change.
    """
    sentiment, sure = np.zeros(8, np.bool_), np.zeros((8, len(labels)), np.bool_)
    can = labels.evaluable(np.arange(8, dtype=np.uint8))
    for pattern in range(8):
        here = events.presence == pattern
        few = others(events.sentiment[here]) < FEWEST
        sentiment[pattern] = SENTIMENT in named or (few and SENTIMENT not in old.uncalibrated)
        for k, name in enumerate(labels.names):
            few = bool(can[pattern, k]) and others(events.labels[here, k]) < FEWEST
            sure[pattern, k] = name in named or (few and name not in old.uncalibrated)
    return Held(old, sentiment, sure, np.asarray(sure.any(axis=0)))


def pull(rows: int, fewest: int) -> float:
    """How strongly so many rows are drawn to the fit over all patterns; ``fewest`` of the rarer class."""
    return PULL * max(1.0, ENOUGH_ROWS / max(rows, 1), ENOUGH_POSITIVES / max(fewest, 1))


def pick(logits: Logits, rows: NDArray[Any]) -> Logits:
    """Some rows of logits."""
    grades = None if logits.severity is None else logits.severity[rows]
    return Logits(logits.sentiment[rows], logits.moderation[rows], logits.unimodal[rows], grades)


def temperature(logits: Float32, truth: Integers, start: float, strength: float) -> float:
    """Log temperature that makes what is known of ``truth`` likeliest, drawn to ``start``."""
    known = truth != UNKNOWN
    scores, classes = logits[known].astype(np.float64), truth[known].astype(np.int64)

    def cost(log_t: float) -> float:
        scaled = scores / np.exp(log_t)
        top = scaled.max(axis=1, keepdims=True)
        total = (top[:, 0] + np.log(np.exp(scaled - top).sum(axis=1))).sum()
        return float(total - scaled[np.arange(len(classes)), classes].sum() + strength * (log_t - start) ** 2)

    if not len(classes):
        return start
    low, high, ratio = -2.0, 2.5, (5**0.5 - 1) / 2
    for _ in range(_STEPS):  # golden section: the cost has one valley
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if cost(left) < cost(right) else (left, high)
    return (low + high) / 2


def platt(
    scores: Float32,
    truth: Integers,
    start: tuple[float, float],
    strength: float,
    bend: Float32 | None = None,
) -> tuple[float, float]:
    """Scale and bias, drawn to ``start``, which they are where one class is missing; ``bend`` [3] is what
    bends the scaled logits afterwards, if that is known.
    """
    if len(truth) == 0 or truth.min() == truth.max():
        return start
    rows = np.stack([scores.astype(np.float64), np.ones(len(scores))], axis=1)
    scale, bias = _likeliest(rows, truth, start, strength, bend)
    return max(scale, _FLATTEST), bias


def beta(scores: Float32, truth: Integers) -> tuple[float, float, float]:
    """The scales above and below zero and the shift, drawn to what changes nothing: that where one class is
    missing.
    """
    start = (1.0, 1.0, 0.0)
    if len(truth) == 0 or truth.min() == truth.max():
        return start
    exact = scores.astype(np.float64)
    rows = np.stack([np.logaddexp(0, exact), -np.logaddexp(0, -exact), np.ones(len(exact))], axis=1)
    positives = int(truth.sum())
    strength = pull(len(truth), min(positives, len(truth) - positives)) / PULL
    above, below, shift = _likeliest(rows, truth, start, strength)
    return max(above, _FLATTEST), max(below, _FLATTEST), shift


def _kept(made: Calibration, left: Held, alone: NDArray[np.int64]) -> Calibration:
    """``made``, with what was ``left``; and a modality by itself where ``alone`` tells too little of it."""
    few = np.array([others(alone[:, m]) < FEWEST for m in range(3)], np.bool_)
    return replace(
        made,
        temperature=np.where(left.sentiment, left.old.temperature, made.temperature),
        scale=np.where(left.labels, left.old.scale, made.scale),
        bias=np.where(left.labels, left.old.bias, made.bias),
        unimodal_temperature=np.where(few, left.old.unimodal_temperature, made.unimodal_temperature),
    )


def _bends(made: Calibration, labels: int) -> Float32:
    """Float32 [labels, 3], which bends nothing where there is none."""
    return np.tile(np.array([1, 1, 0], np.float32), (labels, 1)) if made.bend is None else made.bend


def _likeliest(
    rows: NDArray[np.float64],
    truth: Integers,
    start: Sequence[float],
    strength: float,
    bend: Float32 | None = None,
) -> list[float]:
    """Weights of the columns that make ``truth`` likeliest, by Newton's method, drawn to ``start``; with a
    ``bend`` after them by Fisher scoring, which is the same where it bends nothing.
    """
    origin = np.array(start)
    weights = origin.copy()
    for _ in range(_STEPS):
        logits, columns = rows @ weights, rows
        if bend is not None:
            up = 0.5 * (1 + np.tanh(0.5 * logits))
            columns = rows * (bend[0] * up + bend[1] * (1 - up))[:, None]
            logits = bend[0] * np.logaddexp(0, logits) - bend[1] * np.logaddexp(0, -logits) + bend[2]
        chance = 0.5 * (1 + np.tanh(0.5 * logits))
        slope = columns.T @ (chance - truth) + strength * (weights - origin)
        curve = (columns * (chance * (1 - chance))[:, None]).T @ columns + strength * np.eye(len(origin))
        step = np.linalg.solve(curve, slope)
        weights -= step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-9))
        if float(np.abs(step).max()) < 1e-7:
            break
    return [float(weight) for weight in weights]
