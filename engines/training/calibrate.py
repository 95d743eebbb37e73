"""Fit a bundle's probabilities on held-out events, with the logits of each engine that will serve them."""

from __future__ import annotations

import zlib
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines import calibration, golden
from engines.batch import MODALITIES, Float32
from engines.bundle import Bundle
from engines.calibration import Calibration, Fitted
from engines.engine import FusedEngine, open_engine
from engines.errors import EngineError
from engines.head import Logits
from engines.labels import Labels, enough
from engines.sessions.choose import HOST_PRECISIONS, PRECISIONS, able
from engines.thresholds import Thresholds
from engines.training import metrics
from engines.training.align import aligned
from engines.training.dataset import SPLITS, Dataset, Events
from engines.training.fingerprint import fingerprint
from engines.training.fits import Held, fit, held, pick
from engines.training.inputs import Inputs, batches
from engines.training.leaving import SENTIMENT
from engines.training.taxonomy import UNKNOWN
from engines.training.thin import evaluated, refuse, thin
from engines.training.thresholds import Goals, find

FOLDS: Final = 5
COMPARED: Final = 256
"""Events on which other backends of a precision are compared with the one that was fitted."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was written, and how good it is.

    ``errors`` holds by precision the expected calibration error of sentiment and each label, of rows whose
    group the fit had not seen, NaN for what was not fitted; ``notes`` what that is, and why.
    """

    fits: Mapping[str, Calibration]
    errors: Mapping[str, Mapping[str, float]]
    notes: tuple[str, ...] = field(default=())


def calibrate(
    source: Bundle | str | Path,
    data: Dataset,
    inputs: Inputs,
    folder: Path,
    *,
    goals: Goals | None = None,
    strict: bool = False,
    precisions: Sequence[str] = HOST_PRECISIONS,
    threads: int = 0,
) -> Outcome:
    """Fit calibration.json of ``folder`` on the calibration split, at every precision that runs here.

    ``inputs`` are the data's, decoded for the bundle. Labels with too few events keep the calibration and
    the thresholds that they have, which is noted; ``strict`` raises EngineError instead, unless no event
    speaks of them. An empty split always raises it.
    """
    bundle = source if isinstance(source, Bundle) else Bundle.load(source)
    given, data = len(data.notes), aligned(data, bundle.labels)
    events = data.events.of("calibrate")
    if not len(events):
        raise nothing(data.events)
    few = thin(events, bundle.labels)
    if strict:
        refuse(few)
    says, digest = alone(data, events), fingerprint(data)
    fits: dict[str, Calibration] = {}
    errors: dict[str, Mapping[str, float]] = {}
    missing: list[str] = []
    stays: list[Held] = []
    for precision in precisions:
        backends = _here(bundle, precision)
        if backends and (lost := _lost(bundle, precision, few)):
            missing.append(
                f"precision {precision}: nothing is calibrated there, and too few events tell of "
                f"{', '.join(lost)}, so left out"
            )
            continue
        logits = _logits(bundle, backends, precision, inputs, events, threads, missing)
        if logits is None:
            continue
        engine, agrees = backends[0], _agreement(bundle, backends, precision, inputs, events, logits, threads)
        old = _before(bundle, precision)
        stays.append(held(old, bundle.labels, events, few))
        unseen = held_out(bundle.labels, logits, events, says, stays[-1])
        made = replace(
            fit(bundle.labels, logits, events, says, stays[-1]),
            thresholds=_thresholds(bundle.labels, unseen, events, goals or Goals()),
            fitted=Fitted(engine, digest, len(events), agrees),
        )
        fits[precision] = _spared(bundle.labels, old, made, few)
        errors[precision] = _errors(bundle.labels, unseen, events, few)
    if not fits:
        raise EngineError(
            "The bundle was not calibrated",
            where=bundle.name,
            why="; ".join(missing) or "no precision was asked for",
            remedy=f"Ask for one of {', '.join(PRECISIONS)} that this machine computes at",
        )
    # What cannot run here, or was not asked for, keeps the fit that it has: its graphs are the same.
    before = {p: old for p, old in bundle.calibration.items() if p not in precisions or not _here(bundle, p)}
    calibration.dump(folder / "calibration.json", before | fits)
    return Outcome(
        fits, errors, (*data.notes[given:], *_told(few, fits), *_stayed(bundle.labels, stays, few), *missing)
    )


def nothing(events: Events) -> EngineError:
    """The error of an empty calibration split."""
    return EngineError(
        "There is nothing to calibrate on",
        why=f"no event is in the split `calibrate`; there are {counted(events)}",
        remedy='Mark some events with "split": "calibrate", leave `split` out and a tenth is taken, or take '
        "every row with --split all",
    )


def counted(events: Events) -> str:
    """How many events are in each split, in words."""
    return ", ".join(f"{int((events.split == k).sum())} in {name}" for k, name in enumerate(SPLITS))


def alone(data: Dataset, events: Events) -> NDArray[np.int64]:
    """int64 [events, 3]: the sentiment of each modality by itself, UNKNOWN where absent or not annotated."""
    table = [np.array([p.sentiment for p in parts] + [UNKNOWN]) for parts in data.parts]
    return np.stack([own[events.rows[:, m]] for m, own in enumerate(table)], axis=1)


def run(engine: FusedEngine, inputs: Inputs, events: Events, shown: int = 7) -> Logits:
    """Uncalibrated logits of events, one row each; ``shown`` are the modalities that the engine may see."""
    parts = [engine.logits(batch)[1] for batch in batches(inputs, events, shown)]
    grades = [part.severity for part in parts if part.severity is not None]
    return Logits(
        np.concatenate([part.sentiment for part in parts]),
        np.concatenate([part.moderation for part in parts]),
        np.concatenate([part.unimodal for part in parts]),
        np.concatenate(grades) if grades else None,
    )


def held_out(
    labels: Labels, logits: Logits, events: Events, says: NDArray[np.int64], left: Held | None = None
) -> tuple[Float32, Float32]:
    """Probabilities [n, 3] and [n, labels] of every event by a fit on other groups of events than its own,
    but for what is ``left``.
    """
    own = folds(events)
    sentiment, moderation = np.zeros_like(logits.sentiment), np.zeros_like(logits.moderation)
    for k in range(FOLDS):
        rest, here = own != k, own == k
        made = fit(labels, pick(logits, rest), events.where(rest), says[rest], left)
        presence = events.presence[here]
        sentiment[here] = made.sentiment(logits.sentiment[here], presence)
        moderation[here] = made.moderation(logits.moderation[here], presence)
    moderation[~labels.evaluable(events.presence)] = np.nan
    return sentiment, moderation


def folds(events: Events) -> NDArray[np.int64]:
    """int64 [events] 0…4: near-duplicates, which share a group, are in one fold."""
    names = [group or f"#{k}" for k, group in enumerate(events.group.tolist())]
    return np.array([zlib.crc32(name.encode()) % FOLDS for name in names], np.int64)


def _lost(bundle: Bundle, precision: str, few: Container[str]) -> list[str]:
    """What is too ``few`` to be calibrated at a precision without a fit, though it is at another one."""
    own = bundle.calibration.get(precision)
    if own is not None and own.calibrated:
        return []
    others = [fit for fit in bundle.calibration.values() if fit.calibrated]
    names = [name for name in evaluated(bundle.labels) if name in few]
    return [name for name in names if any(name not in fit.uncalibrated for fit in others)]


def _before(bundle: Bundle, precision: str) -> Calibration:
    """What the bundle has for a precision, which also says what was never calibrated."""
    old, known = calibration.serving(bundle.calibration, precision, "warn")
    return old if known else replace(old, uncalibrated=tuple(evaluated(bundle.labels)))


def _spared(labels: Labels, old: Calibration, made: Calibration, few: Mapping[str, str]) -> Calibration:
    """``made``, with what ``old`` says of labels that are too ``few``: thresholds, and which have no fit."""
    every = tuple(evaluated(labels))
    raw = tuple(name for name in every if name in few and name in old.uncalibrated)
    own = {name: at for name, at in old.thresholds.items() if name in few and name not in raw}
    for name, at in made.thresholds.items():
        if name not in few:
            own[name] = at
        elif name in raw:
            own[name] = replace(at, review=None, block=None, recall=None, precision=None, why=few[name])
    return replace(
        made,
        thresholds={name: own[name] for name in labels.names if name in own},
        fitted=made.fitted if len(few) < len(every) else old.fitted,
        calibrated=len(raw) < len(every),
        uncalibrated=raw,
    )


def _told(few: Mapping[str, str], fits: Mapping[str, Calibration]) -> Iterator[str]:
    """What was not fitted, a sentence each."""
    for name, why in few.items():
        without = [precision for precision, each in fits.items() if name in each.uncalibrated]
        if len(without) == len(fits):
            then = "it is not calibrated"
        else:
            then = "its calibration stays as it was" + (f", none at {', '.join(without)}" if without else "")
        yield f"{name}: {why}; {then}"


def _stayed(labels: Labels, stays: Sequence[Held], few: Container[str]) -> Iterator[str]:
    """Of what else was fitted, the presence patterns with too few events, a sentence for each set of them."""
    sets: dict[tuple[str, ...], list[str]] = {}
    for name in evaluated(labels):
        if name in few:
            continue
        if name == SENTIMENT:
            left, can = (
                [each.sentiment for each in stays],
                np.array([enough(labels.sentiment_evidence, p) for p in range(8)]),
            )
        else:
            k = labels.names.index(name)
            left = [each.labels[:, k] for each in stays]
            can = labels.evaluable(np.arange(8, dtype=np.uint8))[:, k]
        where = np.flatnonzero(np.any([can & each for each in left], axis=0)) if left else ()
        sets.setdefault(tuple(_pattern(int(pattern)) for pattern in where), []).append(name)
    for patterns, names in sets.items():
        if patterns:
            yield f"{', '.join(names)}: too few events of {', '.join(patterns)}; calibration stays as it was"


def _pattern(presence: int) -> str:
    return "+".join(name for m, name in enumerate(MODALITIES) if presence >> m & 1)


def _logits(
    bundle: Bundle, backends: Sequence[str], precision: str, inputs: Inputs, events: Events, threads: int,
    notes: list[str],
) -> Logits | None:  # fmt: skip
    """Of the first backend; None, with a note, where none can run it or its golden answers are off."""
    if not backends:
        notes.append(f"precision {precision}: nothing on this machine computes at it")
        return None
    engine = _open(bundle, backends[0], precision, threads)
    try:
        error = engine.golden_error()
        if error is not None and error > golden.bound(precision):
            notes.append(f"precision {precision}: off by {error:.2g} on the golden vectors, so left out")
            return None
        return run(engine, inputs, events)
    finally:
        engine.close()


def _agreement(
    bundle: Bundle, backends: Sequence[str], precision: str, inputs: Inputs, events: Events, logits: Logits,
    threads: int,
) -> dict[str, float]:  # fmt: skip
    """The largest difference that each other backend of the precision makes to a probability."""
    out = {}
    few = events.where(np.arange(len(events)) < COMPARED)
    mine = pick(logits, np.arange(len(few)))
    for name in backends[1:]:
        engine = _open(bundle, name, precision, threads)
        other = run(engine, inputs, few)
        engine.close()
        gaps = (
            calibration.softmax(mine.sentiment) - calibration.softmax(other.sentiment),
            calibration.sigmoid(mine.moderation) - calibration.sigmoid(other.moderation),
        )
        out[name] = round(max(float(np.abs(gap).max(initial=0.0)) for gap in gaps), 7)
    return out


def _here(bundle: Bundle, precision: str) -> list[str]:
    """The backends that compute at a precision on this machine."""
    return [name for name, _ in able(bundle, (precision,))]


def _open(bundle: Bundle, backend: str, precision: str, threads: int) -> FusedEngine:
    return open_engine(bundle, backend, precision, threads=threads, contributions=False, uncalibrated="warn")


def _thresholds(
    labels: Labels, unseen: tuple[Float32, Float32], events: Events, goals: Goals
) -> dict[str, Thresholds]:
    found: dict[str, Thresholds] = {}
    for k, name in enumerate(labels.names):
        known = (events.labels[:, k] != UNKNOWN) & ~np.isnan(unseen[1][:, k])
        found[name] = find(events.labels[known, k], unseen[1][known, k], goals)
    return found


def _errors(
    labels: Labels, unseen: tuple[Float32, Float32], events: Events, few: Container[str]
) -> dict[str, float]:
    known = events.sentiment != UNKNOWN
    chance = unseen[0][known]
    right = chance.argmax(axis=1) == events.sentiment[known]
    out = {SENTIMENT: metrics.calibration_error(right, chance.max(axis=1))}
    for k, name in enumerate(labels.names):
        known = (events.labels[:, k] != UNKNOWN) & ~np.isnan(unseen[1][:, k])
        out[name] = metrics.calibration_error(events.labels[known, k], unseen[1][known, k])
    return {name: float("nan") if name in few else error for name, error in out.items()}
