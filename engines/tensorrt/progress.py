"""How far a build is: TensorRT's nested phases → one share that only grows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

Tell = Callable[[str, float], None]
"""Hears what is being done, and the share that is done, 0…1."""

AGAIN_SECONDS: Final = 10.0
"""How often a step that lasts is told again."""
STEP_SECONDS: Final = 3600.0
"""A step of the builder ends long before: one that lasts longer is taken for hung, and told no more."""


@dataclass(slots=True)
class _Phase:
    steps: int
    parent: str | None
    done: int = 0
    inner: dict[str, _Phase] = field(default_factory=dict)

    def share(self) -> float:
        begun = max((phase.share() for phase in self.inner.values()), default=0.0)
        return min(1.0, (self.done + begun) / self.steps)


class Progress:
    """Hears of a build's phases, on any thread, and tells of `what`, the phase and the share.

    An error of `tell`, a person's interrupt say, ends the build: it is kept in `error`.
    """

    def __init__(self, what: str, tell: Tell | None) -> None:
        self._what, self._tell = what, tell
        self._phases: dict[str, _Phase] = {}
        self._told = 0.0
        self._now, self._since = what, time.monotonic()
        self._lock = threading.RLock()
        self.error: BaseException | None = None

    def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
        """A phase begins, inside another or not."""
        with self._lock:
            self._phases[phase] = begun = _Phase(max(1, steps), parent)
            if parent in self._phases:
                self._phases[parent].inner[phase] = begun
            self._say(phase)

    def step_complete(self, phase: str, step: int) -> bool:
        """A step has ended, counted from 0; gives whether to go on."""
        with self._lock:
            if phase in self._phases:
                known = self._phases[phase]
                known.done = max(known.done, step + 1)
                known.inner.clear()
                self._say(phase)
            return self.error is None

    def phase_finish(self, phase: str) -> None:
        """A phase has ended, all its steps taken or not."""
        with self._lock:
            ended = self._phases.pop(phase, None)
            if ended is not None:
                ended.done = ended.steps
            if not self._phases:
                self._say(phase, 1.0)

    @contextmanager
    def ticking(self) -> Iterator[None]:
        """While a builder runs: what it does is told again and again, for one step may take it many minutes,
        and who hears nothing for so long takes it for hung. Only within `STEP_SECONDS` of the last step.
        """
        over = threading.Event()
        thread = threading.Thread(target=self._tick, args=(over,), daemon=True, name="build-progress")
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _tick(self, over: threading.Event) -> None:
        while not over.wait(AGAIN_SECONDS):
            with self._lock:
                if time.monotonic() - self._since <= STEP_SECONDS:
                    self._tell_now()

    def _say(self, phase: str, share: float | None = None) -> None:
        roots = [each for each in self._phases.values() if each.parent not in self._phases]
        reached = share if share is not None else max((root.share() for root in roots), default=0.0)
        self._told = max(self._told, min(reached, 1.0))
        self._now, self._since = f"{self._what}: {phase}", time.monotonic()
        self._tell_now()

    def _tell_now(self) -> None:
        if self._tell is not None and self.error is None:
            try:
                self._tell(self._now, self._told)
            except BaseException as error:  # noqa: BLE001 (it must not unwind through TensorRT's own frames)
                self.error = error
