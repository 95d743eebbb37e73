"""Whether an event's answer depends on its company: alone, in any batch, in any order."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.batch import Batch, Example, Float32
from engines.engine import FusedEngine
from engines.training.dataset import Events
from engines.training.inputs import Inputs, example
from engines.training.report import Invariance

EVENTS: Final = 70
LIMITS: Final = {"fp32": (1e-3, 0.0)}
"""By precision: the largest difference of a probability, and the share of decisions that may flip."""
LOWER: Final = (0.02, 0.001)
"""The same for precisions below fp32."""


def invariance(engine: FusedEngine, inputs: Inputs, events: Events, count: int = EVENTS) -> Invariance:
    """Score some events of every presence pattern one by one, all at once, and shuffled in small batches."""
    presence = events.presence
    order = [np.flatnonzero(presence == p)[: max(1, count // 7)] for p in range(1, 8)]
    rows = [example(inputs, row) for row in events.rows[np.concatenate(order)]]
    shuffled = np.random.default_rng(0).permutation(len(rows))
    alone = _answers(engine, rows, 1)
    mixed = np.empty_like(alone)
    mixed[shuffled] = _answers(engine, [rows[k] for k in shuffled], 9)
    others = (_answers(engine, rows, len(rows)), mixed)
    bars = _bars(engine)
    limit, flips = LIMITS.get(engine.info.precision, LOWER)
    return Invariance(
        len(rows),
        max(float(np.nanmax(np.abs(other - alone), initial=0.0)) for other in others),
        max(int(((other[:, 3:] >= bars) != (alone[:, 3:] >= bars)).sum()) for other in others),
        int((~np.isnan(alone[:, 3:])).sum()),
        limit,
        flips,
    )


def _answers(engine: FusedEngine, rows: list[Example], size: int) -> Float32:
    """float32 [events, 3 + labels] probabilities."""
    parts = [engine.infer(Batch.of(rows[k : k + size])) for k in range(0, len(rows), size)]
    return np.concatenate([np.concatenate([p.sentiment, p.moderation], axis=1) for p in parts])


def _bars(engine: FusedEngine) -> NDArray[np.float64]:
    """The thresholds that decide: calibrated ones to block, else a half."""
    found = [engine.thresholds.get(name) for name in engine.labels.names]
    return np.array([0.5 if each is None or each.block is None else each.block for each in found])
