"""Up the ladder again: what was given up for want of memory is tried anew, beside the engine that serves."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import replace
from itertools import takewhile
from typing import Final

from engines.engine import Engine, EngineInfo
from engines.errors import EngineError
from engines.ladder import Ladder
from engines.sessions.choose import GPU
from service.errors import TidegateError
from service.health import Health
from service.starting import LOOK_SECONDS, THREAD, work

log = logging.getLogger(__name__)

MOST: Final = 86_400.0
"""Seconds between two tries, at most."""
NOTE: Final = "engine_retry"


class Climb:
    """Opens what is better than the engine that serves, in a thread of its own; nobody waits for it.

    The first try comes `patience` seconds after the fall, None: never. Each doubles the time to the next; it
    is `patience` again after an engine that came back has served for longer than that.
    """

    def __init__(
        self,
        ladder: Ladder,
        health: Health,
        patience: float | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ladder, self._health, self._clock = ladder, health, clock
        self._patience, self._wait = patience, patience or 0.0
        self._due: float | None = None
        self._back: float | None = None
        self._trial: Future[Engine] | None = None
        self._stop = threading.Event()

    def fell(self, code: str) -> None:
        """A worse engine serves from now on; `code` says why. Only memory comes back within a process."""
        if self._patience is None or code != "out_of_memory":
            self.settled()
            return
        if self._back is not None and self._clock() - self._back > self._wait:
            self._wait = self._patience
        self._back = None  # else the next fall, of what serves in its place, would count as its stay
        self._later("")

    def settled(self) -> None:
        """There is nothing better to try."""
        self._due = None
        self._health.note(NOTE, None)

    def stumbled(self, hear: Callable[[], None]) -> bool:
        """The engine that serves is in trouble: no try now. Whether one was ended, and its memory
        is free again; `hear` is asked until then.
        """
        if self._trial is None:
            if self._due is not None:
                self._due = self._clock() + self._wait
            return False
        self._stop.set()
        while not wait([self._trial], LOOK_SECONDS).done:
            hear()
        trial, self._trial = self._trial, None
        _drop(trial)
        self._later("")
        return True

    def close(self) -> None:
        """Nothing is tried any more: a try that goes on ends, and what one opened is closed."""
        self._due = None
        self._stop.set()
        trial, self._trial = self._trial, None
        if trial is not None:
            trial.add_done_callback(_drop)

    def look(self, serving: EngineInfo) -> Engine | None:
        """A better engine where one was opened meanwhile, warmed up and verified; begins what is due."""
        if self._trial is None:
            if self._due is not None and self._clock() >= self._due:
                self._begin(serving)
            return None
        if not self._trial.done():
            return None
        trial, self._trial = self._trial, None
        error = trial.exception()
        if error is not None:
            self.failed(error)
            return None
        self._back = self._clock()
        return trial.result()

    def failed(self, error: BaseException) -> None:
        """What was tried cannot serve yet."""
        known = isinstance(error, EngineError | TidegateError)  # else it is a bug, and must be found
        said = str(error) if known else repr(error)
        log.warning("a better engine cannot serve yet: %s", said, exc_info=None if known else error)
        self._later(f"; the last time: {said}")

    def _later(self, why: str) -> None:
        self._due = self._clock() + self._wait
        self._health.note(NOTE, f"a better engine is tried again after {self._wait:g} s without trouble{why}")

    def _begin(self, serving: EngineInfo) -> None:
        self._wait = min(2 * self._wait, MOST)
        self._stop.clear()
        self._trial = Future()
        args = (lambda: self._opened(serving), self._trial)
        threading.Thread(target=work, args=args, daemon=True, name=THREAD).start()

    def _opened(self, serving: EngineInfo) -> Engine:
        """The first engine that is better and opens with the plans that there are; raises EngineError."""
        ladder = Ladder(self._ladder.bundle, replace(self._ladder.wanted, build=False, progress=None))
        own, last = (serving.engine, serving.precision), EngineError("Nothing better can run here")
        for rung in takewhile(lambda r: r.backend in GPU and (r.backend, r.precision) != own, ladder.rungs()):
            try:
                self._alive()
                engine = rung.open(self._alive)
            except EngineError as error:
                last = error
                continue
            if not getattr(engine, "reduced", False):
                return engine
            engine.close()
            last = EngineError("Memory is still short", where=rung.name)
        raise last

    def _alive(self) -> None:
        if self._stop.is_set():
            raise EngineError("A try was given up")


def _drop(trial: Future[Engine]) -> None:
    """Close what a try opened that ended."""
    if trial.exception() is None:
        with suppress(EngineError):
            trial.result().close()
