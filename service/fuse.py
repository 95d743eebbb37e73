"""The dead-letter fuse: a feed that is mostly broken stops the daemon's intake instead of filling a topic."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from service.record import Partition

WINDOW: Final = 100
SHARE: Final = 50  # bad records in the window: more than this trips
IN_A_ROW: Final = 50
COUNTED: Final = frozenset({"invalid", "crash"})


class Fuse:
    """Counts `invalid` and `crash` over the last 100 records of each partition.

    Trips on more than half of them, or 50 in a row. `accept` bad records pass uncounted: the operator has
    looked and lets them through.
    """

    def __init__(self, enabled: bool = True, accept: int = 0) -> None:
        self._enabled, self._accept = enabled, accept
        self._windows: dict[Partition, deque[bool]] = {}
        self._rows: dict[Partition, int] = {}
        self.tripped: Partition | None = None

    def feed(self, partition: Partition, kinds: Iterable[str | None]) -> bool:
        """Take the outcome of consecutive records (a dead letter's class, or None); true when tripped."""
        if not self._enabled:
            return False
        window = self._windows.setdefault(partition, deque(maxlen=WINDOW))
        row = self._rows.get(partition, 0)
        for kind in kinds:
            bad = kind in COUNTED
            if bad and self._accept > 0:
                self._accept -= 1
                continue
            row = row + 1 if bad else 0
            window.append(bad)
            if row >= IN_A_ROW or (bad and sum(window) > SHARE):
                self.tripped = partition
                break
        self._rows[partition] = row
        return self.tripped is not None

    def forget(self, partition: Partition) -> None:
        """The partition is not ours any more; its history starts afresh if it returns."""
        self._windows.pop(partition, None)
        self._rows.pop(partition, None)
