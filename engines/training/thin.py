"""Which labels are annotated too thinly to be calibrated: their probabilities would follow chance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.labels import Labels
from engines.training.dataset import Events
from engines.training.leaving import SENTIMENT
from engines.training.taxonomy import UNKNOWN

FEWEST: Final = 10
"""Events of either answer that a label needs; sentiment so many that are not of its commonest class."""
SILENT: Final = "no event is annotated"


def thin(events: Events, labels: Labels) -> dict[str, str]:
    """Why there is too little, by label, or `SENTIMENT`; what the bundle never evaluates is not asked for."""
    return dict(_troubles(events, labels))


def refuse(found: Mapping[str, str]) -> None:
    """Raise EngineError for labels that are annotated, but not well enough."""
    # A label that no event speaks of is no mistake: people calibrate what they have.
    bad = [f"{name}: {why}" for name, why in found.items() if why != SILENT]
    if bad:
        raise EngineError(
            "The calibration split holds too little",
            why="\n  " + "\n  ".join(bad) + "\n",
            remedy="Label more events for these, leave these labels out of the file, or let them be with "
            "--lenient: they then stay as they were",
        )


def others(classes: NDArray[np.integer[Any]]) -> int:
    """How many of the known ones are of another class than the commonest."""
    known = classes[classes != UNKNOWN]
    return len(known) - int(np.bincount(known, minlength=1).max())


def evaluated(labels: Labels) -> Iterator[str]:
    """`SENTIMENT` and the labels, those that have evidence which suffices."""
    if labels.sentiment_evidence:
        yield SENTIMENT
    yield from (label.name for label in labels.labels if label.evidence)


def _troubles(events: Events, labels: Labels) -> Iterator[tuple[str, str]]:
    can = labels.evaluable(events.presence)
    for name in evaluated(labels):
        if name == SENTIMENT:
            why = _sentiment(events.sentiment)
        else:
            k = labels.names.index(name)
            why = _label(events.labels[can[:, k] & (events.labels[:, k] != UNKNOWN), k])
        if why:
            yield name, why


def _sentiment(classes: NDArray[np.int8]) -> str:
    """Why these classes, some of them perhaps unknown, are too few; empty where they are not."""
    rows, rest = int((classes != UNKNOWN).sum()), others(classes)
    if not rows:
        return SILENT
    if not rest:
        return f"all {rows} events are of one class"
    if rest < FEWEST:
        return f"{rest} of {rows} events are not of the commonest class, at least {FEWEST} are needed"
    return ""


def _label(truth: NDArray[np.int8]) -> str:
    """Why these 0 and 1 are too few; empty where they are not."""
    rows, positives = len(truth), int(truth.sum())
    if not rows:
        return SILENT
    if positives in (0, rows):
        return f"one class only, all {rows} events are {'positive' if positives else 'negative'}"
    if min(positives, rows - positives) < FEWEST:
        return f"{positives} of {rows} events are positive, at least {FEWEST} of each kind are needed"
    return ""
