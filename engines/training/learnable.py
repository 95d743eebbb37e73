"""What a data set can teach: evidence that its rows bear out, rows that judge, what events tell of parts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from engines.batch import MODALITIES
from engines.errors import EngineError
from engines.labels import Evidence, Label, Labels
from engines.training.building import smallest
from engines.training.dataset import Dataset, Events
from engines.training.leaving import options
from engines.training.taxonomy import UNKNOWN

FEWEST: Final = 60
"""Training rows below which none are set aside to judge epochs."""
_PLACES: Final = 1000
Bools = NDArray[np.bool_]


def narrowed(data: Dataset, modalities: frozenset[str]) -> Dataset:
    """``data`` whose labels name only evidence that its training rows bear out, among ``modalities``: a
    modality alone where it was taught both answers, several where events of them were annotated with both.

    So a bundle says `not_evaluated` of what it never learnt. Raises EngineError for a label that no evidence
    is left for, and where nothing at all is left.
    """
    events = data.events.of("train")
    parts = [_taught(data, m) if name in modalities else {} for m, name in enumerate(MODALITIES)]
    labels, lost = [], []
    for k, label in enumerate(data.labels.labels):
        met = _met(events, events.labels[:, k], (0, 1), modalities)
        evidence = _borne(label.evidence, label.name, parts, met)
        labels.append(replace(label, evidence=evidence))
        if not evidence:
            lost.append(label)
    if lost:
        raise _lost(lost)
    met = _met(events, events.sentiment, (), modalities)
    sentiment = _borne(data.labels.sentiment_evidence, "", parts, met)
    if not labels and not sentiment:
        raise EngineError(
            "There is nothing to learn", why="no label is named, and no training row bears out sentiment",
            remedy="Annotate sentiment or labels on rows whose modalities have a tower",
        )  # fmt: skip
    return replace(data, labels=Labels(tuple(labels), sentiment))


def judges(data: Dataset, share: float, seed: int) -> tuple[tuple[Bools, Bools, Bools], Bools]:
    """Which parts of each modality, and which events, judge epochs instead of being learnt from: about a
    ``share`` of the training rows, groups undivided; none where there are few.
    """
    events = data.events
    train = events.split == 0
    share = share if int(train.sum()) >= FEWEST else 0.0
    chosen = np.array(
        [_chosen(seed, str(g) or f"event {k}", share) for k, g in enumerate(events.group)], bool
    )
    own = []
    for m, parts in enumerate(data.parts):
        groups = [f"part {m} {k}" for k in range(len(parts))]
        for event in np.flatnonzero(events.rows[:, m] >= 0):
            if events.group[event]:
                groups[events.rows[event, m]] = str(events.group[event])
        marks = [p.split == "train" and _chosen(seed, g, share) for p, g in zip(parts, groups, strict=True)]
        own.append(np.array(marks, bool))
    return (own[0], own[1], own[2]), chosen & train


def around(data: Dataset, m: int) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """What the events say that the parts of a modality are in, where nobody annotated these alone: sentiment
    int [n] and labels int [n, labels]. None where there is nothing, or where factors tell it better.
    """
    parts, events = data.parts[m], data.events.of("train")
    events = events.where((events.rows[:, m] >= 0) & ((events.rows >= 0).sum(axis=1) > 1))
    if any(p.factor != 2 for p in parts) or not len(events):
        return None
    sentiment = np.full(len(parts), UNKNOWN, np.int64)
    labels = np.full((len(parts), len(data.labels)), UNKNOWN, np.int64)
    places = events.rows[:, m]
    known = events.sentiment != UNKNOWN
    sentiment[places[known]] = events.sentiment[known]
    for k in range(labels.shape[1]):
        known = events.labels[:, k] != UNKNOWN
        labels[places[known], k] = events.labels[known, k]
    for row, part in enumerate(parts):  # what is annotated alone is taught as such
        if part.sentiment != UNKNOWN:
            sentiment[row] = UNKNOWN
        labels[row, [k for k, name in enumerate(data.labels.names) if name in part.labels]] = UNKNOWN
    return (sentiment, labels) if (sentiment >= 0).any() or (labels >= 0).any() else None


def generated(data: Dataset) -> tuple[str, ...]:
    """The modalities whose training parts are all from a generator."""
    events = data.events.of("train")
    made = np.char.startswith(events.source, "generated")
    return tuple(
        name
        for m, name in enumerate(MODALITIES)
        if (events.rows[:, m] >= 0).any() and made[events.rows[:, m] >= 0].all()
    )


def _chosen(seed: int, name: str, share: float) -> bool:
    return crc32(f"{seed} judges {name}".encode()) % _PLACES < share * _PLACES


def _taught(data: Dataset, m: int) -> dict[str, set[int]]:
    """Answers by label that the training parts of a modality hold; sentiment under the empty name."""
    found: dict[str, set[int]] = {}
    for part in data.parts[m]:
        if part.split == "train":
            for name, value in part.labels.items():
                found.setdefault(name, set()).add(value)
            if part.sentiment != UNKNOWN:
                found.setdefault("", set()).update((0, 1))
    return found


def _met(
    events: Events, column: NDArray[Any], wanted: tuple[int, ...], modalities: frozenset[str]
) -> set[frozenset[str]]:
    """The sets of two modalities or more on which all answers ``wanted`` (any, if empty) were annotated."""
    out = set()
    for pattern in range(8):
        own = frozenset(name for m, name in enumerate(MODALITIES) if pattern >> m & 1)
        here = column[events.presence == pattern]
        known = set(here[here != UNKNOWN].tolist())
        if len(own) > 1 and own <= modalities and known and known >= set(wanted):
            out.add(own)
    return out


def _borne(
    declared: Evidence, name: str, parts: list[dict[str, set[int]]], met: set[frozenset[str]]
) -> Evidence:
    alone = {frozenset({own}) for m, own in enumerate(MODALITIES) if parts[m].get(name, set()) >= {0, 1}}
    kept = [s for s in declared if (s in alone if len(s) == 1 else any(s <= other for other in met))]
    # Declared for one modality, annotated only beside others: then it needs what it was annotated on.
    return smallest(kept) if kept else smallest(s for s in met if any(own <= s for own in declared))


def _lost(labels: list[Label]) -> EngineError:
    names = ", ".join(label.name for label in labels)
    return EngineError(
        "Some labels cannot be learnt", where=names,
        why="no training row holds the modalities of their evidence with both answers, yes and no",
        remedy="Annotate such rows, mend the evidence in labels.yaml, or leave labels out with "
        + options(label.name for label in labels),
    )  # fmt: skip
