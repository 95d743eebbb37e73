"""Ctrl-C for verbs that own processes: raised once, held where it must wait, never during a clean-up."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """While entered, the first of `SIGNALS` raises KeyboardInterrupt; later ones do nothing."""

    def __init__(self) -> None:
        self._holding = self._pending = self._spent = False

    def __enter__(self) -> Interrupts:
        self._before = [signal.signal(number, self._arrived) for number in SIGNALS]
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in zip(SIGNALS, self._before, strict=True):
            signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Put the interrupt off until the end: for steps that would lose track of a process they start."""
        self._holding = True
        try:
            yield
        finally:
            self._holding = False
            if self._pending:
                self._raise()

    def _arrived(self, _number: int, _frame: FrameType | None) -> None:
        if self._holding:
            self._pending = True
        elif not self._spent:
            self._raise()

    def _raise(self) -> None:
        self._spent, self._pending = True, False
        raise KeyboardInterrupt
