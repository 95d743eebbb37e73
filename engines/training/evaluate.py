"""Measure a bundle on labelled events, through the engine and calibration that serve it."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from engines.batch import MODALITIES, Outputs
from engines.engine import FusedEngine
from engines.errors import EngineError
from engines.training import metrics
from engines.training.calibrate import run
from engines.training.dataset import Dataset, Events
from engines.training.inputs import Inputs, batches, decode
from engines.training.taxonomy import NAMES, UNKNOWN

PATTERNS: Final = {p: "+".join(m for k, m in enumerate(MODALITIES) if p >> k & 1) for p in range(1, 8)}
"""Presence bitmask → how people write it."""


def evaluate(engine: FusedEngine, data: Dataset, splits: tuple[str, ...] = ("test", "ood")) -> dict[str, Any]:
    """Every figure of the card, by split; raises EngineError where the bundle has other labels."""
    if engine.labels.names != NAMES:
        raise EngineError(
            "This bundle cannot be measured on generated events",
            where=engine.info.bundle,
            why="its labels are not those of the generator",
        )
    inputs = decode(data, engine.preprocess)
    return {split: measure(engine, inputs, data.events.of(split)) for split in splits}


def measure(engine: FusedEngine, inputs: Inputs, events: Events) -> dict[str, Any]:
    """Sentiment, labels, patterns and the label that needs two modalities, on some events."""
    outputs = answers(engine, inputs, events)
    return {
        "events": len(events),
        "sentiment": _sentiment(outputs, events),
        "labels": {name: _label(outputs, events, k) for k, name in enumerate(NAMES)},
        "patterns": {
            name: _pattern(outputs, events, pattern)
            for pattern, name in PATTERNS.items()
            if (events.presence == pattern).any()
        },
        "crossed": crossed(engine, inputs, events.where(events.crossed)),
    }


def answers(engine: FusedEngine, inputs: Inputs, events: Events) -> Outputs:
    """Calibrated outputs of events."""
    parts = [engine.infer(batch) for batch in batches(inputs, events)]
    return Outputs(*(np.concatenate([getattr(p, name) for p in parts]) for name in Outputs.__slots__))


def crossed(engine: FusedEngine, inputs: Inputs, events: Events) -> dict[str, float]:
    """AUROC of `hate` where text and image only tell it together: with both, and with either alone."""
    k = NAMES.index("hate")
    shown = {"both": 7, "text alone": 1, "image alone": 2}
    return {
        name: metrics.auroc(events.labels[:, k], run(engine, inputs, events, bits).moderation[:, k])
        for name, bits in shown.items()
    }


def _sentiment(outputs: Outputs, events: Events) -> dict[str, Any]:
    known = events.sentiment != UNKNOWN
    truth, chance = events.sentiment[known].astype(np.int64), outputs.sentiment[known]
    guess = chance.argmax(axis=1)
    return {
        "rows": len(truth),
        "macro recall": metrics.macro_recall(truth, guess),
        "ECE": metrics.calibration_error(guess == truth, chance.max(axis=1)),
        "confusion": metrics.confusion(truth, guess).tolist(),
    }


def _label(outputs: Outputs, events: Events, k: int) -> dict[str, Any]:
    known = (events.labels[:, k] != UNKNOWN) & ~np.isnan(outputs.moderation[:, k])
    truth, chance = events.labels[known, k], outputs.moderation[known, k]
    return {
        "rows": len(truth),
        "positive": int(truth.sum()),
        "AUROC": metrics.auroc(truth, chance),
        "AP": metrics.average_precision(truth, chance),
        "ECE": metrics.calibration_error(truth, chance),
    }


def _pattern(outputs: Outputs, events: Events, pattern: int) -> dict[str, Any]:
    here = events.presence == pattern
    own = events.where(here)
    picked = Outputs(*(getattr(outputs, name)[here] for name in Outputs.__slots__))
    labels = [_label(picked, own, k) for k in range(len(NAMES))]
    return {
        "rows": len(own),
        "sentiment": _sentiment(picked, own)["macro recall"],
        "mean AUROC": _mean([x["AUROC"] for x in labels]),
        "mean ECE": _mean([x["ECE"] for x in labels]),
    }


def _mean(values: list[float]) -> float:
    known = [v for v in values if not np.isnan(v)]
    return float(np.mean(known)) if known else float("nan")
