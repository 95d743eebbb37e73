"""After a crash: smaller cycles, each committed before the next, until the record to blame stands alone.

The committed offset's metadata tells how earlier tries ended (`service.kafka.checkpoint.Marker`). After one
crash the window that was in flight is read again in cycles of 64, after another record by record. A record
that was alone in the process for two crashes is condemned: it becomes a dead letter without a third try.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final

from service.kafka.checkpoint import Marker
from service.record import Partition

SMALL: Final = 64
SOLO_CRASHES: Final = 2


@dataclass(slots=True)
class _Suspicion:
    attempts: int
    solo: int
    start: int
    until: int


class Caution:
    """What is suspected of each partition; `window` is how far after an unmarked crash to be careful."""

    def __init__(self, window: int) -> None:
        self._window, self._lock = window, threading.Lock()
        self._suspicions: dict[Partition, _Suspicion] = {}

    def assigned(self, partition: Partition, offset: int, marker: Marker) -> Marker:
        """Start a partition at `offset`; returns the marker to commit before any of its records is read."""
        with self._lock:
            self._suspicions.pop(partition, None)
            if marker.attempts:
                until = max(marker.end or offset + self._window, offset + 1)
                self._suspicions[partition] = _Suspicion(marker.attempts, marker.solo, offset, until)
        return Marker(marker.attempts + 1, marker.solo, marker.end)

    def forget(self, partition: Partition) -> None:
        """The partition is not ours any more."""
        with self._lock:
            self._suspicions.pop(partition, None)

    def cap(self, partition: Partition, offset: int) -> int | None:
        """How many records a cycle from `offset` on may hold; None without suspicion."""
        with self._lock:
            found = self._at(partition, offset)
            if found is None:
                return None
            return min(SMALL if found.attempts == 1 else 1, found.until - offset)

    def attempt(self, partition: Partition, offset: int) -> int:
        """Which try a record at `offset` gets now."""
        with self._lock:
            found = self._at(partition, offset)
            return 1 if found is None else found.attempts + 1

    def marker(self, partition: Partition, offset: int, end: int) -> Marker | None:
        """What to commit at `offset` before the careful cycle that ends before `end`; None: not ours now."""
        with self._lock:
            found = self._at(partition, offset)
            if found is None:
                return None
            if found.attempts == 1:
                return Marker(2, 0, end)
            solo = found.solo if offset == found.start else 0
            return Marker(found.attempts + 1, solo + 1, found.until)

    def condemned(self, partition: Partition, offset: int) -> bool:
        """Whether the record at `offset` was alone in the process when it crashed, twice."""
        with self._lock:
            found = self._at(partition, offset)
            return found is not None and found.start == offset and found.solo >= SOLO_CRASHES

    def _at(self, partition: Partition, offset: int) -> _Suspicion | None:
        found = self._suspicions.get(partition)
        if found is not None and offset >= found.until:
            del self._suspicions[partition]
            return None
        return found
