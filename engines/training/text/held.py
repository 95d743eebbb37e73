"""Rows kept from training: to calibrate on, and to measure; near-duplicates stay together."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from engines.training import neighbours, rows
from engines.training.taxonomy import UNKNOWN
from engines.training.text.rows import Row

Shares = tuple[int, int]
Choice = Callable[[Row], bool]
"""Which rows a training does without."""
PUBLIC: Final[Shares] = (1, 1)
"""So many groups in forty calibrate, so many test."""
OWN: Final[Shares] = (2, 2)
"""The same of our own sentences."""
MARKED: Final[Shares] = (5, 5)
"""The same of those that break a rule: thresholds need tens of positives for each label. Either part has the
same mixture, lest what calibrates on the one be off on the other.
"""
_GROUPS: Final = 40
_SURE: Final = 0.9


def nothing(row: Row) -> bool:
    """The choice of no row."""
    del row
    return False


def divided(
    texts: Sequence[Row], shares: Shares, marked: Shares | None = None, out: Choice = nothing
) -> dict[str, list[Row]]:
    """The rows by split: train, calibrate, test; the first text of near-duplicates decides for all.

    ``shares`` are out of forty; ``marked`` those of rows that break a rule, where they differ. What is like a
    row of the choice ``out`` is unseen, the fourth split.
    """
    first = neighbours.groups([row.text for row in texts]).tolist()
    gone = {k for row, k in zip(texts, first, strict=True) if out(row)}
    found: dict[str, list[Row]] = {"train": [], "calibrate": [], "test": [], "unseen": []}
    for row, k in zip(texts, first, strict=True):
        breach = any(chance > 0.5 for chance in (texts[k].labels or {}).values())
        calibrate, test = marked if marked and breach else shares
        place = zlib.crc32(texts[k].text.encode("utf-8", "replace")) % _GROUPS
        split = "calibrate" if place < calibrate else "test" if place < calibrate + test else "train"
        found["unseen" if k in gone else split].append(row)
    return found


def labelled(texts: Sequence[Row], split: str) -> list[rows.Row]:
    """Rows as labelled events: only what their annotators were sure of counts."""
    return [_event(k, row, split) for k, row in enumerate(texts)]


def _event(k: int, row: Row, split: str) -> rows.Row:
    mood = UNKNOWN
    if row.sentiment is not None and max(row.sentiment) >= _SURE:
        mood = int(np.argmax(row.sentiment))
    marks = {
        label: round(chance) for label, chance in (row.labels or {}).items() if abs(chance - 0.5) > _SURE / 2
    }
    return rows.Row(
        where=f"{row.source}, row {k}",
        content={"text": row.text},
        sentiment=mood,
        moderation=marks,
        lang=row.lang,
        source=row.source,
        split=split,
    )
