"""Annotations that a person asks to leave out: labels by name, and `sentiment`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from difflib import get_close_matches
from math import nan
from typing import Final

from engines.errors import EngineError
from engines.labels import Labels
from engines.training.rows import Row
from engines.training.taxonomy import UNKNOWN

SENTIMENT: Final = "sentiment"


def left_out(rows: Iterable[Row], names: Collection[str], met: set[str]) -> Iterator[Row]:
    """The rows without what they say of ``names``; ``met`` gets every label that a row had."""
    for row in rows:
        met |= row.labels
        if names:
            _strip(row, names)
        yield row


def _strip(row: Row, names: Collection[str]) -> None:
    for said in (row.moderation, row.severity, *(said.labels for said in row.unimodal.values())):
        for name in said.keys() & names:
            del said[name]
    if SENTIMENT in names:
        row.sentiment, row.polarity = UNKNOWN, nan
        for alone in row.unimodal.values():
            alone.sentiment = UNKNOWN


def still_declared(labels: Labels, names: Collection[str]) -> Labels:
    """Declared labels but ``names``."""
    kept = tuple(label for label in labels.labels if label.name not in names)
    return replace(
        labels, labels=kept, sentiment_evidence=() if SENTIMENT in names else labels.sentiment_evidence
    )


def check_named(names: Iterable[str], known: Collection[str]) -> None:
    """Raise EngineError for one of ``names`` that neither a row nor labels.yaml holds: it is misspelt."""
    for name in names:
        if name != SENTIMENT and name not in known:
            near = get_close_matches(name, known, 1)
            raise EngineError(
                "There is no such label to leave out", where=f"--without {name}",
                why=f"the events have {', '.join(sorted(known)) or 'no label'}",
                remedy=f"Did you mean {near[0]}?" if near else f"Name one of these, or {SENTIMENT}",
            )  # fmt: skip


def options(names: Iterable[str]) -> str:
    """How a command line says it."""
    return " ".join(f"--without {name}" for name in names)
