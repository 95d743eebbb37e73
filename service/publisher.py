"""The last stage of a cycle: decide, serialise, pass the fuse, publish, account."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from service.config import Settings
from service.cycle import Cycle
from service.deadletter import dead_letter
from service.errors import RecordError
from service.fuse import Fuse
from service.kafka.sink import Rejected, Sink
from service.metrics import Metrics
from service.policy import Policy
from service.record import Outgoing, Partition, Record
from service.score import Scored, Timings
from service.scoring import Failed, Inferred, Scoring

REJECTED_AGAIN_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Result:
    """What became of one record; `outgoing` None: dropped on purpose."""

    record: Record
    partition: Partition
    epoch: int
    event_id: str
    made: Scored | Failed
    outgoing: Outgoing | None


class Publisher:
    """Turns inferred cycles into acknowledged scores and dead letters."""

    def __init__(
        self,
        settings: Settings,
        scoring: Scoring,
        policy: Policy,
        sink: Sink,
        fuse: Fuse,
        metrics: Metrics,
        owns: Callable[[Partition, int], bool],
        deadletter_fits: int | None,
    ) -> None:
        self._settings, self._scoring, self._sink = settings, scoring, sink
        self._fuse, self._metrics, self._owns = fuse, metrics, owns
        self._fits = deadletter_fits
        self._decision_labels = {"policy": policy.reference, "mode": policy.mode}

    def publish(self, cycle: Cycle, stopping: Callable[[], bool], sent: Callable[[], None]) -> bool:
        """Publish one cycle, return once all is acknowledged; False: the fuse tripped and nothing was sent.

        Raises Abandoned when `stopping()` turns true first.
        """
        began = time.monotonic()
        assert cycle.inferred is not None, "Published before it was inferred. This is a bug."
        results = self._results(cycle, cycle.inferred)
        if self._trips(results):
            return False
        made = time.monotonic()
        self._send([r.outgoing for r in results if r.outgoing is not None], results, stopping, sent)
        self._metrics.stage["policy"].observe(made - began)
        self._metrics.stage["publish"].observe(time.monotonic() - made)
        self._account(results, cycle.inferred)
        return True

    def _results(self, cycle: Cycle, inferred: Inferred) -> list[_Result]:
        prepare, infer = inferred.prepare_seconds * 1e3, inferred.infer_seconds * 1e3
        total = cycle.age() * 1e3
        timings = Timings(max(0.0, total - prepare - infer), prepare, infer, total)
        self._metrics.stage["queue"].observe(timings.queue / 1e3)
        results = []
        for k, (partition, epoch, record) in enumerate(cycle.owners()):
            attempt = cycle.attempts.get(partition, 1)
            made = self._scoring.encode(
                record, inferred.prepared[k], inferred.outputs, inferred.rows[k], timings, attempt
            )
            outgoing = self._outgoing(record, partition, epoch, made, attempt)
            event_id = inferred.prepared[k].event_id
            results.append(_Result(record, partition, epoch, event_id, made, outgoing))
        return results

    def _outgoing(
        self, record: Record, partition: Partition, epoch: int, made: Scored | Failed, attempt: int
    ) -> Outgoing | None:
        if isinstance(made, Scored):
            return Outgoing(self._settings.output.topic, made.key, made.value, made.headers, partition, epoch)
        if made.dropped:
            return None
        return self._letter(record, partition, epoch, made, attempt, self._fits)

    def _letter(
        self, record: Record, partition: Partition, epoch: int, made: Failed, attempt: int, fits: int | None
    ) -> Outgoing:
        deadletter = self._settings.deadletter
        letter = dead_letter(
            record,
            made.error,
            event_id=made.event_id,
            group=self._settings.kafka.group,
            mode=deadletter.mode,
            attempts=attempt,
            fits=fits,
        )
        return Outgoing(deadletter.topic, letter.key, letter.value, letter.headers, partition, epoch)

    def _trips(self, results: list[_Result]) -> bool:
        kinds: dict[Partition, list[str | None]] = {}
        for result in results:
            kind = result.made.error.kind if isinstance(result.made, Failed) else None
            kinds.setdefault(result.partition, []).append(kind)
        return any(self._fuse.feed(partition, found) for partition, found in kinds.items())

    def _send(
        self,
        outgoing: list[Outgoing],
        results: list[_Result],
        stopping: Callable[[], bool],
        sent: Callable[[], None],
    ) -> None:
        """Send; what the brokers refuse for its own sake goes out as a dead letter, at last by reference."""
        sources = [r for r in results if r.outgoing is not None]
        rejected = self._sink.publish(outgoing, self._owned, stopping, sent)
        while rejected:
            again = [(sources[r.index], self._refused(sources[r.index], r)) for r in rejected]
            sources = [source for source, _ in again]
            rejected = self._sink.publish([letter for _, letter in again], self._owned, stopping)
            if rejected:
                self._metrics.errors.labels("publish", "rejected_reference").inc(len(rejected))
                time.sleep(REJECTED_AGAIN_SECONDS)  # not even where it lies: the topic itself needs mending

    def _refused(self, result: _Result, rejected: Rejected) -> Outgoing:
        error = RecordError("invalid", "too_large", f"refused by the broker: {rejected.why}", stage="publish")
        fits = 0 if rejected.outgoing.topic == self._settings.deadletter.topic else self._fits
        failed = result.made if isinstance(result.made, Failed) else Failed(result.event_id, error)
        return self._letter(result.record, result.partition, result.epoch, failed, 1, fits)

    def _owned(self, outgoing: Outgoing) -> bool:
        return self._owns(outgoing.origin, outgoing.epoch)

    def _account(self, results: list[_Result], inferred: Inferred) -> None:
        metrics, now = self._metrics, time.time()
        scored = [r.made for r in results if isinstance(r.made, Scored)]
        failed = [r.made for r in results if isinstance(r.made, Failed)]
        metrics.records_scored.inc(len(scored))
        for action, count in Counter(s.decision.action for s in scored).items():
            metrics.decisions.labels(action=action, **self._decision_labels).inc(count)
        kept = Counter((f.error.kind, f.error.reason) for f in failed if not f.dropped)
        for (kind, reason), count in kept.items():
            metrics.deadletters.labels(kind, reason).inc(count)
        dropped = sum(f.dropped for f in failed)
        if dropped:
            metrics.records_dropped.labels("expired").inc(dropped)
        metrics.end_to_end.observe(np.array([now - r.record.timestamp / 1e3 for r in results]))
        statuses = Counter((i.modality, i.status) for p in inferred.prepared for i in p.inputs)
        for item, count in statuses.items():
            metrics.input[item].inc(count)
        if inferred.outputs is not None:
            for k, name in enumerate(self._scoring.engine.labels.names):
                metrics.score_probability.observe(inferred.outputs.moderation[:, k], name)
