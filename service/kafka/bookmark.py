"""Which dead letters were redriven, remembered by the brokers as the offsets of a group of its own.

The offset of a partition is its first letter that was never sent; the metadata beside it holds where the
last look ended and the letters between the two that were not sent either (a filter passed over them).
"""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from kafka import KafkaConsumer
from kafka.errors import AuthorizationError, KafkaError
from kafka.structs import OffsetAndMetadata, TopicPartition

from service.config import Kafka
from service.errors import ConfigError, TidegateError, UnreachableError
from service.kafka.client import consumer_options
from service.kafka.diagnose import bootstrap

SUFFIX: Final = "-redrive"
FORM: Final = "1:"
ROOM: Final = 4000
"""Characters of metadata; brokers take 4096 unless told otherwise."""
WAIT_MS: Final = 10_000


class Mark(NamedTuple):
    """What is known of a partition: below `stop`, all but the offsets in `unsent` were redriven."""

    stop: int
    unsent: frozenset[int]

    def sent(self, offset: int) -> bool:
        """Whether the letter there was redriven."""
        return offset < self.stop and offset not in self.unsent


def encode(mark: Mark) -> tuple[int, str]:
    """Offset and metadata; what does not fit is forgotten from the end on, never the other way round."""
    unsent = sorted(mark.unsent)
    stop = mark.stop
    while True:
        first = unsent[0] if unsent else stop
        text = ",".join(
            [str(stop - first), *(f"{low - first}-{high - first}" for low, high in _runs(unsent))]
        )
        metadata = FORM + b64encode(zlib.compress(text.encode(), 9)).decode()
        if len(metadata) <= ROOM:
            return first, metadata
        half = len(unsent) // 2
        unsent, stop = unsent[:half], unsent[half]


def decode(offset: int, metadata: str) -> Mark:
    """The reverse; an offset that somebody set by hand stands for itself."""
    try:
        if not metadata.startswith(FORM):
            return Mark(offset, frozenset())
        stop, *runs = zlib.decompress(b64decode(metadata.removeprefix(FORM))).decode().split(",")
        ends = (tuple(map(int, run.split("-"))) for run in runs)
        unsent = frozenset(offset + each for low, high in ends for each in range(low, high + 1))
        return Mark(offset + int(stop), unsent)
    except (Base64Error, zlib.error, ValueError):
        return Mark(offset, frozenset())


class Bookmark:
    """The marks of one dead-letter topic, in the group `<kafka.group>-redrive`. A context manager."""

    def __init__(self, kafka: Kafka, topic: str) -> None:
        self._kafka, self._topic, self.group = kafka, topic, kafka.group + SUFFIX

    def __enter__(self) -> Bookmark:
        """Connect; raises ConfigError or UnreachableError."""
        options = consumer_options(self._kafka) | {"group_id": self.group}
        self._consumer = bootstrap(self._kafka, lambda: KafkaConsumer(**options))
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close(timeout_ms=3000)

    def read(self, partitions: Iterable[int]) -> dict[int, Mark]:
        """What is remembered of these partitions; raises ConfigError or UnreachableError."""
        marks = {}
        try:
            for each in partitions:
                place = TopicPartition(self._topic, each)
                found = self._consumer.committed(place, metadata=True, timeout_ms=WAIT_MS)
                if found is not None and found.offset >= 0:
                    marks[each] = decode(found.offset, found.metadata or "")
        except KafkaError as error:
            raise self._failed(error) from error
        return marks

    def write(self, marks: Mapping[int, Mark]) -> None:
        """Remember these; raises ConfigError or UnreachableError."""
        offsets = {
            TopicPartition(self._topic, each): OffsetAndMetadata(*encode(mark), -1)
            for each, mark in marks.items()
        }
        try:
            self._consumer.commit(offsets, timeout_ms=WAIT_MS)
        except KafkaError as error:
            raise self._failed(error) from error

    def _failed(self, error: KafkaError) -> TidegateError:
        denied = isinstance(error, AuthorizationError)
        return (ConfigError if denied else UnreachableError)(
            "The brokers do not remember what is redriven",
            where=f"group {self.group}",
            why=f"{type(error).__name__}: {error}",
            remedy=f"Grant READ on the group {self.group} to this user" if denied else "Try again",
        )


def _runs(offsets: list[int]) -> Iterable[tuple[int, int]]:
    """Neighbours joined: first and last of each run."""
    runs: list[tuple[int, int]] = []
    for each in offsets:
        if runs and runs[-1][1] == each - 1:
            runs[-1] = (runs[-1][0], each)
        else:
            runs.append((each, each))
    return runs
