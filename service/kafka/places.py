"""Where reading goes on, given what was committed and what the partition still holds: pure functions."""

from __future__ import annotations

from typing import Literal, NamedTuple

from service.errors import DataError
from service.record import Partition


class Place(NamedTuple):
    """A position, and how it came about."""

    offset: int
    gone: int = 0
    """Records that retention removed before they were read."""
    recreated: bool = False
    """The topic was deleted and made anew."""


def place(position: int | None, first: int, end: int, start: Literal["earliest", "latest"]) -> Place:
    """Where to read, `position` being what is committed or was read last, [first, end) what is there."""
    if position is None:
        return Place(first if start == "earliest" else end)
    if position > end:
        return Place(first, recreated=True)
    if position < first:
        return Place(first, gone=first - position)
    return Place(position)


def refuse_gap(partition: Partition, position: int, first: int) -> DataError:
    """The error for `input.retention: stop`."""
    return DataError(
        f"{first - position} records were removed by retention before they were read",
        where=f"{partition.topic}/{partition.partition}, offsets {position} to {first - 1}",
        remedy="Set input.retention to `count` to go on without them (they are counted as dropped), "
        "and lengthen the topic's retention",
    )
