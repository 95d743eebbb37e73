"""A record that cannot be read: its partition stands still, and readiness says so until that is over."""

from __future__ import annotations

import logging
from collections.abc import Collection

from kafka import KafkaConsumer
from kafka.errors import CorruptRecordError, KafkaError, UnsupportedCodecError
from kafka.structs import TopicPartition

from service.kafka import internals
from service.record import Partition

log = logging.getLogger(__name__)


class Obstacle:
    """At most one place, the last one met."""

    def __init__(self) -> None:
        self._place: tuple[TopicPartition, int] | None = None

    @property
    def reason(self) -> str | None:
        """`record_unreadable` while a partition stands still, else None."""
        return None if self._place is None else "record_unreadable"

    def met(self, consumer: KafkaConsumer, error: Exception) -> None:
        """Take note if the error that came out of a poll is about what was read; told once for each place."""
        if isinstance(error, KafkaError) and not isinstance(
            error, CorruptRecordError | UnsupportedCodecError
        ):
            return
        place = internals.reading(consumer)
        if place is not None and place != self._place:
            self._place = place
            (topic, partition), offset = place
            why = f"{type(error).__name__}: {error}"
            fields = {"topic": topic, "partition": partition, "offset": offset, "why": why}
            text = "the record at %s/%d@%d cannot be read: its partition stands still"
            log.error(text, topic, partition, offset, extra={"fields": fields})

    def look(self, consumer: KafkaConsumer, owned: Collection[Partition]) -> None:
        """Forget the place once it is behind, or another member's; for a settled group."""
        if self._place is None:
            return
        tp, offset = self._place
        position = internals.position(consumer, tp)
        if Partition(*tp) not in owned or (position is not None and position > offset):
            self._place = None
