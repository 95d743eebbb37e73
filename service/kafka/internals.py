"""Every call into the private parts of kafka-python 3.0.12, and what each stands in for; but see `odd`."""

# ruff: noqa: SLF001 - this is the file that may

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from kafka import KafkaConsumer, KafkaProducer
from kafka.structs import OffsetAndMetadata, TopicPartition

LATEST = -1
ORDERLY_SHARE = 0.7


async def sleep(consumer: KafkaConsumer, seconds: float) -> None:
    """Wait inside a rebalance listener: the client's loop is not asyncio."""
    await consumer._net.sleep(seconds)


async def bounded(consumer: KafkaConsumer, future: Any, seconds: float) -> None:
    """Await a client future inside a listener, KafkaTimeoutError after `seconds`."""
    await consumer._manager.wait_for(future, seconds * 1000)


def committed(
    consumer: KafkaConsumer, partitions: Iterable[TopicPartition], seconds: float
) -> dict[TopicPartition, OffsetAndMetadata]:
    """Committed offsets of many partitions by one request; the public call asks for one at a time."""
    found: dict[TopicPartition, OffsetAndMetadata] = consumer._coordinator.fetch_committed_offsets(
        list(partitions), timeout_ms=int(seconds * 1000)
    )
    return found


def end_offsets_soon(consumer: KafkaConsumer, partitions: Iterable[TopicPartition], seconds: float) -> Any:
    """A future of {partition: OffsetAndTimestamp}; the public call would block the poll thread."""
    wanted = dict.fromkeys(partitions, LATEST)
    return consumer._manager.call_soon(
        consumer._fetcher._fetch_offsets_by_times_async, wanted, int(seconds * 1000)
    )


def topic_id(consumer: KafkaConsumer, topic: str) -> object:
    """The topic's identity, which changes when it is deleted and made anew; None while unknown."""
    return consumer._cluster._topic_ids.get(topic)


def position(consumer: KafkaConsumer, partition: TopicPartition) -> int | None:
    """Offset of the next record that poll will return; the public call costs a hundred times more."""
    state = consumer._subscription.assignment.get(partition)
    return None if state is None or state.position is None else int(state.position.offset)


def reading(consumer: KafkaConsumer) -> tuple[TopicPartition, int] | None:
    """The partition that poll was reading when it failed, and the offset of the next record there."""
    current = consumer._fetcher._next_partition_records
    return (current.topic_partition, current.next_fetch_offset) if current else None


def connected(client: KafkaConsumer | KafkaProducer) -> bool:
    """Whether any connection to a broker is up."""
    client = client._sender._client if isinstance(client, KafkaProducer) else client
    return any(connection.connected for connection in list(client._manager._conns.values()))


def close(producer: KafkaProducer, seconds: float) -> None:
    """End a producer within `seconds`, in order if it can be; its own way waits so long for each batch."""
    started = time.monotonic()
    producer._unregister_cleanup()
    producer._sender.initiate_close()
    producer._sender.join(seconds * ORDERLY_SHARE)
    force_close(producer, max(0.0, started + seconds - time.monotonic()))


def force_close(producer: KafkaProducer, seconds: float = 3.0) -> None:
    """End a producer at once: close() would raise on pending records and deliver them later."""
    producer._unregister_cleanup()
    producer._sender.force_close()
    producer._sender.join(seconds)
    producer._closed = True


@contextmanager
def flushing(producer: KafkaProducer) -> Iterator[None]:
    """Send without lingering while inside; flush() would wait, hide failures and raise without one."""
    producer._accumulator.begin_flush()
    producer._sender.wakeup()
    try:
        yield
    finally:
        producer._accumulator._flushes_in_progress.decrement()


def abort(producer: KafkaProducer) -> None:
    """Begin to end a producer at once, without waiting: its pending futures fail."""
    producer._sender.force_close()
