"""How far behind, and whether the brokers answer: asked every few seconds without waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

from kafka.errors import KafkaError
from kafka.structs import TopicPartition

from service.kafka import internals
from service.kafka.checkpoint import Checkpoint
from service.kafka.member import Member
from service.record import Partition, Run

SAMPLE_SECONDS = 5.0
FAILING_SAMPLE_SECONDS = 1.0
ANSWER_SECONDS = 3.0


class Sampler:
    """End offsets of the owned partitions; `sample` is called on the poll thread, the rest by anyone."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._lock = threading.Lock()
        self._ends: dict[Partition, int] = {}
        self._delivered: dict[Partition, tuple[int, int]] = {}
        self._reached: dict[Partition, tuple[int, int]] = {}
        self._due = 0.0
        self._asked = False
        self.failing = False

    def took(self, runs: Iterable[Run]) -> None:
        """Remember up to where records came out of poll."""
        for run in runs:
            self._delivered[run.partition] = (run.epoch, run.records[-1].offset + 1)

    def sample(self, member: Member) -> None:
        """Note what has been read, and ask for the ends when that is due."""
        now = time.monotonic()
        if not internals.connected(member.consumer):
            self.failing = True
        owned = self._checkpoint.owned()
        self._reached = {each: self._reach(member, each) for each in owned}
        if not owned:
            self.failing = not internals.connected(member.consumer)
        if self._asked or now < self._due or not owned:
            return
        self._asked = True
        wanted = [TopicPartition(*each) for each in owned]
        future = internals.end_offsets_soon(member.consumer, wanted, ANSWER_SECONDS)
        future.add_both(self._answered)

    def lag(self) -> dict[Partition, int]:
        """Records between acknowledged and end, for partitions owned now whose end is known."""
        positions = self._checkpoint.positions()
        with self._lock:
            ends, reached = self._ends, self._reached
        for each, (delivered, position) in reached.items():
            at = positions.get(each)
            # All that came is acknowledged; what lies between are marks of transactions, and gaps.
            if at is not None and at >= delivered:
                positions[each] = max(at, position)
        return {each: max(0, ends[each] - at) for each, at in positions.items() if each in ends}

    def _reach(self, member: Member, partition: Partition) -> tuple[int, int]:
        epoch, delivered = self._delivered.get(partition, (0, -1))
        position = internals.position(member.consumer, TopicPartition(*partition))
        if not self._checkpoint.owns(partition, epoch):
            delivered = -1
        return delivered, -1 if position is None else position

    def _answered(self, result: Mapping[TopicPartition, Any] | KafkaError) -> None:
        self._asked = False
        self.failing = isinstance(result, BaseException)
        self._due = time.monotonic() + (FAILING_SAMPLE_SECONDS if self.failing else SAMPLE_SECONDS)
        if not isinstance(result, BaseException):
            with self._lock:
                self._ends = {Partition(*tp): int(found.offset) for tp, found in result.items()}
