"""Follow topics from their beginning to wherever they grow, outside any group: for the demo."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any

from kafka import KafkaConsumer
from kafka.errors import KafkaConnectionError
from kafka.structs import TopicPartition

from service.config import Kafka
from service.kafka.client import consumer_options
from service.kafka.diagnose import bootstrap
from service.record import Record


class Follower:
    """Reads every partition of some topics; commits nothing. The topics must exist."""

    def __init__(self, kafka: Kafka, topics: Sequence[str]) -> None:
        """Connect; raises ConfigError or UnreachableError with the cause."""
        options: dict[str, Any] = {
            **consumer_options(kafka),
            "group_id": None,
            "auto_offset_reset": "earliest",
            # The slowest answer to an empty fetch: what comes out should be seen at once.
            "fetch_max_wait_ms": 100,
        }
        self._consumer = bootstrap(kafka, lambda: KafkaConsumer(**options))
        places = [
            TopicPartition(topic, partition)
            for topic in topics
            for partition in sorted(self._consumer.partitions_for_topic(topic) or ())
        ]
        self._consumer.assign(places)

    def __enter__(self) -> Follower:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close(timeout_ms=2000)

    def poll(self, timeout: float) -> list[Record]:
        """What has come within `timeout` seconds; in order within a partition."""
        try:
            batches = self._consumer.poll(timeout_ms=int(timeout * 1000))
        except KafkaConnectionError:  # retriable; seen from short polls while a broker is away
            return []
        return [record for batch in batches.values() for record in batch]
