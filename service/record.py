"""What comes from Kafka and what goes back, free of any client library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

Headers = Sequence[tuple[str, bytes | None]]


class Partition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


class Record(Protocol):
    """A polled record; the client's own record type fits, so that nothing is copied on the hot path."""

    @property
    def topic(self) -> str:
        """Its topic."""

    @property
    def partition(self) -> int:
        """Its partition."""

    @property
    def offset(self) -> int:
        """Its place in the partition."""

    @property
    def timestamp(self) -> int:
        """Milliseconds since the epoch."""

    @property
    def key(self) -> bytes | None:
        """Its key."""

    @property
    def value(self) -> bytes | None:
        """Its value, None for a tombstone."""

    @property
    def headers(self) -> Headers:
        """Names and values, in order; names may repeat."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A record in memory: for tests, files and replays."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = field(default=())


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive records of one partition under one ownership (`epoch`)."""

    partition: Partition
    epoch: int
    records: Sequence[Record]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to publish; `origin` and `epoch` say on whose behalf, so that a fenced owner stays silent."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    origin: Partition
    epoch: int


def record_bytes(record: Record) -> int:
    """Bytes of key, value and headers."""
    size = len(record.value or b"") + len(record.key or b"")
    return size + sum(len(name) + len(value or b"") for name, value in record.headers)
