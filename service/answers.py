"""The policy stage: from a cycle's answers to the records to publish, past the dead-letter fuse."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from service.config import Settings
from service.cycle import Cycle
from service.deadletter import dead_letter
from service.fuse import Fuse
from service.metrics import Metrics
from service.record import Outgoing, Partition, Record
from service.score import Scored, Timings
from service.scoring import Failed, Inferred, Scoring


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one record; `outgoing` None: dropped on purpose."""

    record: Record
    partition: Partition
    epoch: int
    event_id: str
    made: Scored | Failed
    outgoing: Outgoing | None


class Answers:
    """Decides and serialises; `fits` is what the dead-letter topic holds, in bytes."""

    def __init__(
        self, settings: Settings, scoring: Scoring, fuse: Fuse, metrics: Metrics, fits: int | None
    ) -> None:
        self._settings, self._scoring, self._metrics = settings, scoring, metrics
        self._fits = fits
        self.fuse = fuse

    def make(self, cycle: Cycle) -> list[Result] | None:
        """What to publish of an inferred cycle; None: the fuse has tripped, and nothing may be sent."""
        began = time.monotonic()
        assert cycle.inferred is not None, "Decided before it was inferred. This is a bug."
        results = self._results(cycle, cycle.inferred)
        self._metrics.stage["policy"].observe(time.monotonic() - began)
        return None if self._trips(results) else results

    def letter(self, result: Result, failed: Failed, attempt: int = 1, *, refused: bool = False) -> Result:
        """The result with a dead letter in place of what there was, by reference where that was `refused`."""
        fits = 0 if refused else self._fits
        outgoing = self._letter(result.record, result.partition, result.epoch, failed, attempt, fits)
        return replace(result, made=failed, outgoing=outgoing)

    def _results(self, cycle: Cycle, inferred: Inferred) -> list[Result]:
        prepare, infer = inferred.prepare_seconds * 1e3, inferred.infer_seconds * 1e3
        total = cycle.age() * 1e3
        timings = Timings(max(0.0, total - prepare - infer), prepare, infer, total)
        self._metrics.stage["queue"].observe(timings.queue / 1e3)
        results = []
        for k, (partition, epoch, record) in enumerate(cycle.owners()):
            attempt = cycle.attempts.get(partition, 1)
            made = self._scoring.encode(record, inferred, k, timings, attempt)
            outgoing = self._outgoing(record, partition, epoch, made, attempt)
            event_id = inferred.prepared[k].event_id
            results.append(Result(record, partition, epoch, event_id, made, outgoing))
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

    def _trips(self, results: list[Result]) -> bool:
        kinds: dict[Partition, list[str | None]] = {}
        for result in results:
            kind = result.made.error.kind if isinstance(result.made, Failed) else None
            kinds.setdefault(result.partition, []).append(kind)
        return any(self.fuse.feed(partition, found) for partition, found in kinds.items())
