"""Partitions come and go: drain and commit what goes, hold back what comes until its start is known."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Coroutine
from typing import Any

from kafka import KafkaConsumer
from kafka.consumer.subscription_state import AsyncConsumerRebalanceListener
from kafka.errors import KafkaError
from kafka.structs import TopicPartition

from service.kafka import internals
from service.kafka.checkpoint import Checkpoint
from service.kafka.commits import Committer, as_offsets
from service.kafka.hooks import Hooks
from service.record import Partition

log = logging.getLogger(__name__)
LOOK_SECONDS = 0.02
COMMIT_SECONDS = 5.0


class Rebalances(AsyncConsumerRebalanceListener):  # type: ignore[misc]  # the client has no types
    """Runs on the client's IO thread, where only commit_async, pause, resume and seek are allowed."""

    def __init__(
        self,
        consumer: KafkaConsumer,
        checkpoint: Checkpoint,
        committer: Committer,
        hooks: Hooks,
        drain_seconds: float,
    ) -> None:
        self._consumer, self._checkpoint, self._committer = consumer, checkpoint, committer
        self._hooks, self._drain_seconds = hooks, drain_seconds
        self.lock = threading.Lock()
        self.pending: set[Partition] = set()
        """Assigned, held back: the poll thread has yet to find out where they start."""
        self.joined = False

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """New partitions come paused; the poll thread resolves and resumes them."""
        await self._guarded(self._assigned, assigned)

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Let what is in flight finish, for a while, then commit and fence."""
        await self._guarded(self._revoked, revoked)

    async def on_partitions_lost(self, lost: Collection[TopicPartition]) -> None:
        """Someone else owns them already: fence first, commit nothing."""
        await self._guarded(self._lost, lost)

    def release(self, partitions: Collection[Partition]) -> None:
        """Forget partitions that are fenced already, and tell the owner that they are lost."""
        with self.lock:
            self.pending -= set(partitions)
        self._checkpoint.fence(partitions)
        self._hooks.lost(partitions)
        self._hooks.rebalanced("lost")

    async def _guarded(
        self, handle: Callable[[set[Partition]], Coroutine[Any, Any, None]], given: Collection[TopicPartition]
    ) -> None:
        self.joined = True
        partitions = {Partition(*each) for each in given}
        if not partitions:
            return
        try:
            await handle(partitions)
        except Exception:  # one that escapes would break close() and leave the IO thread running
            log.exception("A rebalance step failed. This is a bug.")
            self._checkpoint.fence(partitions if handle != self._assigned else ())

    async def _assigned(self, partitions: set[Partition]) -> None:
        self._consumer.pause(*(TopicPartition(*each) for each in partitions))
        with self.lock:
            self.pending |= partitions
        self._hooks.rebalanced("assigned")

    async def _revoked(self, partitions: set[Partition]) -> None:
        started = time.monotonic()
        with self.lock:
            self.pending -= partitions
        self._checkpoint.closing(partitions)
        while self._checkpoint.busy(partitions) and time.monotonic() - started < self._drain_seconds:
            await internals.sleep(self._consumer, LOOK_SECONDS)
        drained = not self._checkpoint.busy(partitions)
        await self._commit(partitions)
        self._checkpoint.fence(partitions)
        self._hooks.revoked(partitions, drained, time.monotonic() - started)
        self._hooks.rebalanced("revoked")

    async def _commit(self, partitions: set[Partition]) -> None:
        commits = self._checkpoint.to_settle(partitions, alive=True)
        if not commits:
            return
        started = time.monotonic()
        try:
            # The future, not the callback: callbacks run later on the poll thread, which waits for us.
            future = self._consumer.commit_async(as_offsets(commits))
            await internals.bounded(self._consumer, future, COMMIT_SECONDS)
        except KafkaError as error:
            log.warning("The commit on a revoke failed, these records will be repeated: %s", error)
        else:
            self._committer.took(commits, time.monotonic() - started)

    async def _lost(self, partitions: set[Partition]) -> None:
        self.release(partitions)
