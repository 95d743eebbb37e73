"""What the daemon does when the group gives it partitions, takes them back, or finds them odd."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping

from service.caution import Caution
from service.fuse import Fuse
from service.kafka.checkpoint import Commit
from service.kafka.sink import Sink
from service.kafka.source import Source, Start
from service.metrics import Metrics
from service.record import Partition, Run

log = logging.getLogger(__name__)


class Membership:
    """The source's hooks; `source` is set right after it is made, for the two know each other."""

    source: Source

    def __init__(self, metrics: Metrics, caution: Caution, fuse: Fuse, sink: Sink) -> None:
        self._metrics, self._caution, self._fuse, self._sink = metrics, caution, fuse, sink
        self._finished: dict[Partition, float] = {}

    def assigned(self, starts: Mapping[Partition, Start]) -> None:
        """Note in the group that a try begins here, before its first record: a crash leaves the note."""
        self.source.mark_all(
            {each: (s.offset, self._caution.assigned(each, s.offset, s.marker)) for each, s in starts.items()}
        )
        for partition, start in starts.items():
            if start.marker.attempts:
                fields = partition._asdict() | {"offset": start.offset}
                log.warning("the last run ended in a crash here: careful", extra={"fields": fields})
        names = sorted(f"{topic}/{number}" for topic, number in starts)
        log.info("partitions assigned", extra={"fields": {"partitions": names}})

    def revoked(self, partitions: Collection[Partition], drained: bool, seconds: float) -> None:
        """Partitions went to another member, after their cycles were finished."""
        self._metrics.drain_seconds.observe(seconds)
        self._forget(partitions)
        if not drained:
            self._sink.kill()  # what is still on its way must not come after the new owner's
            log.warning("a revoke came before the drain was over; the new owner repeats what was left")

    def lost(self, partitions: Collection[Partition]) -> None:
        """Partitions were taken away: nothing of theirs may come out after the new owner's scores."""
        self._sink.kill()
        self._forget(partitions)
        log.warning("partitions lost", extra={"fields": {"partitions": len(partitions)}})

    def rebalanced(self, reason: str) -> None:
        """Count a step of a rebalance."""
        self._metrics.rebalances.labels(reason).inc()

    def recovered(self, reason: str) -> None:
        """Count what the watchdog had to mend."""
        self._metrics.watchdog_recoveries.inc()
        log.warning("the consumer was stuck and was set going again", extra={"fields": {"reason": reason}})

    def retention_gap(self, partition: Partition, records: int) -> None:
        """Count records that retention deleted before we read them."""
        self._metrics.records_dropped.labels("retention").inc(records)
        fields = partition._asdict() | {"records": records}
        log.error("retention deleted records before they were read", extra={"fields": fields})

    def recreated(self, partition: Partition) -> None:
        """Tell that a topic was made anew under us."""
        self._metrics.errors.labels("source", "topic_recreated").inc()
        log.error("a topic was deleted and made anew: from its start", extra={"fields": partition._asdict()})

    def committed(self, commits: Mapping[Partition, Commit], seconds: float) -> None:
        """Time a commit."""
        self._metrics.stage["commit"].observe(seconds)

    def progressed(self, runs: Collection[Run]) -> None:
        """These runs are acknowledged."""
        now = time.time()
        for run in runs:
            if run.records[-1].timestamp > 0:  # a record may have none
                self._finished[run.partition] = run.records[-1].timestamp / 1e3
            self._metrics.last_progress.labels(run.partition.topic, str(run.partition.partition)).set(now)

    def finished(self, partition: Partition) -> float | None:
        """Timestamp of the last acknowledged record, epoch seconds."""
        return self._finished.get(partition)

    def _forget(self, partitions: Collection[Partition]) -> None:
        for partition in partitions:
            self._caution.forget(partition)
            self._fuse.forget(partition)
            self._finished.pop(partition, None)
            self._metrics.forget(*partition)
