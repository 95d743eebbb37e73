"""Rows as a data set: labels with their evidence, splits that keep groups together, parts without repeats."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Sequence
from difflib import get_close_matches
from typing import Final

from engines.batch import MODALITIES
from engines.errors import EngineError
from engines.labels import Evidence, Label, Labels
from engines.training.grouping import LONGEST, digest
from engines.training.leaving import options
from engines.training.rows import Journal, Row, RowError, Said
from engines.training.taxonomy import UNKNOWN, Part

Parts = tuple[list[Part], list[Part], list[Part]]
_SPLITS: Final = {
    "train": "train", "training": "train", "calibrate": "calibrate", "calibration": "calibrate",
    "dev": "calibrate", "val": "calibrate", "valid": "calibrate", "validation": "calibrate",
    "test": "test", "ood": "ood",
}  # fmt: skip


def checked(rows: Iterable[Row], known: Collection[str] | None, journal: Journal) -> list[Row]:
    """The rows whose labels are all ``known`` (if given) and whose split there is; others go to the
    journal.
    """
    out = []
    for row in rows:
        with journal.row(row.where):
            _check(row, known)
            out.append(row)
    return out


def _check(row: Row, known: Collection[str] | None) -> None:
    if row.split and row.split not in _SPLITS:
        raise RowError(f"`split` is {row.split!r:.40}", f"It is one of {', '.join(_SPLITS)}, or left out")
    row.split = _SPLITS.get(row.split, "")
    for name, value in (("lang", row.lang), ("source", row.source)):
        if len(value) > LONGEST:
            raise RowError(f"`{name}` has {len(value)} characters", f"Use at most {LONGEST}")
    strange = sorted(x for x in row.labels if (x not in known if known is not None else not x.strip("/ ")))
    if strange:
        near = [m for x in strange for m in get_close_matches(x, known or (), 1)]
        meant = f"; did you mean {', '.join(near)}?" if near else ""
        raise RowError(
            f"unknown {'label' if len(strange) == 1 else 'labels'} {', '.join(strange)}{meant}",
            f"Name labels as labels.yaml or the bundle does, or leave them out with {options(strange)}",
        )
    if absent := [name for name in row.unimodal if name not in row.content]:
        raise RowError(f"`unimodal` tells of {', '.join(absent)}, which the row doesn't hold")


def found(rows: Sequence[Row]) -> Labels:
    """The labels that rows use, in order of appearance. Evidence of a label are the smallest sets of
    modalities that it was annotated on: what was never seen without its sound isn't judged without it.
    """
    seen: dict[str, set[frozenset[str]]] = {}
    graded: set[str] = set()
    for row in rows:
        here = frozenset(row.content)
        for name in (*row.moderation, *row.severity):
            seen.setdefault(name, set()).add(here)
        for modality, said in row.unimodal.items():
            for name in said.labels:
                seen.setdefault(name, set()).add(frozenset({modality}))
        graded.update(row.severity)
    return Labels(tuple(Label(name, smallest(sets), name in graded) for name, sets in seen.items()))


def smallest(sets: Iterable[frozenset[str]]) -> Evidence:
    """The sets that hold no other, in the order of modalities."""
    every = set(sets)
    least = [s for s in every if not any(other < s for other in every)]
    return tuple(sorted(least, key=lambda s: sorted(map(MODALITIES.index, s))))


def divide(rows: Sequence[Row], journal: Journal, to_learn: bool = True) -> None:
    """Give rows without a split one: 80 % train, 10 % calibrate, 10 % test, by a digest of their group.

    Where files name splits but none to calibrate or to test on, one in ten of the groups that are trained on
    is set aside for it, if the rows are ``to_learn`` from: what was trained on before is never held out.
    """
    named = {row.split for row in rows if row.split}
    for row in rows:
        if not row.split:
            row.split = ("test", "calibrate")[_place(row)] if _place(row) < 2 else "train"
    for place, name in enumerate(("test", "calibrate")):
        if to_learn and "train" in named and name not in {row.split for row in rows}:
            for row in rows:
                if row.split == "train" and _place(row) == place:
                    row.split = name
                    journal.count(f"taken from `train` for `{name}`, which no row is in")


def _place(row: Row) -> int:
    return int(digest(f"split {row.group}"), 16) % 10


def parts_of(rows: Sequence[Row], declared: Labels | None) -> tuple[Parts, list[list[int]]]:
    """The parts of rows and, for each row, its part of each modality or -1. Equal content that is annotated
    alike, in the same split, is one part.

    A modality that is alone in its row says what the row says; beside others it says what ``unimodal`` holds,
    and the labels that ``declared`` gives to this modality only.
    """
    parts: Parts = ([], [], [])
    known: dict[Hashable, int] = {}
    labels = declared.labels if declared else ()
    own = [{x.name for x in labels if x.evidence == (frozenset({m}),)} for m in MODALITIES]
    table = []
    for row in rows:
        places = [-1, -1, -1]
        for m, name in enumerate(MODALITIES):
            if name not in row.content:
                continue
            said = _alone(row, name, own[m])
            lang = row.lang if name == "text" else ""
            annotated = (said.sentiment, said.factor, tuple(sorted(said.labels.items())))
            key = (m, row.content[name], row.split, lang, annotated)
            places[m] = known.setdefault(key, len(parts[m]))
            if places[m] == len(parts[m]):
                parts[m].append(_part(row, name, said, lang))
        table.append(places)
    return parts, table


def _part(row: Row, name: str, said: Said, lang: str) -> Part:
    content, labels = row.content[name], said.labels
    return Part(content, said.kind, said.sentiment, labels, said.factor, row.split, lang, row.where)


def _alone(row: Row, name: str, own: set[str]) -> Said:
    said = row.unimodal.get(name)
    if len(row.content) == 1:
        said = said or Said()
        sentiment = row.sentiment if said.sentiment == UNKNOWN else said.sentiment
        return Said(sentiment, {**row.moderation, **said.labels}, said.factor, said.kind)
    if said is None and own:
        return Said(labels={x: value for x, value in row.moderation.items() if x in own})
    return said or Said()


def nothing(where: str, notes: tuple[str, ...]) -> EngineError:
    """The error of a file without a row; ``notes`` tell what was left out."""
    return EngineError(
        "There is no event to learn from", where=where, why="; ".join(notes) or "no row is there"
    )
