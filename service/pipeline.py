"""The stages after the poll thread, joined by queues of one, so that cycles overlap and stay in order."""

from __future__ import annotations

import logging
import queue
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from service import collector
from service.answers import Answers, Result
from service.buffer import Buffer
from service.caution import Caution
from service.cycle import Cycle
from service.failpoint import FailPoints
from service.health import Health
from service.inference import Inference
from service.kafka.checkpoint import Checkpoint
from service.kafka.sink import Abandoned
from service.membership import Membership
from service.metrics import Metrics
from service.publisher import Publisher
from service.scoring import Scoring
from service.starting import LOOK_SECONDS

log = logging.getLogger(__name__)

MARK_RETRY_SECONDS: Final = 1.0
CAREFUL_POLL_SECONDS: Final = 0.005
GIVE_UP_SECONDS: Final = 1.0

Item = TypeVar("Item")
SWITCH_SECONDS: Final = 0.001
"""Python's own 5 ms is what the engine would wait after each micro-batch while another stage is busy."""


class Pipeline:
    """prepare → infer → policy → publish. A stage that dies stops the daemon: nothing hangs in silence."""

    def __init__(
        self,
        buffer: Buffer,
        checkpoint: Checkpoint,
        caution: Caution,
        scoring: Scoring,
        answers: Answers,
        publisher: Publisher,
        member: Membership,
        metrics: Metrics,
        health: Health,
        fail: FailPoints,
    ) -> None:
        self._buffer, self._checkpoint, self._caution = buffer, checkpoint, caution
        self._scoring, self._answers, self._publisher = scoring, answers, publisher
        self._metrics, self._health = metrics, health
        self._member, self._fail = member, fail
        self._ending = threading.Event()
        self._inference = Inference(scoring, checkpoint, buffer.pace, metrics, health, fail, self._ending)
        self._prepared: queue.Queue[Cycle | None] = queue.Queue(1)
        self._inferred: queue.Queue[Cycle | None] = queue.Queue(1)
        self._decided: queue.Queue[tuple[Cycle, list[Result] | None] | None] = queue.Queue(1)
        self._give_up = threading.Event()
        self.failure: BaseException | None = None
        self.abandoned = False
        self.tripped = threading.Event()
        self._counting = threading.Lock()
        self.records = self.bytes = 0
        stages = {"prepare": self._prepare, "infer": self._infer}
        stages |= {"policy": self._decide, "publish": self._publish}
        self._threads = {
            name: threading.Thread(target=self._guarded, args=(name, stage), name=name, daemon=True)
            for name, stage in stages.items()
        }

    def start(self) -> None:
        """Start the stages."""
        collector.pace()
        sys.setswitchinterval(SWITCH_SECONDS)
        for thread in self._threads.values():
            thread.start()

    def drain(self, deadline: float) -> bool:
        """Finish the cycles that are under way, until `deadline` (monotonic); whether all of them were.

        While no engine is open, only those that have their answers.
        """
        self._ending.set()
        self._buffer.close()
        self._join(deadline)
        self._give_up.set()
        self._join(time.monotonic() + GIVE_UP_SECONDS)
        hanging = {name for name, thread in self._threads.items() if thread.is_alive()}
        if not (hanging & {"prepare", "infer", "policy"} or self.failure):
            # Else the note of this try stays in the group, and finds the record that hangs or breaks a stage.
            self._checkpoint.abandon()
        return not (self.abandoned or hanging)

    def _join(self, deadline: float) -> None:
        for thread in self._threads.values():
            while (
                thread.is_alive() and not self._unheard(thread) and (left := deadline - time.monotonic()) > 0
            ):
                thread.join(min(left, LOOK_SECONDS))

    def _unheard(self, thread: threading.Thread) -> bool:
        """Whether it waits for a stage that gave up."""
        return self.abandoned and thread is self._threads["prepare"] and not self._give_up.is_set()

    def _guarded(self, name: str, stage: Callable[[], None]) -> None:
        try:
            stage()
        except Abandoned:
            self.abandoned = True
        except BaseException as error:  # whatever ends a stage must end the daemon, and be told
            log.exception("stage %s died", name)
            self.failure = error
            self._give_up.set()
            self._buffer.close()
        finally:
            self._health.rest(name)

    def _put(self, target: queue.Queue[Item | None], item: Item | None) -> None:
        while not self._give_up.is_set():
            try:
                return target.put(item, timeout=0.5)
            except queue.Full:
                continue
        raise Abandoned

    def _get(self, source: queue.Queue[Item | None]) -> Item | None:
        while not self._give_up.is_set():
            try:
                return source.get(timeout=0.5)
            except queue.Empty:
                continue
        raise Abandoned

    # -- prepare ---------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        while (cycle := self._buffer.cut()) is not None:
            if cycle.careful and not self._alone(cycle):
                continue
            refused = self._checkpoint.begin(cycle.positions)
            if refused:
                cycle.runs = [run for run in cycle.runs if run.partition not in refused]
            if not cycle.runs:
                continue
            self._count(cycle, 1)
            self._metrics.cycle_records.observe(sum(len(run.records) for run in cycle.runs))
            cycle.preparation = None if cycle.condemned else self._scoring.prepare(cycle.records)
            if cycle.preparation:
                self._metrics.stage["decode"].observe(cycle.preparation.seconds)
            self._put(self._prepared, cycle)
        self._put(self._prepared, None)

    def _alone(self, cycle: Cycle) -> bool:
        """Wait until nothing else is in flight, then note in the group where this try starts."""
        (run,) = cycle.runs
        while self._checkpoint.busy(self._checkpoint.owned()):
            if self._give_up.wait(CAREFUL_POLL_SECONDS):
                raise Abandoned
        if self._checkpoint.epoch(run.partition) != run.epoch:
            return False  # quiet because given up: a note here would commit what has no answer
        first, end = run.records[0].offset, run.records[-1].offset + 1
        marker = self._caution.marker(run.partition, first, end)
        if marker is None:
            return False  # given up this very moment
        while not self._member.source.mark(run.partition, first, marker):
            if not self._checkpoint.owns(run.partition, run.epoch):
                return False
            if self._give_up.wait(MARK_RETRY_SECONDS):
                raise Abandoned
        return True

    # -- infer -----------------------------------------------------------------------------------------------

    def _infer(self) -> None:
        try:
            while (cycle := self._get(self._prepared)) is not None:
                for part in self._inference.answer(cycle, self._give_up):
                    self._put(self._inferred, part)
        except Abandoned:
            self._put(self._inferred, None)  # what has answers is published all the same
            raise
        self._put(self._inferred, None)

    # -- policy, publish -------------------------------------------------------------------------------------

    def _decide(self) -> None:
        while (cycle := self._get(self._inferred)) is not None:
            self._put(self._decided, (cycle, self._answers.make(cycle)))
        self._put(self._decided, None)

    def _publish(self) -> None:
        while (decided := self._get(self._decided)) is not None:
            cycle, results = decided
            if results is None:
                self.tripped.set()
                self._checkpoint.abandon()  # each time: what came meanwhile will not be answered either
            else:
                self._finish(cycle, results)
            self._count(cycle, -1)

    def _finish(self, cycle: Cycle, results: list[Result]) -> None:
        assert cycle.inferred is not None, "Published before it was inferred. This is a bug."
        records = cycle.records
        sent = partial(self._fail.reach, "produced", records)
        self._publisher.publish(results, cycle.inferred, self._give_up.is_set, sent)
        self._fail.reach("acked", records)
        self._checkpoint.acked(cycle.positions)
        self._member.source.commit_soon()
        owns = self._checkpoint.owns
        self._member.progressed([run for run in cycle.runs if owns(run.partition, run.epoch)])

    def _count(self, cycle: Cycle, sign: int) -> None:
        with self._counting:
            self.records += sign * sum(len(run.records) for run in cycle.runs)
            self.bytes += sign * cycle.size
