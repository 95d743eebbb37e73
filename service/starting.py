"""Opening an engine while somebody waits: told as it goes on, and given up as soon as they ask."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager, nullcontext
from typing import Final, TypeVar

from service.errors import Exit
from service.health import Health

log = logging.getLogger(__name__)

Show = Callable[[str, float], None]
"""Hears what is being built, and the share done."""
Bars = Callable[[], AbstractContextManager[Show]]
Made = TypeVar("Made")

THREAD: Final = "engine-start"
EVERY_SECONDS: Final = 5.0
LOOK_SECONDS: Final = 0.1
LEAVE_SECONDS: Final = 1.0


class Start:
    """In place and in silence, as verbs do that nobody waits for."""

    def run(self, work: Callable[[], Made]) -> Made:
        """What `work` makes; raises what it raises."""
        return work()

    def progress(self, what: str, share: float) -> None:
        """So much of something is built."""


IN_PLACE: Final = Start()


class Stopped(Exception):  # noqa: N818 - nothing failed
    """Asked to end before the start was over."""


class DaemonStart(Start):
    """In a thread of its own, for a build takes minutes inside a library that hears no signal.

    Probes and the log, or `bars` on a terminal, say how far it is.
    """

    def __init__(self, health: Health, asked: threading.Event, bars: Bars | None = None) -> None:
        self._health, self._asked, self._bars = health, asked, bars
        self._show: Show = self._tell
        self._told = -EVERY_SECONDS
        self._starting = False
        self._lock = threading.Lock()

    def run(self, work: Callable[[], Made]) -> Made:
        """What `work` makes; raises what it raises, and Stopped as soon as the daemon is asked to end."""
        with self._bars() if self._bars else nullcontext(self._tell) as self._show:
            self._starting = True
            made = aside(work, self._hear)
        self._starting, self._show = False, self._tell
        return made

    def progress(self, what: str, share: float) -> None:
        """So much of something is built; raises Stopped, which ends a build, where nobody waits for it."""
        if self._starting:
            self._hear()
        self._health.starting(f"{what}, {share:.0%}")
        self._show(what, share)

    def _hear(self) -> None:
        if self._asked.is_set():
            raise Stopped

    def _tell(self, what: str, share: float) -> None:
        with self._lock:
            if time.monotonic() - self._told < EVERY_SECONDS:
                return
            self._told = time.monotonic()
        log.info("an engine is being made ready", extra={"fields": {"what": what, "done": f"{share:.0%}"}})


def aside(todo: Callable[[], Made], hear: Callable[[], None]) -> Made:
    """What `todo` makes, in a thread of its own; raises what it raises, and at once what `hear` does, which
    is asked meanwhile: then the work is left behind.
    """
    future: Future[Made] = Future()
    threading.Thread(target=work, args=(todo, future), daemon=True, name=THREAD).start()
    while not wait([future], LOOK_SECONDS).done:
        hear()
    return future.result()


def leave(code: Exit) -> None:
    """Come back where no work was left behind; else end the process with `code`, if need be over it.

    What it makes nobody waits for, and a plan is stored whole or not at all.
    """
    for thread in threading.enumerate():
        if thread.name == THREAD:
            thread.join(LEAVE_SECONDS)
            if thread.is_alive():
                logging.shutdown()
                os._exit(code)  # a library that calls back into an interpreter that ends would crash


def work(todo: Callable[[], Made], future: Future[Made]) -> None:
    """What a thread does: let a future have what `todo` makes, or raises."""
    try:
        future.set_result(todo())
    except BaseException as error:  # noqa: BLE001 - whatever ended it belongs to who waits for it
        future.set_exception(error)
