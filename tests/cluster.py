"""A cluster as an independent client sees it: plain kafka-python, none of the daemon's code."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import CoordinatorNotAvailableError, KafkaError
from kafka.structs import TopicPartition

from tests.checker import Fact, Lane, Place, Sample

Headers = tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class Sent:
    """An event to send."""

    value: bytes | None
    key: bytes | None = None
    headers: Headers = ()
    partition: int | None = None


class Cluster:
    """Topics, records and offsets of one broker."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        common = {"bootstrap_servers": [bootstrap], "reconnect_backoff_max_ms": 500}
        self._admin = KafkaAdminClient(**common, request_timeout_ms=10_000)
        self._producer = KafkaProducer(
            **common, acks="all", linger_ms=5, max_request_size=64 << 20, metadata_max_age_ms=1000
        )
        self._lock = threading.Lock()

    def close(self) -> None:
        self._producer.close(2)
        self._admin.close()

    def create(self, topic: str, partitions: int = 1, configs: Mapping[str, str] | None = None) -> None:
        wanted = {"num_partitions": partitions, "replication_factor": 1, "configs": dict(configs or {})}
        self._admin.create_topics({topic: wanted}, wait_for_metadata=True)

    def delete(self, topic: str) -> None:
        self._admin.delete_topics([topic])

    def add_partitions(self, topic: str, total: int) -> None:
        self._admin.create_partitions({topic: total})

    def configure(self, topic: str, **values: str) -> None:
        configs = {name.replace("_", "."): value for name, value in values.items()}
        self._admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs)])

    def send(self, topic: str, events: Iterable[Sent]) -> list[Fact]:
        """Send, wait for all acknowledgements, and say where each event lies."""
        events = list(events)
        futures = [
            self._producer.send(
                topic, event.value, event.key, headers=list(event.headers), partition=event.partition
            )
            for event in events
        ]
        found = []
        for event, future in zip(events, futures, strict=True):
            at = future.get(30)
            found.append(
                Fact(
                    Place(topic, at.partition, at.offset), event.key, event.value, event.headers, at.timestamp
                )
            )
        return found

    def ends(self, topics: Iterable[str]) -> dict[Lane, int]:
        reader = self._reader()
        try:
            return _ends(reader, topics)
        finally:
            reader.close()

    def read(self, topic: str) -> list[Fact]:
        """Everything in the topic now."""
        with Tail(self, [topic]) as tail:
            return list(tail.upto_now())

    def committed(self, group: str) -> dict[Lane, tuple[int, str]]:
        """The group's offsets and their metadata; empty for a group that is not there."""
        found = self._group_offsets(group)
        return {Lane(*tp): (known.offset, known.metadata) for tp, known in found.items() if known.offset >= 0}

    def _group_offsets(self, group: str) -> dict[Any, Any]:
        end = time.monotonic() + 10
        while True:
            try:
                with self._lock:
                    return self._admin.list_group_offsets(group)[group]
            except CoordinatorNotAvailableError:  # a broker's first group: its topic is being made
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def offsets(self, group: str) -> dict[Lane, int]:
        return {lane: offset for lane, (offset, _) in self.committed(group).items()}

    def _reader(self, **more: Any) -> KafkaConsumer:
        return KafkaConsumer(
            bootstrap_servers=[self.bootstrap],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            max_poll_records=10**9,
            reconnect_backoff_max_ms=500,
            **more,
        )


class Tail:
    """Reads topics from their beginning, outside any group, as they grow."""

    def __init__(self, cluster: Cluster, topics: Iterable[str]) -> None:
        self._consumer = cluster._reader(metadata_max_age_ms=1000)
        self._topics = list(topics)
        self._lanes: set[TopicPartition] = set()
        self._assign()

    def __enter__(self) -> Tail:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._consumer.close()

    def poll(self, seconds: float = 0.1) -> list[Fact]:
        """What is new."""
        batches = self._consumer.poll(timeout_ms=int(seconds * 1000))
        return [_fact(record) for records in batches.values() for record in records]

    def upto_now(self) -> Iterable[Fact]:
        """What is new, up to the end as it is now."""
        self._assign()
        ends = self._consumer.end_offsets(list(self._lanes))
        while any(self._consumer.position(lane) < end for lane, end in ends.items()):
            yield from self.poll()

    def _assign(self) -> None:
        lanes = {
            TopicPartition(t, p) for t in self._topics for p in (self._consumer.partitions_for_topic(t) or ())
        }
        if lanes - self._lanes:
            positions = {lane: self._consumer.position(lane) for lane in self._lanes}
            self._lanes |= lanes
            self._consumer.assign(sorted(self._lanes))
            for lane in self._lanes:
                self._consumer.seek(lane, positions.get(lane, 0))


class Sampler:
    """Looks again and again at what is committed, then at what is published: a commit may never be ahead."""

    def __init__(self, cluster: Cluster, group: str, topics: Iterable[str], every: float = 0.1) -> None:
        self._cluster, self._group, self._topics, self._every = cluster, group, list(topics), every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.samples: list[Sample] = []

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def _run(self) -> None:
        reader = self._cluster._reader()
        while not self._stop.wait(self._every):
            try:
                committed = self._cluster.offsets(self._group)
                self.samples.append(Sample(committed, _ends(reader, self._topics)))
            except KafkaError:
                continue  # an outage is part of some tests
        reader.close()


def _ends(reader: KafkaConsumer, topics: Iterable[str]) -> dict[Lane, int]:
    lanes = [TopicPartition(t, p) for t in topics for p in sorted(reader.partitions_for_topic(t) or ())]
    return {Lane(*lane): end for lane, end in reader.end_offsets(lanes).items()}


def _fact(record: Any) -> Fact:
    headers = tuple((name, value) for name, value in record.headers)
    at = Place(record.topic, record.partition, record.offset)
    return Fact(at, record.key, record.value, headers, record.timestamp)


def until(seconds: float, what: str, holds: Callable[[], object]) -> float:
    """Wait until it holds; returns the seconds it took, fails after `seconds`."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.05)
    return time.monotonic() - began
