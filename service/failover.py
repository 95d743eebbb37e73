"""Which engine serves: down the ladder when one fails, and up again from its top when none is left, or after
a while where only memory was short.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from engines.alive import Alive, unheard
from engines.engine import Engine, EngineInfo
from engines.errors import EngineError, OutOfMemory, explain
from engines.sessions.choose import GPU
from engines.steps import code_of
from service.climbing import Climb
from service.errors import InternalError, TidegateError
from service.health import Health
from service.metrics import Metrics
from service.scoring import Scoring, Serving
from service.starting import aside

log = logging.getLogger(__name__)

TRIES: Final = 3
"""How often an engine may fail in a row, for no reason that tells more, before another one is tried."""
PAUSES: Final = (1.0, 1.0, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds between tries of a cycle, while the engine fails and none replaces it."""
MEMORY_SECONDS: Final = 1.0
"""How often an engine is asked what it holds, at most: it takes memory as sizes of micro-batches come up."""
RETURNED: Final = "returned"
"""The metric's reason for a step up."""
REDUCED: Final = "memory ran out, so micro-batches are smaller until the daemon starts again"
DRIVER: Final = Path("/proc/driver/nvidia/version")
PROBE: Final = "from engines.cuda import devices, memory\nfor each in devices(): memory(each.index)"
PROBE_SECONDS: Final = 60.0


class Rung(Protocol):
    """One engine that could be opened."""

    @property
    def backend(self) -> str:
        """The backend's name; for the processor, what was asked for."""
        ...

    @property
    def name(self) -> str:
        """Backend and precision."""
        ...

    def open(self, alive: Alive) -> Engine:
        """The engine, warmed up and verified; raises EngineError. `alive` is called while it is built."""
        ...


class Step(NamedTuple):
    """From one engine to the next, and why."""

    gone: str
    to: str
    error: EngineError


class Failover:
    """Replaces the engine of a `Scoring` when it fails; used by the engine's thread.

    It swaps between two tries of one cycle, so that nothing is lost and each score names what gave it. An
    engine is opened in a thread of its own, which calls `alive`; meanwhile `hear` is asked, and what it
    raises ends the wait.
    """

    def __init__(
        self,
        scoring: Scoring,
        metrics: Metrics,
        health: Health,
        *,
        elsewhere: Callable[[], bool] | None = None,
    ) -> None:
        self._scoring, self._metrics, self._health = scoring, metrics, health
        self._elsewhere = elsewhere or works_elsewhere
        self._climb = Climb(scoring.ladder, health, scoring.retry_seconds)
        self._meant = name_of(scoring.engine.info)
        self._usual: str | None = None
        """What was said of that engine when it served."""
        self._failures = 0
        self._asked = -MEMORY_SECONDS
        """When the engine was last asked what it holds, monotonic seconds."""
        self._down: EngineError | None = None
        self._why = EngineError("nothing was given up")
        """Why the engine that was meant to serve does not."""
        full = next((step for step in scoring.ladder.steps if step.code == "out_of_memory"), None)
        if full is not None:  # at the start: it may come back as well as one that fell later
            self._meant, self._why = full.name, OutOfMemory(full.reason)
            self._climb.fell(full.code)
        scoring.beside.callback(self._climb.close)

    @property
    def pause(self) -> float:
        """Seconds to wait before the cycle is tried again."""
        return PAUSES[min(self._failures, len(PAUSES)) - 1]

    @property
    def down(self) -> bool:
        """Whether no engine is open."""
        return self._down is not None

    def ensure(self, alive: Alive, hear: Alive = unheard) -> None:
        """Have an engine that can be asked, a better one where one came back; raises EngineError where none
        can be opened.

        Raises InternalError where only another process could open one.
        """
        if self._down is None:
            self._rise()
            return
        alive()
        if self._replace(self._scoring.ladder.rungs(), self._down, alive, hear):
            return
        lost = self._failures >= TRIES and code_of(self._down) == "device_lost"
        if lost and aside(self._elsewhere, hear):
            raise InternalError(
                "a GPU that failed works again, but not in this process",
                why="CUDA does not let go of a failed device while a process lives",
                remedy="Start the daemon again, or let systemd or Kubernetes do so: nothing is lost",
            )
        raise self._down

    def failed(self, error: EngineError, alive: Alive, hear: Alive = unheard) -> bool:
        """The engine failed on a cycle; whether another one serves now, or the same has the memory that it
        lacked, and the cycle can go on at once.
        """
        self._failures += 1
        ended = self._climb.stumbled(hear)
        code = code_of(error)
        if self._down is not None or (code == "failed" and self._failures < TRIES):
            return False
        if ended and code == "out_of_memory":
            return True  # it may have been the try that took the memory
        rungs = self._scoring.ladder.below(self._scoring.engine.info, error)
        if not rungs and code != "device_lost":
            return False  # it stays, and may work again
        meant = name_of(self._scoring.engine.info) == self._meant
        if meant:
            self._usual = self._health.notes().get("engine")
        if meant or code == "device_lost" or code_of(self._why) != "out_of_memory":
            self._why = error  # else what gave way to memory may come back, whatever became of its stand-in
        close(self._scoring.engine)  # now: the next one may need its memory
        self._down = error
        return self._replace(rungs, error, alive, hear)

    def worked(self) -> None:
        """The engine answered a cycle."""
        self._failures = 0
        self._health.note("gpu_memory", REDUCED if getattr(self._scoring.engine, "reduced", False) else None)
        now = time.monotonic()
        if now - self._asked >= MEMORY_SECONDS:
            self._asked = now
            self._metrics.holds(held(self._scoring.engine))

    def _replace(self, rungs: Sequence[Rung], error: EngineError, alive: Alive, hear: Alive) -> bool:
        steps: list[Step] = []
        gone, why = name_of(self._scoring.engine.info), error
        for rung in rungs:
            if code_of(why) == "device_lost" and steps and rung.backend in GPU:
                continue  # nor does another one work there; and should it be back by now, the best goes first
            try:
                serving = self._opened(rung, alive, hear)
            except EngineError as found:
                steps.append(Step(gone, rung.name, why))
                gone, why = rung.name, found
                continue
            self._swap(serving, [*steps, Step(gone, name_of(serving.engine.info), why)])
            return True
        if steps:
            tried = ", ".join(step.to for step in steps)
            log.error("no engine can be opened: %s", why, extra={"fields": {"tried": tried}})
        return False

    def _opened(self, rung: Rung, alive: Alive, hear: Alive) -> Serving:
        engine = aside(partial(rung.open, alive), hear)
        try:
            return self._scoring.serving_of(engine)
        except TidegateError as error:  # the policy wants thresholds that this precision has not
            close(engine)
            raise EngineError(error.what, where=error.where, why=error.why, remedy=error.remedy) from error

    def _rise(self) -> None:
        """Let a better engine serve that was opened meanwhile; what served until now is closed after that."""
        engine = self._climb.look(self._scoring.engine.info)
        if engine is None:
            return
        try:
            serving = self._scoring.serving_of(engine)
        except TidegateError as error:
            close(engine)
            self._climb.failed(error)
            return
        worse = self._scoring.engine
        self._swap(serving, ())
        self._metrics.engine_fallbacks.labels(name_of(worse.info), name_of(engine.info), RETURNED).inc()
        close(worse)

    def _swap(self, serving: Serving, steps: Iterable[Step]) -> None:
        self._scoring.serving, self._down = serving, None
        info = serving.engine.info
        self._metrics.serves(info, held(serving.engine))
        for step in steps:
            tell(step, self._metrics)
        now = name_of(info)
        if now == self._meant:
            self._climb.settled()
            self._health.note("engine", self._usual)
        else:
            self._climb.fell(code_of(self._why))
            self._health.note("engine", degradation(self._meant, now, self._why))
        log.warning("an engine serves again", extra={"fields": {"engine": now, "backend": info.backend}})


def tell_start(scoring: Scoring, metrics: Metrics, health: Health) -> None:
    """What was passed over before this engine was found, for log, metrics and readiness."""
    ladder, serves = scoring.ladder, name_of(scoring.engine.info)
    steps = ladder.steps
    for step, to in zip(steps, [*(each.name for each in steps), serves][1:], strict=True):
        metrics.engine_fallbacks.labels(step.name, to, step.code).inc()
        fields = {"from": step.name, "to": to, "reason": step.code}
        log.warning("an engine is passed over: %s", step.reason, extra={"fields": fields})
    if steps:
        health.note("engine", f"{serves} serves in place of {steps[0].name}: {steps[0].reason}")
    elif scoring.engine.info.engine not in GPU and (ladder.wanted.backend in GPU or DRIVER.exists()):
        reasons = "; ".join(f"{name}: {why}" for name, why in ladder.absent.items())
        if reasons:
            log.warning("a GPU is meant to serve, and the processor does: %s", reasons)
            health.note("engine", f"{serves} serves in place of a GPU: {reasons}")


def tell(step: Step, metrics: Metrics) -> None:
    """One step down the ladder, for log and metrics."""
    if step.gone == step.to:
        return  # it came back
    error, code = step.error, code_of(step.error)
    metrics.engine_fallbacks.labels(step.gone, step.to, code).inc()
    fields = {"from": step.gone, "to": step.to, "reason": code, "why": error.why, "remedy": error.remedy}
    said = {name: value for name, value in fields.items() if value}
    log.warning("an engine is given up: %s", error.what, extra={"fields": said})


def degradation(meant: str, serves: str, error: EngineError) -> str:
    """That another engine serves than was meant to, and what brings that back."""
    return explain(f"{serves} serves in place of {meant}", error.what, error.why, error.remedy)


def name_of(info: EngineInfo) -> str:
    """Backend and precision, as metrics and logs name an engine."""
    return f"{info.engine} {info.precision}"


def held(engine: Engine) -> Mapping[int, int]:
    """Bytes that an engine holds on each GPU, by its number."""
    return getattr(engine, "memory", {})


def close(engine: Engine) -> None:
    """Give a broken engine back, as far as it lets itself."""
    try:
        engine.close()
    except EngineError as error:
        log.warning("a failed engine could not be closed: %s", error)


def works_elsewhere() -> bool:
    """Whether the GPUs work for a new process."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROBE], capture_output=True, check=False, timeout=PROBE_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
