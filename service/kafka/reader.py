"""Read a stretch of a topic outside any group, committing nothing: for dead letters and replays."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kafka import KafkaConsumer
from kafka.errors import KafkaError, OffsetOutOfRangeError, RetriableError
from kafka.structs import TopicPartition

from service.config import Kafka
from service.errors import UnreachableError
from service.kafka.client import consumer_options
from service.kafka.diagnose import bootstrap
from service.record import Partition, Record

LOOK_UP_MS = 10_000
SILENT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Stretch:
    """Which records of a topic; what is not given does not limit. Never beyond the end at the start."""

    partitions: Sequence[int] | None = None
    first: int | None = None
    """Lowest offset, in each partition."""
    stop: int | None = None
    """Offset after the highest, in each partition."""
    since: int | None = None
    """Records with this timestamp (ms) or a later one."""
    until: int | None = None
    """Only records before the first one with this timestamp (ms) or a later one."""
    last: int | None = None
    """At most this many from the end of each partition."""


@dataclass(slots=True)
class Reader:
    """Records of one topic, in order within each partition. Use as a context manager."""

    kafka: Kafka
    topic: str
    stretch: Stretch = Stretch()
    ranges: dict[Partition, tuple[int, int]] = field(default_factory=dict)
    """For each partition that holds any: first offset, and the one after the last."""
    _consumer: KafkaConsumer = None

    def __enter__(self) -> Reader:
        """Connect and find the ranges; raises ConfigError or UnreachableError."""
        options = consumer_options(self.kafka)
        self._consumer = bootstrap(self.kafka, lambda: KafkaConsumer(**options))
        try:
            self._find()
        except KafkaError as error:
            self._consumer.close(timeout_ms=1000)
            raise self._silent(error) from error
        except BaseException:
            self._consumer.close(timeout_ms=1000)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close(timeout_ms=3000)

    @property
    def total(self) -> int:
        """Offsets in the ranges: an upper bound of the records, for progress bars."""
        return sum(stop - first for first, stop in self.ranges.values())

    def __iter__(self) -> Iterator[Record]:
        """Raises UnreachableError where the cluster falls silent."""
        left = {TopicPartition(*each): stop for each, (_, stop) in self.ranges.items()}
        heard = time.monotonic()
        while left:
            batches = self._poll()
            if batches:
                heard = time.monotonic()
            elif time.monotonic() - heard > SILENT_SECONDS:
                raise self._silent(None)
            for tp, records in batches.items():
                yield from (record for record in records if record.offset < left[tp])
            # Compaction and transactions leave gaps: the position passes them, a record need not.
            done = [tp for tp, stop in left.items() if self._position(tp) >= stop]
            for tp in done:
                del left[tp]
            if done:
                self._consumer.pause(*done)

    def _poll(self) -> Mapping[TopicPartition, Sequence[Any]]:
        try:
            batches: Mapping[TopicPartition, Sequence[Any]] = self._consumer.poll(timeout_ms=500)
        except OffsetOutOfRangeError as error:
            # Retention was faster; what is gone cannot be read.
            self._consumer.seek_to_beginning(*error.args[0])
            return {}
        except RetriableError:
            time.sleep(0.2)
            return {}
        except KafkaError as error:
            raise self._silent(error) from error
        return batches

    def _position(self, tp: TopicPartition) -> int:
        return int(self._consumer.position(tp, timeout_ms=LOOK_UP_MS))

    def _find(self) -> None:
        there = self._consumer.partitions_for_topic(self.topic)
        if not there:
            raise UnreachableError(
                f"There is no topic {self.topic}", remedy="Check the name: tidegate topics check -c FILE"
            )
        wanted = there if self.stretch.partitions is None else set(self.stretch.partitions) & there
        partitions = [TopicPartition(self.topic, each) for each in sorted(wanted)]
        self._consumer.assign(partitions)
        starts = self._consumer.beginning_offsets(partitions, timeout_ms=LOOK_UP_MS)
        ends = self._consumer.end_offsets(partitions, timeout_ms=LOOK_UP_MS)
        since = self._at(partitions, self.stretch.since)
        until = self._at(partitions, self.stretch.until)
        for tp in partitions:
            first, stop = self._range(starts[tp], ends[tp], since.get(tp), until.get(tp))
            if first < stop:
                self.ranges[Partition(*tp)] = (first, stop)
        self._consumer.assign([TopicPartition(*each) for each in self.ranges])
        for each, (first, _) in self.ranges.items():
            self._consumer.seek(TopicPartition(*each), first)

    def _at(self, partitions: Sequence[TopicPartition], when: int | None) -> dict[TopicPartition, int | None]:
        # A partition whose records are all older answers None: nothing since then, everything until then.
        if when is None:
            return {}
        found = self._consumer.offsets_for_times(dict.fromkeys(partitions, when), timeout_ms=LOOK_UP_MS)
        return {tp: None if each is None else each.offset for tp, each in found.items()}

    def _range(self, start: int, end: int, since: int | None, until: int | None) -> tuple[int, int]:
        stretch = self.stretch
        first = max(start, stretch.first or 0)
        stop = end if stretch.stop is None else min(end, stretch.stop)
        if stretch.since is not None:
            first = max(first, end if since is None or since < 0 else since)
        if stretch.until is not None and until is not None and until >= 0:
            stop = min(stop, until)
        if stretch.last is not None:
            first = max(first, stop - stretch.last)
        return first, stop

    def _silent(self, error: KafkaError | None) -> UnreachableError:
        return UnreachableError(
            f"The topic {self.topic} cannot be read",
            where=", ".join(self.kafka.bootstrap_servers),
            why="no answer" if error is None else f"{type(error).__name__}: {error}",
            remedy="Check the brokers, then try again",
        )
