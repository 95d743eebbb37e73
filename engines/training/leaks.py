"""What must not be: training events that stand in the test set as well."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from engines.training import neighbours
from engines.training.dataset import SPLITS, Dataset
from engines.training.grouping import digest
from engines.training.taxonomy import Part


def standing_in(data: Dataset, test: Dataset) -> NDArray[np.bool_]:
    """Bool [events]: which events of ``data`` are (nearly) one of ``test``: texts alike, media equal.

    A meme whose text stands there over another image is another meme. Reads the media if both sets have such.
    """
    keys = np.full((len(data.events) + len(test.events), 3), -1, np.int64)
    for m in range(3):
        known = _same(data.parts[m], test.parts[m], text=m == 0)
        rows = np.concatenate([data.events.rows[:, m], _shifted(test.events.rows[:, m], len(data.parts[m]))])
        keys[rows >= 0, m] = known[rows[rows >= 0]]
    there = set(map(tuple, keys[len(data.events) :].tolist()))
    return np.array([tuple(key) in there for key in keys[: len(data.events)].tolist()], np.bool_)


def without(data: Dataset, test: Dataset) -> Dataset:
    """``data`` without the events that stand in ``test``; a note says how many were dropped."""
    return data.pick(~standing_in(data, test), "(nearly) the same stands in the test set: left out")


def only(data: Dataset, split: str) -> Dataset:
    """``data`` with all events and parts in one split, as for a file that is all test."""
    parts = tuple([replace(part, split=split) for part in own] for own in data.parts)
    events = replace(data.events, split=np.full_like(data.events.split, SPLITS.index(split)))
    return replace(data, parts=(parts[0], parts[1], parts[2]), events=events)


def _same(mine: list[Part], theirs: list[Part], text: bool) -> NDArray[np.int64]:
    """int64 [parts of both]: equal numbers for what counts as the same."""
    if text:
        return neighbours.groups([str(part.content) for part in (*mine, *theirs)])
    if not mine or not theirs:
        return np.arange(len(mine) + len(theirs))
    first: dict[str, int] = {}
    return np.array(
        [first.setdefault(digest(part.read()), k) for k, part in enumerate((*mine, *theirs))], np.int64
    )


def _shifted(rows: NDArray[np.int32], by: int) -> NDArray[np.int32]:
    return np.where(rows >= 0, rows + np.int32(by), np.int32(-1))
