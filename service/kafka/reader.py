"""Read what lies in topics, from here to there, outside any group: for dead letters and replays."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

from kafka import KafkaConsumer
from kafka.errors import KafkaConnectionError, KafkaError
from kafka.structs import TopicPartition

from service.config import Kafka
from service.errors import UnreachableError
from service.kafka.client import consumer_options
from service.kafka.diagnose import bootstrap
from service.record import Record

SILENCE_SECONDS: Final = 30.0
ANSWER_MS: Final = 10_000


class Moment(NamedTuple):
    """A time in a topic."""

    milliseconds: int


class Span(NamedTuple):
    """Offsets `start` (included) to `end` (not) of one partition."""

    topic: str
    partition: int
    start: int
    end: int

    @property
    def size(self) -> int:
        """Offsets in it; records may be fewer."""
        return max(0, self.end - self.start)


Bound = Moment | int | None
"""A time, an offset, or no bound."""


def spans(
    kafka: Kafka,
    topics: Iterable[str],
    since: Bound = None,
    until: Bound = None,
    partitions: Sequence[int] = (),
) -> list[Span]:
    """What lies in the topics now between two bounds; `partitions` empty means all of them.

    Raises UnreachableError where a topic or partition is missing, or the brokers do not answer.
    """
    with _consumer(kafka) as consumer:
        places = [place for topic in topics for place in _places(consumer, topic, partitions)]
        first = consumer.beginning_offsets(places, timeout_ms=ANSWER_MS)
        last = consumer.end_offsets(places, timeout_ms=ANSWER_MS)
        starts, ends = _resolve(consumer, first, last, since), _resolve(consumer, last, last, until)
        return [Span(*place, max(first[place], starts[place]), ends[place]) for place in places]


def read(kafka: Kafka, wanted: Iterable[Span]) -> Iterator[Record]:
    """The records of the spans, in order within a partition; commits nothing.

    Offsets without a record (compacted, transaction marks) are passed over. Raises UnreachableError when
    nothing comes for `SILENCE_SECONDS`.
    """
    ends = {TopicPartition(span.topic, span.partition): span for span in wanted if span.size}
    if not ends:
        return
    with _consumer(kafka) as consumer:
        consumer.assign(list(ends))
        for place, span in ends.items():
            consumer.seek(place, span.start)
        heard = time.monotonic()
        while ends:
            batches = _poll(consumer)
            for place, records in batches.items():
                heard = time.monotonic()
                span = ends.get(place)
                yield from (record for record in records if span and span.start <= record.offset < span.end)
            done = [place for place, span in ends.items() if consumer.position(place) >= span.end]
            consumer.pause(*done)
            for place in done:
                del ends[place]
            if time.monotonic() - heard > SILENCE_SECONDS:
                left = ", ".join(f"{place.topic}/{place.partition}" for place in ends)
                raise UnreachableError(
                    f"Nothing came for {SILENCE_SECONDS:.0f} s",
                    where=left,
                    why="the brokers do not answer, or retention removed the rest meanwhile",
                    remedy="Try again",
                )


@contextmanager
def _consumer(kafka: Kafka) -> Iterator[KafkaConsumer]:
    options = {**consumer_options(kafka), "group_id": None, "auto_offset_reset": "earliest"}
    consumer = bootstrap(kafka, lambda: KafkaConsumer(**options))
    try:
        yield consumer
    except KafkaError as error:
        raise UnreachableError(
            "The cluster does not answer",
            where=", ".join(kafka.bootstrap_servers),
            why=f"{type(error).__name__}: {error}",
            remedy="Try again; `tidegate doctor` looks closer",
        ) from error
    finally:
        consumer.close(timeout_ms=2000)


def _places(consumer: KafkaConsumer, topic: str, partitions: Sequence[int]) -> list[TopicPartition]:
    there = consumer.partitions_for_topic(topic)
    if not there:
        raise UnreachableError("There is no such topic", where=topic, remedy="See `tidegate topics check`")
    if missing := set(partitions) - there:
        raise UnreachableError(
            f"The topic has no partition {min(missing)}", where=topic, remedy=f"It has 0 to {max(there)}"
        )
    return [TopicPartition(topic, number) for number in sorted(partitions or there)]


def _resolve(
    consumer: KafkaConsumer,
    default: Mapping[TopicPartition, int],
    last: Mapping[TopicPartition, int],
    bound: Bound,
) -> dict[TopicPartition, int]:
    """The offset of a bound in each partition: a time after the last record is the end."""
    match bound:
        case None:
            return dict(default)
        case Moment():
            found = consumer.offsets_for_times(dict.fromkeys(last, bound.milliseconds), timeout_ms=ANSWER_MS)
            return {place: last[place] if at is None else at.offset for place, at in found.items()}
        case offset:
            return {place: min(offset, end) for place, end in last.items()}


def _poll(consumer: KafkaConsumer) -> Mapping[TopicPartition, Sequence[Record]]:
    try:
        batches: Mapping[TopicPartition, Sequence[Record]] = consumer.poll(timeout_ms=1000)
    except KafkaConnectionError:  # retriable, seen while a broker is away
        time.sleep(0.2)
        return {}
    return batches
