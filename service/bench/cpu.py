"""CPU seconds of processes and their children, from /proc."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple

TICK: Final = os.sysconf("SC_CLK_TCK")


class Process(NamedTuple):
    """One line of /proc/PID/stat, as far as it matters here."""

    pid: int
    parent: int
    own: float
    """User and system seconds of its threads."""
    reaped: float
    """The same of children that have ended and were waited for."""


def processes() -> list[Process]:
    """Everything that runs now."""
    found = (_read(entry) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [process for process in found if process is not None]


def tree_seconds(root: int) -> float:
    """CPU seconds of a process and all its descendants, ended ones included; 0 where it is gone."""
    table = processes()
    seconds, wanted = 0.0, {root}
    while wanted:
        here = [process for process in table if process.pid in wanted]
        seconds += sum(process.own + process.reaped for process in here)
        wanted = {process.pid for process in table if process.parent in wanted}
    return seconds


def machine_seconds() -> float:
    """CPU seconds that all cores of this machine have worked, or were taken from it by its host."""
    fields = Path("/proc/stat").read_text("ascii").split("\n", 1)[0].split()[1:9]
    user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen = map(int, fields)
    return (user + nice + system + interrupts + soft_interrupts + stolen) / TICK


def _read(entry: Path) -> Process | None:
    try:
        fields = (entry / "stat").read_text("ascii", "replace").rpartition(")")[2].split()
    except OSError:  # it ended meanwhile
        return None
    ticks = [int(field) for field in fields[11:15]]
    return Process(
        int(entry.name), int(fields[1]), (ticks[0] + ticks[1]) / TICK, (ticks[2] + ticks[3]) / TICK
    )


class Point(NamedTuple):
    """Clocks at one moment: epoch seconds, then CPU seconds so far."""

    time: float
    seconds: tuple[float, ...]


class Meter:
    """Reads several CPU clocks every half second while entered; `between` interpolates."""

    def __init__(self, clocks: Sequence[Callable[[], float]], every: float = 0.5) -> None:
        self._clocks, self._every = clocks, every
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="meter", daemon=True)
        self.points: list[Point] = []

    def __enter__(self) -> Meter:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        self._look()

    def between(self, start: float, end: float) -> tuple[float, ...]:
        """CPU seconds that each clock advanced by from `start` to `end` (epoch seconds)."""
        return tuple(b - a for a, b in zip(self._at(start), self._at(end), strict=True))

    def _run(self) -> None:
        self._look()
        while not self._done.wait(self._every):
            self._look()

    def _look(self) -> None:
        self.points.append(Point(time.time(), tuple(clock() for clock in self._clocks)))

    def _at(self, moment: float) -> tuple[float, ...]:
        before = max((p for p in self.points if p.time <= moment), default=self.points[0])
        after = min((p for p in self.points if p.time >= moment), default=self.points[-1])
        span = after.time - before.time
        share = (moment - before.time) / span if span > 0 else 0.0
        return tuple(a + share * (b - a) for a, b in zip(before.seconds, after.seconds, strict=True))
