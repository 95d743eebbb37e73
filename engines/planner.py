"""Lengths → micro-batches. Pure functions: they see sizes, never content."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.intp]
Sizes = NDArray[np.int32] | NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Budget:
    """What one micro-batch holds: padded tokens, images, padded seconds at `rate`, rows of the head."""

    tokens: int = 4096
    image_rows: int = 32
    audio_seconds: float = 60.0
    rate: int = 16_000
    head_rows: int = 512


def plan_text(lengths: Sizes, tokens: int) -> list[Index]:
    """Rows of each micro-batch: sorted by length, cut where padded tokens would go over `tokens`.

    ``lengths`` are [rows], or [rows, channels] where a text is read by several encoders: the last sorts
    first, so rows that only one of them reads stand together, and all their padded tokens count. Every row
    stands in exactly one; a row that is over the budget alone still goes, alone.
    """
    table = _columns(lengths)
    order = np.lexsort(table.T)
    ascending = table[order]
    batches, start = [], 0
    while start < len(order):
        # Padding only grows, so no more than this many can fit; the cost grows with every row taken.
        most = max(1, tokens // max(1, int(ascending[start].sum())))
        window = np.maximum.accumulate(ascending[start : start + most], axis=0).sum(axis=1)
        costs = window * np.arange(1, len(window) + 1)
        count = max(1, int(np.searchsorted(costs, tokens, side="right")))
        batches.append(order[start : start + count])
        start += count
    return batches


def plan_audio(samples: Sizes, seconds: float, rate: int) -> list[Index]:
    """Rows of each micro-batch, so that padded sound stays within `seconds` at `rate` hertz."""
    return plan_text(samples, max(1, int(seconds * rate)))


def plan_rows(count: int, rows: int) -> list[Index]:
    """Rows of each micro-batch where all rows cost the same: at most `rows` in order."""
    return [np.arange(start, min(start + rows, count)) for start in range(0, count, rows)]


def useful_ratio(lengths: Sizes, batches: Iterable[Sequence[int] | Index]) -> float:
    """The share of the planned tokens that is not padding; 1 where nothing was planned."""
    sizes = _columns(lengths)
    padded = sum(len(rows) * int(sizes[np.asarray(rows)].max(axis=0).sum()) for rows in batches if len(rows))
    return float(sizes.sum()) / padded if padded else 1.0


def _columns(lengths: Sizes) -> NDArray[np.int64]:
    table = np.asarray(lengths, np.int64)
    return table if table.ndim == 2 else table[:, None]
