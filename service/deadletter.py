"""Records that cannot be scored, with what is needed to find, understand and redrive them (contract §4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from service.errors import RecordError
from service.record import Headers, Record


@dataclass(frozen=True, slots=True)
class Letter:
    """A record ready to publish: a dead letter, or a redriven event."""

    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter as read back; `record` is as it lies in the dead-letter topic."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    stage: str
    kind: str
    reason: str
    attempts: int
    group: str
    version: str
    replays: int
    mode: Literal["content", "reference"]
    event_id: str
    record: Record


def dead_letter(
    record: Record,
    error: RecordError,
    *,
    event_id: str,
    group: str,
    mode: Literal["content", "reference"] = "content",
    attempts: int = 1,
    fits: int | None = None,
) -> Letter:
    """The dead letter of a record; by reference where asked, or where it is over `fits` bytes."""
    raise NotImplementedError


def parse(record: Record) -> DeadLetter:
    """Read a dead letter's headers; raises DataError where it is not one of ours."""
    raise NotImplementedError


def redrive(letter: DeadLetter, original: Record | None = None) -> Letter:
    """The event to publish again; a letter by reference needs the `original` it points to."""
    raise NotImplementedError
