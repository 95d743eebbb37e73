"""The infer stage: media in, answers out, and whose fault it is where there are none."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from typing import Final

from engines.errors import EngineError
from service.buffer import Pace
from service.cycle import Cycle
from service.errors import RecordError
from service.failover import Failover
from service.failpoint import FailPoints
from service.health import Health
from service.intake.identity import fallback_id
from service.intake.intake import Prepared
from service.kafka.checkpoint import Checkpoint
from service.kafka.sink import Abandoned
from service.metrics import Metrics
from service.scoring import Inferred, Scoring
from service.starting import LOOK_SECONDS

log = logging.getLogger(__name__)

PATIENCE_SECONDS: Final = 2.0  # media slower than this leaves its cycle: what is ready goes ahead
HANG_SECONDS: Final = 300.0  # one record's media, or one run of the model, ends long before


class Inference:
    """Waits for a cycle's media, runs the engine, and tries again, or another, while that is in trouble."""

    def __init__(
        self,
        scoring: Scoring,
        checkpoint: Checkpoint,
        pace: Pace,
        metrics: Metrics,
        health: Health,
        fail: FailPoints,
        ending: threading.Event | None = None,
    ) -> None:
        self._scoring, self._checkpoint, self._pace = scoring, checkpoint, pace
        self._metrics, self._health, self._fail = metrics, health, fail
        self._ending = ending or threading.Event()
        self._failover = Failover(scoring, metrics, health)

    def answer(self, cycle: Cycle, give_up: threading.Event) -> Iterator[Cycle]:
        """The cycle with its answers; in several parts, in order, where its media is slow.

        A few kilobytes may hold seconds of decoding, which nobody can tell beforehand; so a cycle is bounded
        in seconds here too. Raises Abandoned once `give_up` is set; and once `ending` is, where no engine
        is open: one may take minutes to build.
        """
        rest: Cycle | None = cycle
        while rest is not None:
            self._alive()
            began = time.monotonic()
            if rest.condemned:
                part, rest = rest, None
                part.inferred = self._condemn(part)
            else:
                part, rest = self._ready(rest)
                part.inferred = self._infer(part, time.monotonic() - began, give_up)
            self._measure(part, time.monotonic() - began)
            yield part
            if give_up.is_set():
                raise Abandoned
        self._health.rest("infer")

    def _ready(self, cycle: Cycle) -> tuple[Cycle, Cycle | None]:
        """As much of the cycle as is prepared in time, and what is left of it."""
        assert cycle.preparation is not None, "Inferred before it was prepared. This is a bug."
        cycle.prepared = self._scoring.finish(cycle.preparation, PATIENCE_SECONDS, self._alive)
        count = len(cycle.prepared)
        if count == len(cycle.preparation.pendings):
            return cycle, None
        part, rest = cycle.split(count)
        self._checkpoint.split(part.positions)
        return part, rest

    def _infer(self, cycle: Cycle, waited: float, give_up: threading.Event) -> Inferred:
        assert cycle.preparation is not None, "Inferred before it was prepared. This is a bug."
        self._fail.reach("infer", cycle.preparation.records)

        def hear() -> None:
            if give_up.is_set() or self._ending.is_set():
                raise Abandoned

        def alive() -> None:
            hear()
            self._alive()

        while True:
            try:
                self._failover.ensure(alive, hear)
                # What crashed an earlier try may have been the explaining: the score must not hang on it.
                seconds, explain = cycle.preparation.seconds + waited, not cycle.careful
                inferred = self._scoring.infer(cycle.prepared, seconds, self._alive, explain=explain)
            except EngineError as error:  # the device's trouble, nobody's record: stay, and try again
                self._metrics.errors.labels("infer", type(error).__name__).inc()
                news = self._health.trouble("engine", error.what)
                self._alive()
                if self._failover.failed(error, alive, hear):
                    continue
                if news:
                    log.error("the engine fails, trying again until it works: %s", error)
                self._pause(give_up)
            else:
                self._failover.worked()
                self._health.clear("engine")
                cycle.preparation = None  # the rows' memory goes back before the publisher waits for brokers
                return inferred

    def _pause(self, give_up: threading.Event) -> None:
        end = time.monotonic() + self._failover.pause
        while (left := end - time.monotonic()) > 0 and not (self._failover.down and self._ending.is_set()):
            if give_up.wait(min(left, LOOK_SECONDS)):
                raise Abandoned

    def _condemn(self, cycle: Cycle) -> Inferred:
        (run,) = cycle.runs
        (record,) = run.records
        where = run.partition._asdict() | {"offset": record.offset}
        log.error("a record crashed the process twice, alone: dead letter", extra={"fields": where})
        error = RecordError("crash", "killed_engine", "crashed the process alone, twice", stage="infer")
        return Inferred([Prepared(None, fallback_id(record), [], None, error)], [-1], None, 0.0, 0.0)

    def _measure(self, cycle: Cycle, seconds: float) -> None:
        assert cycle.inferred is not None, "Measured before it was inferred. This is a bug."
        self._pace.learn(len(cycle.inferred.rows), cycle.size, seconds)
        self._metrics.stage["prepare"].observe(cycle.inferred.prepare_seconds)
        self._metrics.stage["infer"].observe(cycle.inferred.infer_seconds)
        for fault in cycle.inferred.explained.faults:
            self._metrics.errors.labels("infer", fault).inc()
        self._metrics.useful_token_ratio.set(self._scoring.engine.useful_token_ratio)

    def _alive(self) -> None:
        self._health.beat("infer", HANG_SECONDS)
