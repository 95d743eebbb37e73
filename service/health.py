"""Why the daemon is not started, not ready or not live: reasons by name, for probes and people."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal

Probe = Literal["livez", "readyz", "startupz"]


class Health:
    """Thread-safe set of reasons; empty means healthy.

    `starting` fails start-up (and so readiness), `trouble` fails readiness only, a `heartbeat` that stops
    fails liveness: an outage outside must never restart the daemon, a hang inside must. A `note` fails
    nothing: the daemon serves, but not as it was meant to.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._starting: dict[str, str] = {"starting": "the daemon is starting"}
        self._trouble: dict[str, str] = {}
        self._notes: dict[str, str] = {}
        self._beats: dict[str, tuple[float, float]] = {}

    def starting(self, why: str) -> None:
        """What start-up waits for now; nothing once it is over."""
        with self._lock:
            if self._starting:
                self._starting["starting"] = why

    def started(self) -> None:
        """Start-up is over: configuration, bundle, engine and topics are good."""
        with self._lock:
            self._starting.clear()

    def trouble(self, name: str, why: str) -> bool:
        """Not ready because of `name`; returns whether this is news."""
        with self._lock:
            news = name not in self._trouble
            self._trouble[name] = why
            return news

    def clear(self, name: str) -> bool:
        """`name` is over; returns whether it was there."""
        with self._lock:
            return self._trouble.pop(name, None) is not None

    def note(self, name: str, why: str | None) -> None:
        """Ready all the same, but degraded in `name`; None: not any more."""
        with self._lock:
            if why is None:
                self._notes.pop(name, None)
            else:
                self._notes[name] = why

    def notes(self) -> dict[str, str]:
        """What is degraded, by name; empty where all is as it was meant to be."""
        with self._lock:
            return dict(self._notes)

    def beat(self, name: str, within: float) -> None:
        """`name` is alive and will say so again within that many seconds."""
        with self._lock:
            self._beats[name] = (self._clock(), within)

    def rest(self, name: str) -> None:
        """`name` ended in good order; nobody waits for it."""
        with self._lock:
            self._beats.pop(name, None)

    def reasons(self, probe: Probe) -> dict[str, str]:
        """Failing reasons of a probe by name; empty when it passes."""
        now = self._clock()
        with self._lock:
            if probe == "livez":
                late = ((n, now - at) for n, (at, within) in self._beats.items() if now - at > within)
                return {name: f"no sign of life for {age:.0f} s" for name, age in late}
            if probe == "startupz":
                return dict(self._starting)
            return self._starting | self._trouble
