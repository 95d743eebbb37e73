"""Topics on the embedded broker for one bench: filled, measured, read back by clients of our own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import orjson

# Clients of its own, apart from the daemon's: what they see does not rest on the daemon's word.
from kafka import KafkaConsumer, KafkaProducer
from kafka.structs import TopicPartition

from service.bench.load import Sent
from service.config import DeadLetter, Input, Kafka, Output, Settings
from service.errors import InternalError
from service.kafka.admin import create_topics
from service.kafka.client import consumer_options, producer_options

PARTITIONS: Final = 4
FILL_CHUNK: Final = 2000


@dataclass(frozen=True, slots=True)
class Topics:
    """One input with its output and dead letters; the output is stamped when the broker appends."""

    name: str

    @property
    def input(self) -> str:
        """Events."""
        return f"{self.name}.events"

    @property
    def output(self) -> str:
        """Scores."""
        return f"{self.name}.scores"

    @property
    def deadletter(self) -> str:
        """Dead letters."""
        return f"{self.name}.deadletters"


class Ground:
    """A broker, and what the bench does with it."""

    def __init__(self, bootstrap: str, bundle: str) -> None:
        self._bootstrap, self._bundle = bootstrap, bundle
        self.kafka = Kafka(bootstrap_servers=[bootstrap])

    def topics(self, name: str) -> Topics:
        """Make fresh topics under this name."""
        topics = Topics(name)
        create_topics(self.kafka, [topics.input, topics.deadletter], partitions=PARTITIONS)
        stamped = {"message.timestamp.type": "LogAppendTime"}
        create_topics(self.kafka, [topics.output], partitions=PARTITIONS, configs=stamped)
        return topics

    def settings(self, topics: Topics, group: str) -> Settings:
        """The daemon's default settings on these topics, as a group of their own."""
        return Settings(
            kafka=Kafka(bootstrap_servers=[self._bootstrap], group=group),
            input=Input(topics=[topics.input]),
            output=Output(topic=topics.output),
            deadletter=DeadLetter(topic=topics.deadletter),
            bundle=self._bundle,
        )

    def fill(self, topic: str, events: Iterable[Sent]) -> int:
        """Send events, return how many once all are acknowledged."""
        sent = 0
        events = iter(events)
        with closing(KafkaProducer(**producer_options(self.kafka))) as producer:
            while chunk := list(islice(events, FILL_CHUNK)):
                futures = [producer.send(topic, e.value, e.key, headers=list(e.headers)) for e in chunk]
                producer.flush()
                for future in futures:
                    future.get(timeout=0)
                sent += len(chunk)
        return sent

    def ends(self, topic: str) -> int:
        """How many records a topic of ours has taken so far."""
        with self._reader() as reader:
            return total(reader, topic)

    def counter(self, topics: Sequence[str]) -> Counter:
        """An open client that counts the records of these topics."""
        return Counter(KafkaConsumer(**consumer_options(self.kafka)), topics)

    def read(self, topic: str) -> Iterator[Any]:
        """Every record of a topic, from its beginning to its end as it is now."""
        with self._reader() as reader:
            partitions = [TopicPartition(topic, each) for each in range(PARTITIONS)]
            reader.assign(partitions)
            reader.seek_to_beginning(*partitions)
            left = total(reader, topic)
            while left:
                batches = reader.poll(timeout_ms=5000)
                if not batches:
                    raise InternalError(
                        "the scores cannot be read back", where=topic, why=f"{left} are missing"
                    )
                for records in batches.values():
                    left -= len(records)
                    yield from records

    @contextmanager
    def _reader(self) -> Iterator[Any]:
        with closing(KafkaConsumer(**consumer_options(self.kafka))) as reader:
            yield reader


class Counter:
    """Counts records without reading them; `close` it."""

    def __init__(self, client: Any, topics: Sequence[str]) -> None:
        self._client, self._topics = client, topics

    def count(self) -> list[int]:
        """Records of each topic."""
        return [total(self._client, topic) for topic in self._topics]

    def close(self) -> None:
        """Disconnect."""
        self._client.close()


def total(client: Any, topic: str) -> int:
    """Records that a topic, never cleaned, has taken."""
    partitions = [TopicPartition(topic, each) for each in range(PARTITIONS)]
    return sum(client.end_offsets(partitions).values())


def cycle_of(value: bytes) -> tuple[float, ...]:
    """What tells a score's cycle: all of a cycle share their timings."""
    return tuple(orjson.loads(value)["timings_ms"].values())
