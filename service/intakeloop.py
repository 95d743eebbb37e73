"""The poll thread: it waits only inside `poll`, and turns a full pipeline into pauses."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from typing import Final

from service.buffer import Buffer, Cause
from service.failpoint import FailPoints
from service.health import Health
from service.kafka.source import Source
from service.metrics import Metrics
from service.record import Run

log = logging.getLogger(__name__)

DRAIN_POLL_SECONDS: Final = 0.2
COMMIT_SECONDS: Final = 5.0


class IntakeLoop:
    """Owns the source from `open` to `close`; everything the client does happens on this thread."""

    def __init__(
        self,
        source: Source,
        buffer: Buffer,
        metrics: Metrics,
        health: Health,
        fail: FailPoints,
        *,
        alive: float,
    ) -> None:
        """`alive`: how many seconds one poll may last before the loop counts as hung."""
        self._source, self._buffer, self._metrics, self._health = source, buffer, metrics, health
        self._fail, self._alive = fail, alive
        self._stop, self._hold, self._drained = threading.Event(), threading.Event(), threading.Event()
        self._deadline = 0.0
        self._paused: tuple[Cause, float] | None = None
        self._thread = threading.Thread(target=self._guarded, name="poll", daemon=True)
        self.failure: BaseException | None = None
        self.settled = False
        """Whether the last commit reached the brokers."""

    def start(self) -> None:
        """Open the source here, so that its errors are the caller's; then poll on a thread of its own."""
        self._source.open()
        self._thread.start()

    def stop(self) -> None:
        """Take in nothing more; the source stays in the group until `settle`."""
        self._stop.set()

    def hold(self) -> None:
        """Stay in the group, but take in nothing more (the fuse tripped)."""
        self._hold.set()

    def settle(self, deadline: float) -> bool:
        """Commit what is acknowledged, leave the group; whether that was done by `deadline` (monotonic)."""
        self._deadline = deadline
        self._drained.set()
        self._thread.join(max(0.0, deadline - time.monotonic()))
        return self.settled and not self._thread.is_alive()

    def _guarded(self) -> None:
        try:
            self._poll_until_stopped()
            self._poll_until_drained()
        except BaseException as error:  # whatever ends the loop must end the daemon, and be told
            log.exception("the poll thread died")
            self.failure = error
        self._health.rest("poll")
        self._drained.wait()
        self.settled = self._source.commit(COMMIT_SECONDS)
        self._source.close()

    def _poll_until_stopped(self) -> None:
        while not self._stop.is_set():
            self._health.beat("poll", self._alive)
            runs = self._source.poll()
            if self._hold.is_set():
                self._source.pause()
            elif runs:
                self._take(runs)
            self._balance()

    def _poll_until_drained(self) -> None:
        """Poll on without taking records: a rebalance under way blocks every commit until it is through."""
        self._source.pause()
        while not self._drained.is_set():
            self._health.beat("poll", self._alive)
            self._source.poll(DRAIN_POLL_SECONDS)
        while not self._source.commit(COMMIT_SECONDS) and time.monotonic() < self._deadline - COMMIT_SECONDS:
            self._health.beat("poll", self._alive)
            self._source.poll(DRAIN_POLL_SECONDS)

    def _take(self, runs: list[Run]) -> None:
        self._buffer.put(runs)
        sizes: Counter[str] = Counter()
        for run in runs:
            self._metrics.records_received.labels(run.partition.topic).inc(len(run.records))
            sizes[run.partition.topic] += sum(len(r.value or b"") + len(r.key or b"") for r in run.records)
        for topic, size in sizes.items():
            self._metrics.received_bytes.labels(topic).inc(size)
        self._fail.reach("poll", [record for run in runs for record in run.records])

    def _balance(self) -> None:
        """Pause while the buffer is full, resume at half; seconds spent paused are counted by their cause."""
        now = time.monotonic()
        if self._paused is not None:
            cause, since = self._paused
            self._metrics.backpressure[cause].inc(now - since)
            self._paused = (cause, now)
            if self._buffer.low():
                self._paused = None
                self._source.resume()
        elif (full := self._buffer.full()) is not None:
            self._paused = (full, now)
            self._source.pause()
        self._metrics.paused_partitions.set(self._source.paused)
