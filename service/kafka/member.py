"""One consumer in the group, from its subscription to its close; a broken one is replaced as a whole."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Collection, Mapping
from typing import Any

from kafka import KafkaConsumer
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import KafkaError
from kafka.structs import MemberState, TopicPartition

from service.config import Input, Kafka
from service.errors import UnreachableError
from service.kafka import internals
from service.kafka.checkpoint import Checkpoint
from service.kafka.client import consumer_options
from service.kafka.commits import Committer
from service.kafka.diagnose import bootstrap
from service.kafka.hooks import Hooks
from service.kafka.rebalance import Rebalances
from service.record import Partition

log = logging.getLogger(__name__)
LOOK_UP_SECONDS = 5.0


class Member:
    """A joined consumer, its rebalance listener, its committer. Raises ConfigError, UnreachableError."""

    def __init__(
        self, kafka: Kafka, input_: Input, checkpoint: Checkpoint, hooks: Hooks, drain_seconds: float
    ) -> None:
        options = consumer_options(kafka)
        self.consumer: KafkaConsumer = bootstrap(
            kafka,
            lambda: KafkaConsumer(
                group_id=kafka.group,
                partition_assignment_strategy=[CooperativeStickyAssignor()],
                **options,
            ),
        )
        self._topics = input_.topics
        self.committer = Committer(self.consumer, checkpoint, hooks.committed)
        self.rebalances = Rebalances(self.consumer, checkpoint, self.committer, hooks, drain_seconds)
        self._identities: dict[str, object] = {}
        try:
            self.subscribe()
        except BaseException:
            self.consumer.close(timeout_ms=1000)
            raise

    def subscribe(self) -> None:
        """Join with the metadata at hand: a join before it is known may hang for ever."""
        if isinstance(self._topics, str):
            self.consumer.subscribe(pattern=self._topics, listener=self.rebalances)
            pattern = re.compile(self._topics)
            if not any(pattern.match(topic) for topic in self.consumer.topics()):
                raise _missing(f"No topic matches {self._topics!r}")
            return
        self.consumer.subscribe(list(self._topics), listener=self.rebalances)
        for topic in self._topics:
            if not self.consumer.partitions_for_topic(topic):
                raise _missing(f"The input topic {topic} does not exist")

    def resubscribe(self) -> None:
        """Free a member that is stuck in a rebalance: leave, and join anew."""
        owned = {Partition(*each) for each in self.consumer.assignment()}
        self.rebalances.release(owned)
        self.consumer.unsubscribe()
        self.subscribe()

    @property
    def stable(self) -> bool:
        """Whether the group has settled."""
        return bool(self.consumer.group_metadata().state == MemberState.STABLE)

    def ranges(
        self, partitions: Collection[Partition]
    ) -> tuple[Mapping[TopicPartition, int], Mapping[TopicPartition, int]]:
        """First offsets and end offsets; raises KafkaError in an outage."""
        wanted = [TopicPartition(*each) for each in partitions]
        timeout = int(LOOK_UP_SECONDS * 1000)
        first = self.consumer.beginning_offsets(wanted, timeout_ms=timeout)
        return first, self.consumer.end_offsets(wanted, timeout_ms=timeout)

    def committed(self, partitions: Collection[Partition]) -> Mapping[TopicPartition, Any]:
        """What the group committed; raises KafkaError in an outage."""
        wanted = [TopicPartition(*each) for each in partitions]
        return internals.committed(self.consumer, wanted, LOOK_UP_SECONDS)

    def remember(self, topics: Collection[str]) -> None:
        """Keep the topics' identities, to notice when one is deleted and made anew."""
        self._identities.update({topic: internals.topic_id(self.consumer, topic) for topic in topics})

    def changed(self) -> set[str]:
        """Topics with another identity than they had; told once."""
        found = set()
        for topic, known in self._identities.items():
            identity = internals.topic_id(self.consumer, topic)
            if identity is not None and identity != known:
                if known is not None:
                    found.add(topic)
                self._identities[topic] = identity
        return found

    def close(self, timeout: float) -> None:
        """Leave the group; never raises."""
        started = time.monotonic()
        try:
            self.consumer.close(timeout_ms=int(timeout * 1000))
        except (KafkaError, RuntimeError, OSError) as error:
            log.warning("Closing the consumer failed after %.1f s: %s", time.monotonic() - started, error)


def _missing(what: str) -> UnreachableError:
    return UnreachableError(what, where="input.topics", remedy="Create it: tidegate topics create -c FILE")
