"""Measure a bundle on labelled events, through the engine and calibration that serve it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.batch import MODALITIES, Outputs
from engines.engine import FusedEngine
from engines.errors import EngineError
from engines.training import intervals, metrics
from engines.training.align import aligned
from engines.training.calibrate import counted, run
from engines.training.dataset import Dataset, Events
from engines.training.fingerprint import fingerprint
from engines.training.inputs import Inputs, batches, decode
from engines.training.invariance import invariance
from engines.training.report import (
    Crossed,
    LabelReport,
    Operating,
    Report,
    SentimentReport,
    Slice,
    SplitReport,
)
from engines.training.taxonomy import UNKNOWN

PATTERNS: Final = {p: "+".join(m for k, m in enumerate(MODALITIES) if p >> k & 1) for p in range(1, 8)}
"""Presence bitmask → how people write it."""


def evaluate(
    engine: FusedEngine,
    data: Dataset,
    splits: Iterable[str] = ("test", "ood"),
    inputs: Inputs | None = None,
) -> Report:
    """Every figure of the card, by split; ``inputs`` are the data's, if they are decoded already.

    Splits without events are left out and noted; raises EngineError where all are empty, or where the data
    and the bundle have nothing in common.
    """
    data = aligned(data, engine.labels)
    held = {split: data.events.of(split) for split in splits}
    empty = [split for split, events in held.items() if not len(events)]
    if len(empty) == len(held):
        raise EngineError(
            "There is nothing to measure on",
            why=f"no event is in the split {' or '.join(empty)}; there are {counted(data.events)}",
            remedy='Mark held-out events with "split": "test", leave `split` out and a tenth is taken, or '
            "name a split with --split; --split all takes every row as held out",
        )
    inputs = decode(data, engine.preprocess) if inputs is None else inputs
    measured = {split: measure(engine, inputs, events) for split, events in held.items() if len(events)}
    info = engine.info
    return Report(
        info.bundle, info.version, info.digest, info.engine, info.backend, info.precision, info.calibrated,
        info.synthetic, fingerprint(data), measured,
        invariance(engine, inputs, next(events for events in held.values() if len(events))),
        (*data.notes, *(f"no event is in the split {split}" for split in empty)), info.uncalibrated,
    )  # fmt: skip


def measure(engine: FusedEngine, inputs: Inputs, events: Events) -> SplitReport:
    """Some events whole, and by language, presence pattern and source."""
    outputs = answers(engine, inputs, events)
    return SplitReport(
        _slice(engine, outputs, events, whole=True),
        _slices(engine, outputs, events, events.lang),
        _slices(engine, outputs, events, np.array([PATTERNS[p] for p in events.presence.tolist()])),
        _slices(engine, outputs, events, events.source),
        tuple(crossed(engine, inputs, events.where(events.crossed))),
    )


def answers(engine: FusedEngine, inputs: Inputs, events: Events) -> Outputs:
    """Calibrated outputs of events."""
    parts = [engine.infer(batch) for batch in batches(inputs, events)]
    return Outputs(*(np.concatenate([getattr(p, each.name) for p in parts]) for each in fields(Outputs)))


def crossed(engine: FusedEngine, inputs: Inputs, events: Events) -> Iterable[Crossed]:
    """Labels that need several modalities, on events of balanced sets: together, and each alone."""
    labels = engine.labels
    two = [k for k, label in enumerate(labels.labels) if all(len(needed) > 1 for needed in label.evidence)]
    known = {k: (events.labels[:, k] != UNKNOWN) & labels.evaluable(events.presence)[:, k] for k in two}
    if not any(mask.any() for mask in known.values()):
        return
    together = run(engine, inputs, events).moderation
    alone = {}
    for m, name in enumerate(MODALITIES):
        if (events.rows[:, m] >= 0).all():
            alone[name] = run(engine, inputs, events, 1 << m).moderation
    for k, mask in known.items():
        if mask.any():
            truth = events.labels[mask, k]
            yield Crossed(
                labels.names[k],
                len(truth),
                _auroc(truth, together[mask, k]),
                {name: _auroc(truth, own[mask, k]) for name, own in alone.items()},
            )


def _slices(
    engine: FusedEngine, outputs: Outputs, events: Events, names: NDArray[np.str_]
) -> Mapping[str, Slice]:
    """A slice for each name, the largest first; what has none is left out."""
    found, counts = np.unique(names[names != ""], return_counts=True)
    out = {}
    for name in found[np.argsort(-counts, kind="stable")]:
        here = names == name
        picked = Outputs(*(getattr(outputs, each.name)[here] for each in fields(Outputs)))
        out[str(name)] = _slice(engine, picked, events.where(here))
    return out


def _slice(engine: FusedEngine, outputs: Outputs, events: Events, whole: bool = False) -> Slice:
    labels = {name: _label(engine, outputs, events, k, whole) for k, name in enumerate(engine.labels.names)}
    return Slice(
        len(events), _sentiment(outputs, events, whole), labels, _any_rule(engine, outputs, events, whole)
    )


def _sentiment(outputs: Outputs, events: Events, whole: bool) -> SentimentReport:
    there = ~np.isnan(outputs.sentiment).any(axis=1)
    known = (events.sentiment != UNKNOWN) & there
    truth, chance = events.sentiment[known].astype(np.int64), outputs.sentiment[known]
    guess = chance.argmax(axis=1)
    right, sure = guess == truth, chance.max(axis=1, initial=0.0)
    table = metrics.confusion(truth, guess)
    counts = table.sum(axis=1)
    graded = ~np.isnan(events.polarity) & there
    polarity = outputs.sentiment[graded, 2] - outputs.sentiment[graded, 0]
    off = np.abs(polarity - events.polarity[graded])
    return SentimentReport(
        len(truth),
        intervals.mean_of_shares(table.diagonal(), counts),
        tuple(float(d / n) if n else float("nan") for d, n in zip(table.diagonal(), counts, strict=True)),
        metrics.calibration_error(right, sure),
        metrics.brier(np.eye(3)[truth], chance),
        tuple(tuple(int(n) for n in row) for row in table),
        float(off.mean()) if len(off) else float("nan"),
        len(off),
        tuple(metrics.reliability(right, sure)) if whole else (),
    )


def _label(engine: FusedEngine, outputs: Outputs, events: Events, k: int, whole: bool) -> LabelReport:
    known = (events.labels[:, k] != UNKNOWN) & ~np.isnan(outputs.moderation[:, k])
    truth, chance = events.labels[known, k].astype(np.int64), outputs.moderation[known, k]
    graded = (events.severity[:, k] != UNKNOWN) & ~np.isnan(outputs.severity[:, k])
    off = np.abs(outputs.severity[graded, k] - events.severity[graded, k])
    found = engine.thresholds.get(engine.labels.names[k])
    at = (None, None) if found is None else (found.review, found.block)
    review, block = (None if bar is None else _operating(truth, chance, bar) for bar in at)
    error = float(off.mean()) if len(off) else float("nan")
    return _report(truth, chance, whole, review=review, block=block, severity_error=error)


def _any_rule(engine: FusedEngine, outputs: Outputs, events: Events, whole: bool) -> LabelReport:
    """Events that certainly break a rule against those of which every label that can be judged is 0."""
    can = engine.labels.evaluable(events.presence)
    broken = ((events.labels == 1) & can).any(axis=1)
    clean = ((events.labels == 0) | ~can).all(axis=1) & can.any(axis=1)
    known = broken | clean
    chance = np.nan_to_num(outputs.moderation[known], nan=0.0).max(axis=1, initial=0.0)
    found = _report(broken[known].astype(np.int64), chance, whole)
    # The likeliest label's probability ranks events; it is not the chance that any rule is broken.
    return replace(found, ece=float("nan"), brier=float("nan"), bins=())


def _report(truth: NDArray[Any], chance: NDArray[Any], whole: bool, **more: Any) -> LabelReport:
    positives = int(truth.sum())
    return LabelReport(
        len(truth),
        positives,
        _auroc(truth, chance),
        metrics.average_precision(truth, chance) if positives < len(truth) else float("nan"),
        metrics.calibration_error(truth, chance),
        metrics.brier(truth, chance),
        bins=tuple(metrics.reliability(truth, chance)) if whole else (),
        curve=tuple(metrics.curve(truth, chance)) if whole else (),
        **more,
    )


def _operating(truth: NDArray[Any], chance: NDArray[Any], bar: float) -> Operating:
    over = chance >= bar
    hits = int(truth[over].sum())
    taken = int(over.sum())
    return Operating(bar, intervals.share(hits, taken), intervals.share(hits, int(truth.sum())), taken)


def _auroc(truth: NDArray[Any], score: NDArray[Any]) -> intervals.Estimate:
    positives = int(truth.sum())
    return intervals.of_auroc(metrics.auroc(truth, score), positives, len(truth) - positives)
