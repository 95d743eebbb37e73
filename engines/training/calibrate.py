"""Fit a bundle's probabilities on held-out events, with the logits of the engine that will serve them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines import calibration
from engines.batch import Float32
from engines.calibration import Calibration
from engines.engine import FusedEngine
from engines.head import Logits
from engines.training.dataset import Dataset, Events
from engines.training.inputs import Inputs, batches
from engines.training.taxonomy import UNKNOWN

PULL: Final = 10.0
"""How strongly a presence pattern's fit is drawn to the fit over all patterns: worth some 40 rows."""
_STEPS: Final = 40

Float64 = NDArray[np.float64]


def calibrate(engine: FusedEngine, data: Dataset, inputs: Inputs, folder: Path) -> None:
    """Fit calibration.json of ``folder`` on the calibration split, with the logits of ``engine``."""
    events = data.events.of("calibrate")
    fitted = fit(engine, run(engine, inputs, events), events, alone(data, events))
    calibration.dump(folder / "calibration.json", {engine.info.precision: fitted})


def alone(data: Dataset, events: Events) -> NDArray[np.int64]:
    """int64 [events, 3]: the sentiment of each modality by itself, UNKNOWN where absent or not annotated."""
    table = [np.array([p.sentiment for p in parts] + [UNKNOWN]) for parts in data.parts]
    return np.stack([own[events.rows[:, m]] for m, own in enumerate(table)], axis=1)


def run(engine: FusedEngine, inputs: Inputs, events: Events, shown: int = 7) -> Logits:
    """Uncalibrated logits of events, one row each; ``shown`` are the modalities that the engine may see."""
    parts = [engine.logits(batch)[1] for batch in batches(inputs, events, shown)]
    return Logits(
        np.concatenate([p.sentiment for p in parts]),
        np.concatenate([p.moderation for p in parts]),
        np.concatenate([p.unimodal for p in parts]),
    )


def fit(engine: FusedEngine, logits: Logits, events: Events, alone: NDArray[np.int64]) -> Calibration:
    """Temperature and Platt scaling per presence pattern; ``alone`` int64 [events, 3]: what each modality
    says by itself, `UNKNOWN` where nobody knows.
    """
    presence, labels = events.presence, len(engine.labels)
    out = Calibration.identity(labels)
    whole = _temperature(logits.sentiment, events.sentiment, 0.0)
    for pattern in range(8):
        here = presence == pattern
        out.temperature[pattern] = np.exp(_temperature(logits.sentiment[here], events.sentiment[here], whole))
    can = engine.labels.evaluable(presence)
    for k in range(labels):
        known = (events.labels[:, k] != UNKNOWN) & can[:, k]
        scores, truth = logits.moderation[:, k], events.labels[:, k]
        start = _platt(scores[known], truth[known], (1.0, 0.0), 1.0)
        for pattern in range(8):
            here = known & (presence == pattern)
            out.scale[pattern, k], out.bias[pattern, k] = _platt(scores[here], truth[here], start, PULL)
    for m in range(3):
        out.unimodal_temperature[m] = np.exp(_temperature(logits.unimodal[:, m], alone[:, m], 0.0))
    return out


def _temperature(logits: Float32, truth: NDArray[np.integer], start: float) -> float:
    """Log temperature that makes what is known of ``truth`` likeliest, drawn to ``start``."""
    known = truth != UNKNOWN
    scores, classes = logits[known].astype(np.float64), truth[known].astype(np.int64)

    def cost(log_t: float) -> float:
        scaled = scores / np.exp(log_t)
        top = scaled.max(axis=1, keepdims=True)
        total = (top[:, 0] + np.log(np.exp(scaled - top).sum(axis=1))).sum()
        return float(total - scaled[np.arange(len(classes)), classes].sum() + PULL * (log_t - start) ** 2)

    if not len(classes):
        return start
    low, high, ratio = -2.0, 2.5, (5**0.5 - 1) / 2
    for _ in range(_STEPS):  # golden section: the cost has one valley
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if cost(left) < cost(right) else (left, high)
    return (low + high) / 2


def _platt(
    scores: Float32, truth: NDArray[np.integer], start: tuple[float, float], pull: float
) -> tuple[float, float]:
    """Scale and bias by Newton's method, drawn to ``start``, which it is where one class is missing."""
    if len(truth) == 0 or truth.min() == truth.max():
        return start
    rows = np.stack([scores.astype(np.float64), np.ones(len(scores))], axis=1)
    origin = np.array(start)
    weights = origin.copy()
    for _ in range(_STEPS):
        chance = 0.5 * (1 + np.tanh(0.5 * rows @ weights))
        slope = rows.T @ (chance - truth) + pull * (weights - origin)
        curve = (rows * (chance * (1 - chance))[:, None]).T @ rows + pull * np.eye(2)
        step = np.linalg.solve(curve, slope)
        weights -= step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-9))
        if float(np.abs(step).max()) < 1e-7:
            break
    return max(float(weights[0]), 0.05), float(weights[1])
