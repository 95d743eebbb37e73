"""From rows of towers to rows of the head, and from rows of the head back to events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.batch import Batch, Float32, UInt8

Index = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class HeadRows:
    """Rows for the head: every combination of an event's text, images and audios, ordered by event.

    ``slots`` intp [3, rows]: the row of each tower's output, anything where ``pattern`` lacks the modality;
    ``pattern`` uint8 [rows]: the modalities shown; ``event`` intp [rows], ascending.
    """

    slots: Index
    pattern: UInt8
    event: Index

    def __len__(self) -> int:
        return len(self.event)

    def presence(self) -> Float32:
        """Float32 [rows, 3], as the head takes it."""
        return PRESENCE[self.pattern]

    def starts(self) -> Index:
        """Where each event's rows begin."""
        return np.flatnonzero(np.diff(self.event, prepend=-1))


PRESENCE: Float32 = np.array([[p >> m & 1 for m in range(3)] for p in range(8)], dtype=np.float32)
"""Float32 [8, 3]: the head's input for each presence bitmask."""


def combinations(batch: Batch) -> HeadRows:
    """One row for each combination of the rows of an event: one where it has at most one of each."""
    events = len(batch)
    owners = (batch.text_event, batch.image_event, batch.audio_event)
    counts = np.stack([np.bincount(owner, minlength=events) for owner in owners])
    firsts = np.cumsum(counts, axis=1) - counts
    ways = np.maximum(counts, 1)
    each = ways.prod(axis=0)
    event = np.repeat(np.arange(events), each)
    k = np.arange(len(event)) - np.repeat(np.cumsum(each) - each, each)
    slots = np.empty((3, len(event)), dtype=np.intp)
    for m in range(3):
        slots[m] = firsts[m, event] + k % ways[m, event]
        k //= ways[m, event]
    return HeadRows(slots, batch.presence[event], event)


def subpatterns(rows: HeadRows, batch: Batch) -> list[HeadRows]:
    """The same combinations with less shown, one for each presence pattern that some event needs.

    For exact Shapley values: every part of a multimodal event but nothing and the whole.
    """
    first = np.zeros((3, len(batch)), dtype=np.intp)
    for m, owner in enumerate((batch.text_event, batch.image_event, batch.audio_event)):
        first[m] = np.searchsorted(owner, np.arange(len(batch)))
    at_first = rows.slots == first[:, rows.event]
    found = []
    for p in range(1, 7):
        keep = (rows.pattern & p == p) & (rows.pattern != p)
        for m in range(3):
            if not p >> m & 1:  # what isn't shown need not be varied
                keep &= at_first[m]
        if keep.any():
            picked = np.flatnonzero(keep)
            found.append(
                HeadRows(rows.slots[:, picked], np.full(len(picked), p, np.uint8), rows.event[picked])
            )
    return found


def largest(values: Float32, rows: HeadRows) -> Float32:
    """The maximum over each event's rows, [events with rows, …]."""
    starts = rows.starts()
    return values if len(starts) == len(rows) else np.maximum.reduceat(values, starts, axis=0)


def mean(values: Float32, rows: HeadRows) -> Float32:
    """The mean over each event's rows, [events with rows, …]."""
    starts = rows.starts()
    if len(starts) == len(rows):
        return values
    counts = np.diff(starts, append=len(rows)).reshape(-1, *[1] * (values.ndim - 1))
    return np.asarray(np.add.reduceat(values, starts, axis=0) / counts, dtype=np.float32)
