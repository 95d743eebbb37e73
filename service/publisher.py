"""The last stage of a cycle: decide, serialise, pass the fuse, publish, account."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from service.account import Account
from service.config import Settings
from service.cycle import Cycle
from service.deadletter import dead_letter
from service.errors import RecordError
from service.fuse import Fuse
from service.health import Health
from service.kafka.sink import Rejected, Sink
from service.metrics import Metrics
from service.policy import Policy
from service.record import Outgoing, Partition, Record
from service.score import Scored, Timings
from service.scoring import Failed, Inferred, Scoring

log = logging.getLogger(__name__)

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
        health: Health,
        owns: Callable[[Partition, int], bool],
        deadletter_fits: int | None,
    ) -> None:
        self._settings, self._scoring, self._sink = settings, scoring, sink
        self._fuse, self._metrics, self._owns = fuse, metrics, owns
        self._fits = deadletter_fits
        self._health = health
        self._account = Account(metrics, policy, scoring.engine.labels.names)

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
        results = self._send(results, stopping, sent)
        self._metrics.stage["policy"].observe(made - began)
        self._metrics.stage["publish"].observe(time.monotonic() - made)
        answered = [r for r in results if self._owns(r.partition, r.epoch)]
        self._account.count([(r.record, r.made) for r in answered], cycle.inferred)
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
        self, results: list[_Result], stopping: Callable[[], bool], sent: Callable[[], None]
    ) -> list[_Result]:
        """Send; what the brokers refuse for its own sake goes out as a dead letter, at last by reference.

        Returns what became of each record in the end.
        """
        results = list(results)
        waiting = [k for k, result in enumerate(results) if result.outgoing is not None]
        rejected = self._sink.publish(_outgoing(results, waiting), self._owned, stopping, sent)
        rounds = 0
        while rejected:
            waiting = [waiting[each.index] for each in rejected]
            for k, each in zip(waiting, rejected, strict=True):
                results[k] = self._refused(results[k], each)
                self._fuse.feed(results[k].partition, ["invalid"])
            rounds += 1
            if rounds > 1:
                self._hopeless(len(rejected), rejected[0].why)
            rejected = self._sink.publish(_outgoing(results, waiting), self._owned, stopping)
        if rounds > 1:
            self._health.clear("deadletter")
        return results

    def _hopeless(self, count: int, why: str) -> None:
        """Not even where the record lies is taken: the dead-letter topic itself needs mending."""
        self._metrics.errors.labels("publish", "rejected_reference").inc(count)
        if self._health.trouble("deadletter", f"the dead-letter topic refuses records: {why}"):
            log.error("the dead-letter topic refuses records, trying until it takes them: %s", why)
        time.sleep(REJECTED_AGAIN_SECONDS)

    def _refused(self, result: _Result, rejected: Rejected) -> _Result:
        error = RecordError("invalid", "too_large", f"refused by the broker: {rejected.why}", stage="publish")
        fits = 0 if rejected.outgoing.topic == self._settings.deadletter.topic else self._fits
        made = result.made if isinstance(result.made, Failed) else Failed(result.event_id, error)
        letter = self._letter(result.record, result.partition, result.epoch, made, 1, fits)
        return replace(result, made=made, outgoing=letter)

    def _owned(self, outgoing: Outgoing) -> bool:
        return self._owns(outgoing.origin, outgoing.epoch)


def _outgoing(results: list[_Result], chosen: list[int]) -> list[Outgoing]:
    return [out for k in chosen if (out := results[k].outgoing) is not None]
