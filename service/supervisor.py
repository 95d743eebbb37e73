"""The main thread while the daemon serves: it watches the others, and tells probes and metrics."""

from __future__ import annotations

import logging
import threading
import time
from typing import Final

from service.buffer import Buffer
from service.fuse import Fuse
from service.health import Health
from service.intakeloop import IntakeLoop
from service.kafka.sink import Sink
from service.kafka.source import Source
from service.membership import Membership
from service.metrics import Metrics
from service.pipeline import Pipeline

log = logging.getLogger(__name__)

TICK_SECONDS: Final = 0.25


class Supervisor:
    """Turns the state of source, sink, fuse and stages into readiness; ends when asked, or a part died."""

    def __init__(
        self,
        source: Source,
        sink: Sink,
        loop: IntakeLoop,
        pipeline: Pipeline,
        buffer: Buffer,
        fuse: Fuse,
        member: Membership,
        metrics: Metrics,
        health: Health,
    ) -> None:
        self._source, self._sink, self._loop, self._pipeline = source, sink, loop, pipeline
        self._buffer, self._fuse, self._member = buffer, fuse, member
        self._metrics, self._health = metrics, health

    def watch(self, asked: threading.Event) -> None:
        """Return when a signal asked for the end, or when a stage died."""
        while not asked.wait(TICK_SECONDS):
            if self._loop.failure or self._pipeline.failure:
                return
            self.tick()

    def tick(self) -> None:
        """Look once."""
        self._report("source", self._source.reason)
        self._report("output", self._sink.reason)
        if self._pipeline.tripped.is_set() and self._health.trouble("fuse", self._fuse_text()):
            self._metrics.fuse_open.set(1)
            self._loop.hold()
            log.critical(self._fuse_text())
        self._metrics.inflight_records.set(self._buffer.records + self._pipeline.records)
        self._metrics.inflight_bytes.set(self._buffer.bytes + self._pipeline.bytes)
        self._lag()

    def _report(self, name: str, reason: str | None) -> None:
        if reason is None:
            if self._health.clear(name):
                log.info("%s works again", name)
        elif self._health.trouble(name, reason):
            log.warning("not ready: %s: %s", name, reason)

    def _lag(self) -> None:
        now = time.time()
        for partition, lag in self._source.lag().items():
            labels = (partition.topic, str(partition.partition))
            self._metrics.lag_records.labels(*labels).set(lag)
            finished = self._member.finished(partition)
            if lag == 0 or finished is not None:
                behind = now - finished if lag and finished else 0.0
                self._metrics.lag_seconds.labels(*labels).set(max(0.0, behind))

    def _fuse_text(self) -> str:
        where = f"{self._fuse.tripped.topic}/{self._fuse.tripped.partition}" if self._fuse.tripped else "?"
        return (
            f"the dead-letter fuse tripped on {where}: most of its records are broken. Look at the input;"
            " to let N broken records pass, restart with --fuse-accept N"
        )
