"""Commits of what is acknowledged: one request under way, the next holds all that came meanwhile."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial

from kafka import KafkaConsumer
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata, TopicPartition

from service.kafka.checkpoint import Checkpoint, Commit
from service.record import Partition

log = logging.getLogger(__name__)
# A consumer that is being replaced raises the second from under another thread's commit.
NOT_NOW = (KafkaError, RuntimeError)
OnCommitted = Callable[[Mapping[Partition, Commit], float], None]


def as_offsets(commits: Mapping[Partition, Commit]) -> dict[TopicPartition, OffsetAndMetadata]:
    """Positions in the client's types."""
    return {
        TopicPartition(*partition): OffsetAndMetadata(commit.offset, commit.metadata, -1)
        for partition, commit in commits.items()
    }


class Committer:
    """Commits for one consumer; `soon` may be called by any thread."""

    def __init__(self, consumer: KafkaConsumer, checkpoint: Checkpoint, on_committed: OnCommitted) -> None:
        self._consumer, self._checkpoint, self._on_committed = consumer, checkpoint, on_committed
        self._lock = threading.Lock()
        self._busy = False
        self._again = False
        self.failing = False

    def soon(self) -> None:
        """Send what is acknowledged and not yet committed; never waits. A failure is tried again later."""
        with self._lock:
            if self._busy:
                self._again = True
                return
            commits = self._checkpoint.to_commit()
            if not commits:
                return
            self._busy, self._again = True, False
        try:
            future = self._consumer.commit_async(as_offsets(commits))
        except NOT_NOW as error:
            self._done(commits, time.monotonic(), error)
            return
        future.add_both(partial(self._done, commits, time.monotonic()))

    def now(self, commits: Mapping[Partition, Commit], timeout: float) -> bool:
        """Commit these positions and wait; False if the brokers did not take them in time."""
        started = time.monotonic()
        try:
            self._consumer.commit(as_offsets(commits), timeout_ms=int(timeout * 1000))
        except NOT_NOW as error:
            log.warning("Commit failed, these records may be repeated: %s", _short(error))
            return False
        self.took(commits, time.monotonic() - started)
        return True

    def took(self, commits: Mapping[Partition, Commit], seconds: float) -> None:
        """Note that the brokers have these positions."""
        self._checkpoint.committed(commits)
        self._on_committed(commits, seconds)

    def _done(self, commits: Mapping[Partition, Commit], started: float, result: object) -> None:
        # On the client's IO thread. A lookup of the coordinator resolves with the node's number: whether the
        # commit itself came through is then unknown, and the next one repeats it.
        failed = isinstance(result, BaseException)
        if failed and not self.failing:
            log.warning("Commit failed, will try again: %s", _short(result))
        self.failing = failed
        if result is None:
            self.took(commits, time.monotonic() - started)
        with self._lock:
            self._busy = False
            again = self._again and not failed
        if again:
            self.soon()


def _short(error: object) -> str:
    return f"{type(error).__name__}: {error}"[:200]
