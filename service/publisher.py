"""The last stage of a cycle: publish until all is acknowledged, then account for it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from service.account import Account
from service.answers import Answers, Result
from service.errors import RecordError
from service.health import Health
from service.kafka.sink import Rejected, Sink
from service.metrics import Metrics
from service.record import Outgoing, Partition
from service.scoring import Failed, Inferred

log = logging.getLogger(__name__)

REJECTED_AGAIN_SECONDS: Final = 1.0

Owns = Callable[[Partition, int], bool]


class Publisher:
    """Turns inferred cycles into acknowledged scores and dead letters."""

    def __init__(
        self, answers: Answers, account: Account, sink: Sink, health: Health, metrics: Metrics, owns: Owns
    ) -> None:
        self._answers, self._account, self._sink = answers, account, sink
        self._health, self._metrics, self._owns = health, metrics, owns

    def publish(
        self,
        results: list[Result],
        inferred: Inferred,
        stopping: Callable[[], bool],
        sent: Callable[[], None],
    ) -> None:
        """Return once every result is acknowledged; raises Abandoned when `stopping()` turns true first."""
        began = time.monotonic()
        results = self._send(results, stopping, sent)
        self._metrics.stage["publish"].observe(time.monotonic() - began)
        answered = [r for r in results if self._owns(r.partition, r.epoch)]
        self._account.count([(r.record, r.made) for r in answered], inferred)

    def _send(
        self, results: list[Result], stopping: Callable[[], bool], sent: Callable[[], None]
    ) -> list[Result]:
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
                self._answers.fuse.feed(results[k].partition, ["invalid"])
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

    def _refused(self, result: Result, rejected: Rejected) -> Result:
        """A refused score becomes a dead letter, a refused dead letter a reference."""
        if isinstance(result.made, Failed):
            return self._answers.letter(result, result.made, refused=True)
        error = RecordError("invalid", "too_large", f"refused by the broker: {rejected.why}", stage="publish")
        return self._answers.letter(result, Failed(result.event_id, error))

    def _owned(self, outgoing: Outgoing) -> bool:
        return self._owns(outgoing.origin, outgoing.epoch)


def _outgoing(results: list[Result], chosen: list[int]) -> list[Outgoing]:
    return [out for k in chosen if (out := results[k].outgoing) is not None]
