"""A group member for tests: a source with its checkpoint, and what it was told."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager

from kafka import KafkaConsumer, KafkaProducer
from kafka.structs import TopicPartition

from service.config import Input, Kafka
from service.kafka.checkpoint import Checkpoint, Commit
from service.kafka.source import Silent, Source, Start
from service.record import Partition


class Told(Silent):
    """Remembers what the source said."""

    def __init__(self) -> None:
        self.starts: dict[Partition, Start] = {}
        self.gaps: dict[Partition, int] = {}
        self.revocations: list[tuple[set[Partition], bool, float]] = []
        self.gone: list[set[Partition]] = []
        self.new_topics: list[Partition] = []
        self.recoveries: list[str] = []
        self.commits: dict[Partition, Commit] = {}
        self.on_assigned: Callable[[Mapping[Partition, Start]], None] = lambda starts: None

    def assigned(self, starts: Mapping[Partition, Start]) -> None:
        self.starts.update(starts)
        self.on_assigned(starts)

    def revoked(self, partitions: Collection[Partition], drained: bool, seconds: float) -> None:
        self.revocations.append((set(partitions), drained, seconds))

    def lost(self, partitions: Collection[Partition]) -> None:
        self.gone.append(set(partitions))

    def recovered(self, reason: str) -> None:
        self.recoveries.append(reason)

    def retention_gap(self, partition: Partition, records: int) -> None:
        self.gaps[partition] = records

    def recreated(self, partition: Partition) -> None:
        self.new_topics.append(partition)

    def committed(self, commits: Mapping[Partition, Commit], seconds: float) -> None:
        self.commits.update(commits)


class Member:
    """A source with its checkpoint and what it read; `take` does the work of a whole daemon."""

    def __init__(self, kafka: Kafka, topic: str | list[str], drain: float = 5.0, **input_: object) -> None:
        topics = topic if isinstance(topic, list) or topic.startswith("^") else [topic]
        self.checkpoint, self.told = Checkpoint(), Told()
        settings = Input(topics=topics, **input_)  # type: ignore[arg-type]
        self.source = Source(kafka, settings, self.checkpoint, self.told, drain_seconds=drain)
        self.read: dict[Partition, list[int]] = defaultdict(list)
        self.when: list[float] = []

    def take(self, seconds: float, until: Callable[[], bool] = lambda: False, ack: bool = True) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not until():
            for run in self.source.poll():
                position = {run.partition: (run.epoch, run.records[-1].offset + 1)}
                if self.checkpoint.begin(position):
                    continue
                self.read[run.partition].extend(record.offset for record in run.records)
                self.when.append(time.monotonic())
                if ack:
                    self.checkpoint.acked(position)
                    self.source.commit_soon()

    def total(self) -> int:
        return sum(len(offsets) for offsets in self.read.values())


@contextmanager
def member(*arguments: object, **options: object) -> Iterator[Member]:
    made = Member(*arguments, **options)  # type: ignore[arg-type]
    made.source.open()
    try:
        yield made
    finally:
        made.source.close()


def produce(kafka: Kafka, topic: str, count: int, partition: int | None = None) -> None:
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap_servers, linger_ms=5)
    futures = [producer.send(topic, b"v%d" % n, key=b"k%d" % n, partition=partition) for n in range(count)]
    for future in futures:
        future.get(20)
    producer.close()


def committed(kafka: Kafka, topic: str, partition: int = 0) -> tuple[int, str] | None:
    consumer = KafkaConsumer(
        bootstrap_servers=kafka.bootstrap_servers, group_id=kafka.group, enable_auto_commit=False
    )
    found = consumer.committed(TopicPartition(topic, partition), metadata=True, timeout_ms=5000)
    consumer.close()
    return None if found is None else (found.offset, found.metadata)


def wait_for(condition: Callable[[], object], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def same_group(kafka: Kafka) -> Kafka:
    return kafka.model_copy(update={"client_id": "twin"})
