"""Labelled events made of annotated parts, of any label set: in memory for training, on disk as files."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import nan
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.errors import BundleError, EngineError
from engines.labels import Label, Labels
from engines.training import building, leaving, neighbours
from engines.training.building import Parts
from engines.training.grouping import name_groups, telling
from engines.training.loaders import OWN, Options, detect, read
from engines.training.rows import Journal, Row, counted
from engines.training.taxonomy import UNKNOWN

Int8 = NDArray[np.int8]
SPLITS: Final = ("train", "calibrate", "test", "ood")


@dataclass(frozen=True, slots=True)
class Events:
    """Events as rows of the parts of each modality.

    ``rows`` int32 [events, 3], -1 = absent; ``sentiment`` int8 [events]; ``labels`` int8 [events, labels],
    -1 = not annotated; ``split`` int8 [events], an index of `SPLITS`; ``crossed`` bool [events]: an event of
    a balanced set with a label that neither modality tells alone; ``lang``, ``source`` and ``group`` str
    [events], empty where unknown, groups hold near-duplicates together; ``polarity`` float32 [events], −1…1,
    NaN = not annotated; ``severity`` int8 [events, labels], 0…7, -1 = not annotated.
    """

    rows: NDArray[np.int32]
    sentiment: Int8
    labels: Int8
    split: Int8
    crossed: NDArray[np.bool_]
    lang: NDArray[np.str_]
    source: NDArray[np.str_]
    group: NDArray[np.str_]
    polarity: NDArray[np.float32]
    severity: Int8

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def presence(self) -> NDArray[np.uint8]:
        """uint8 [events]: the modalities that are there, as bits."""
        return np.asarray(((self.rows >= 0) << np.arange(3)).sum(axis=1), np.uint8)

    def where(self, mask: NDArray[np.bool_]) -> Events:
        """The events that ``mask`` picks."""
        return Events(*(getattr(self, name)[mask] for name in self.__slots__))

    def of(self, split: str) -> Events:
        """The events of one split."""
        return self.where(self.split == SPLITS.index(split))


@dataclass(frozen=True, slots=True)
class Dataset:
    """All parts, by modality, the events that are made of them, and the labels that columns stand for.

    ``notes`` are sentences on what was chosen or left out while it was read.
    """

    parts: Parts
    events: Events
    labels: Labels
    notes: tuple[str, ...] = ()

    def pick(self, mask: NDArray[np.bool_], note: str = "") -> Dataset:
        """The events that ``mask`` bool [events] picks, with the parts that they hold and no others; ``note``
        is added where some are left out.
        """
        events = self.events.where(mask)
        parts: Parts = ([], [], [])
        rows = np.full_like(events.rows, -1)
        for m, own in enumerate(self.parts):
            here = events.rows[:, m] >= 0
            used, places = np.unique(events.rows[here, m], return_inverse=True)
            parts[m].extend(own[k] for k in used)
            rows[here, m] = places
        notes = (
            self.notes if mask.all() or not note else (*self.notes, f"{counted(int((~mask).sum()))}: {note}")
        )
        return Dataset(parts, replace(events, rows=rows), self.labels, notes)

    def save(self, folder: Path, most: int | None = None) -> int:
        """Write ``events.jsonl``, ``labels.yaml`` and ``media/`` so that `load` reads them back; how many."""
        from engines.training.saving import save

        return save(self, folder, most)


def load(
    path: Path,
    labels: Labels | None = None,
    form: str = "",
    options: Options | None = None,
    skip_broken: bool = False,
    known: Collection[str] | None = None,
    to_learn: bool = True,
) -> Dataset:
    """Read labelled events: a folder or file in any layout of `engines.training.loaders.FORMS`.

    The labels are ``labels``, else those of a labels.yaml beside the file, else what the rows hold. Rows
    without a split are divided 80/10/10 by their group. ``known`` are the labels of the bundle that the
    events are for: where none are declared, a row of people's own layouts with another is broken. Splits that
    files name are taken as they are, unless the events are ``to_learn`` from (`engines.training.building.
    divide`). Raises EngineError with the first broken rows, which ``skip_broken`` leaves out instead.
    """
    options, journal = options or Options(), Journal()
    beside = (path if path.is_dir() else path.parent) / "labels.yaml"
    if labels is None and beside.is_file():
        labels = declared(beside)
    met: set[str] = set()
    if labels is not None:
        known = labels.names
        met.update(known)
        labels = leaving.still_declared(labels, options.without)
    try:
        if labels is None and (form or (path.exists() and detect(path))) not in OWN:
            known = None
        rows = building.checked(
            leaving.left_out(read(path, form, options, journal), options.without, met), known, journal
        )
    except OSError as error:
        raise EngineError(
            "Labelled events cannot be read", where=str(error.filename or path), why=str(error.strerror)
        ) from error
    leaving.check_named(options.without, met)
    if not skip_broken:
        journal.check()
    if not rows:
        raise building.nothing(str(path), journal.notes)
    return made(rows, labels, journal, to_learn)


def declared(path: Path) -> Labels:
    """The labels of a labels.yaml that a person wrote; raises EngineError."""
    try:
        return Labels.load(path)
    except BundleError as error:
        raise EngineError(
            error.what, where=str(path), why=error.why,
            remedy="Mend it; it looks like labels: [{name: hate, evidence: [[text], [image]]}]",
        ) from error  # fmt: skip
    except OSError as error:
        raise EngineError("The labels cannot be read", where=str(path), why=str(error.strerror)) from error


def made(
    rows: Sequence[Row], labels: Labels | None = None, journal: Journal | None = None, to_learn: bool = True
) -> Dataset:
    """The data set of rows; ``labels`` in the place of what they hold. Names groups, which near-duplicates
    share, and the splits that are missing.
    """
    journal = journal or Journal()
    name_groups(rows, _near(rows))
    building.divide(rows, journal, to_learn)
    parts, places = building.parts_of(rows, labels)
    labels = building.found(rows) if labels is None else labels
    names = labels.names
    events = gather(
        places,
        [row.sentiment for row in rows],
        [[row.moderation.get(name, UNKNOWN) for name in names] for row in rows],
        [SPLITS.index(row.split) for row in rows],
        [row.crossed for row in rows],
        lang=[row.lang for row in rows],
        source=[row.source for row in rows],
        group=[row.group for row in rows],
        polarity=[row.polarity for row in rows],
        severity=[[row.severity.get(name, UNKNOWN) for name in names] for row in rows],
    )
    return Dataset(parts, events, labels, journal.notes)


def _near(rows: Sequence[Row]) -> Iterator[tuple[int, int]]:
    """Pairs of rows whose texts are alike; beside media only texts long enough to tell."""
    places = [k for k, row in enumerate(rows) if telling(row)]
    for a, b in neighbours.pairs([str(rows[k].content["text"]) for k in places]).tolist():
        yield places[a], places[b]


def gather(
    rows: Sequence[Sequence[int]],
    sentiment: Sequence[int],
    labels: Sequence[Sequence[int]],
    split: Sequence[int],
    crossed: Sequence[bool],
    **more: Sequence[Any],
) -> Events:
    """Columns as `Events`; what ``more`` doesn't give is not annotated."""
    count = len(rows)
    marks = np.array(labels, np.int8).reshape(count, len(labels[0]) if count else 0)
    blank, graded = [""] * count, more.get("severity")
    return Events(
        rows=np.array(rows, np.int32).reshape(count, 3),
        sentiment=np.array(sentiment, np.int8),
        labels=marks,
        split=np.array(split, np.int8),
        crossed=np.array(crossed, np.bool_),
        lang=np.array(more.get("lang", blank), np.str_),
        source=np.array(more.get("source", blank), np.str_),
        group=np.array(more.get("group", blank), np.str_),
        polarity=np.array(more.get("polarity", [nan] * count), np.float32),
        severity=np.full_like(marks, UNKNOWN) if graded is None else np.array(graded, np.int8),
    )


def join(sets: Iterable[Dataset]) -> Dataset:
    """Several data sets as one: the labels of all, each unknown in sets without it.

    Two sets may differ in a label's evidence: then the smallest sets of modalities count. Parts are not
    looked up across sets. Raises EngineError for no set at all.
    """
    every = list(sets)
    if not every:
        raise EngineError("There is no data set to join")
    labels = _union([one.labels for one in every])
    parts: Parts = ([], [], [])
    columns: dict[str, list[NDArray[Any]]] = {name: [] for name in Events.__slots__}
    for one in every:
        places = [labels.names.index(name) for name in one.labels.names]
        starts = np.array([len(own) for own in parts], np.int32)
        for mine, theirs in zip(parts, one.parts, strict=True):
            mine.extend(theirs)
        for name, column in columns.items():
            column.append(getattr(one.events, name))
        columns["rows"][-1] = np.where(one.events.rows >= 0, one.events.rows + starts, np.int32(-1))
        for name in ("labels", "severity"):
            wide = np.full((len(one.events), len(labels)), UNKNOWN, np.int8)
            wide[:, places] = columns[name][-1]
            columns[name][-1] = wide
    events = Events(*(np.concatenate(columns[name]) for name in Events.__slots__))
    return Dataset(parts, events, labels, tuple(note for one in every for note in one.notes))


def _union(sets: Sequence[Labels]) -> Labels:
    merged: dict[str, Label] = {}
    for label in (x for one in sets for x in one.labels):
        old = merged.get(label.name, label)
        merged[label.name] = replace(
            old,
            evidence=building.smallest({*old.evidence, *label.evidence}),
            severity=old.severity or label.severity,
            description=old.description or label.description,
        )
    return Labels(
        tuple(merged.values()), building.smallest(s for one in sets for s in one.sentiment_evidence)
    )
