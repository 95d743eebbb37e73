"""One labelled event as any loader reads it, and the list of rows that could not be read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import nan
from pathlib import Path
from typing import Final

from engines.errors import EngineError
from engines.training.taxonomy import NEGATIVE, NEUTRAL, POSITIVE, UNKNOWN

SHOWN: Final = 20
"""So many broken rows are named at once; the others are counted."""
_SIGNS: Final = (NEUTRAL, POSITIVE, NEGATIVE)


@dataclass(slots=True)
class Said:
    """What one modality says alone: sentiment, labels as 0 or 1 where annotated, factor and kind."""

    sentiment: int = UNKNOWN
    labels: dict[str, int] = field(default_factory=dict)
    factor: int = 2
    kind: str = ""


@dataclass(slots=True)
class Row:
    """One labelled event as it lies on disk.

    ``where`` is its file and line; ``content`` holds by modality the text, or a medium's bytes or path;
    ``polarity`` is −1…1 or NaN; ``moderation`` holds 0 or 1 for the labels that were annotated and
    ``severity`` their grades 0…7; ``unimodal`` what modalities say alone, by modality; ``split`` and
    ``group`` are empty where the file doesn't say.
    """

    where: str
    content: dict[str, str | bytes | Path]
    sentiment: int = UNKNOWN
    polarity: float = nan
    moderation: dict[str, int] = field(default_factory=dict)
    severity: dict[str, int] = field(default_factory=dict)
    unimodal: dict[str, Said] = field(default_factory=dict)
    lang: str = ""
    source: str = ""
    split: str = ""
    group: str = ""
    crossed: bool = False

    @property
    def labels(self) -> set[str]:
        """Every label that is annotated, of the whole or of one modality."""
        return {
            *self.moderation,
            *self.severity,
            *(x for said in self.unimodal.values() for x in said.labels),
        }


def counted(number: int, what: str = "row") -> str:
    """`1 row`, `2 rows`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


class RowError(Exception):
    """One row that cannot be read: why, and what mends it."""

    def __init__(self, why: str, remedy: str = "") -> None:
        super().__init__(why)
        self.why, self.remedy = why, remedy


class Journal:
    """What happened while rows were read: those that were broken, and what a person should know."""

    def __init__(self) -> None:
        self.broken: list[tuple[str, str]] = []
        self._remedies: list[str] = []
        self._notes: dict[str, int] = {}

    @contextmanager
    def row(self, where: str) -> Iterator[None]:
        """A row that raises `RowError` is noted under ``where`` and left out."""
        try:
            yield
        except RowError as error:
            self.broken.append((where, error.why))
            if error.remedy and error.remedy not in self._remedies:
                self._remedies.append(error.remedy)

    def count(self, note: str) -> None:
        """One more row of which ``note`` is true."""
        self._notes[note] = self._notes.get(note, 0) + 1

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences with their counts: what was left out or chosen, and where the broken rows began."""
        said = tuple(f"{counted(count)}: {note}" for note, count in self._notes.items())
        if self.broken:
            where, why = self.broken[0]
            told = f"{counted(len(self.broken), 'broken row')} {'was' if len(self.broken) == 1 else 'were'}"
            said += (f"{told} left out; the first is {where}: {why}",)
        return said

    def check(self) -> None:
        """Raise EngineError with the first broken rows, if there is any."""
        if not self.broken:
            return
        lines = [f"{where}: {why}" for where, why in self.broken[:SHOWN]]
        if len(self.broken) > SHOWN:
            lines.append(f"and {len(self.broken) - SHOWN} more")
        raise EngineError(
            "A row cannot be read" if len(self.broken) == 1 else f"{len(self.broken)} rows cannot be read",
            why="\n".join(lines),
            remedy="; ".join(
                [
                    *self._remedies[:3],
                    f"{'or leave' if self._remedies else 'Leave'} such rows out with --skip-broken",
                ]
            ),
        )


def sentiment_from(polarity: float) -> int:
    """Negative, neutral or positive by the sign of a polarity; exactly 0 is neutral, as in CMU-MOSI."""
    return _SIGNS[(polarity > 0) - (polarity < 0)]


def medium(folder: Path, name: str) -> Path:
    """The file of a medium that a row names, relative to its ``folder``; raises `RowError`."""
    path = folder / name
    try:
        there = path.is_file()
    except OSError:  # a name longer than names can be
        there = False
    if not there:
        raise RowError(f"there is no file {path}", "Put the missing media where the rows say")
    return path
