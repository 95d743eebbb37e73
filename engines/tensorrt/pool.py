"""The slots of one tower on one GPU: made as they are needed, lent to one run at a time, dropped for room."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from engines.errors import EngineError, OutOfMemory, again
from engines.lanes import EACH
from engines.tensorrt.buckets import Bucket
from engines.tensorrt.slots import Slot

MOST: Final = 64
"""Slots on one GPU, of all towers together."""

_TRIES: Final = 4
_MAKING: Final = threading.Lock()
"""Slots are made one at a time in a process: while a context is made, TensorRT may wait for the whole device,
which no other slot's capture would survive."""


class Room:
    """How many slots there are on a GPU; a tower that has none yet always gets one."""

    def __init__(self, most: int = MOST) -> None:
        self._most, self._taken = most, 0
        self._lock = threading.Lock()

    def take(self, own: int) -> bool:
        """Take room for one more, for a tower that has so many."""
        with self._lock:
            if own and self._taken >= self._most:
                return False
            self._taken += 1
            return True

    def give(self, count: int = 1) -> None:
        """Give room back."""
        with self._lock:
            self._taken -= count


ROOMS: Final[defaultdict[int, Room]] = defaultdict(Room)
"""The room on each GPU, by its number."""


class Pool:
    """Lends slots; those of a bucket that is seldom seen make room for others."""

    def __init__(self, make: Callable[[Bucket], Slot], room: Room) -> None:
        self._make, self._room = make, room
        self._free: OrderedDict[Slot, None] = OrderedDict()  # the one that has waited longest comes first
        self._made: Counter[Bucket] = Counter()
        self._enough: set[Bucket] = set()
        self._bytes: dict[Slot, int] = {}
        self._changed = threading.Condition()
        self._end: EngineError | None = None

    @property
    def bytes(self) -> int:
        """What the slots hold of the GPU's memory."""
        with self._changed:
            return sum(self._bytes.values())

    @property
    def slots(self) -> int:
        """How many there are."""
        with self._changed:
            return len(self._bytes)

    @contextmanager
    def lend(self, bucket: Bucket) -> Iterator[Slot]:
        """A slot of a bucket, once one is free; what fails is not lent again. Raises EngineError."""
        slot = None
        while slot is None:
            slot = self._taken(bucket) or self._new(bucket)
        try:
            yield slot
        except BaseException:
            self._drop([slot])
            raise
        with self._changed:
            ended = self._end is not None
            if not ended:
                self._free[slot] = None
                self._changed.notify_all()
        if ended:
            self._drop([slot])

    def trim(self) -> int:
        """Give back every slot that is free; how many those were."""
        with self._changed:
            free = list(self._free)
            self._free.clear()
        self._drop(free)
        return len(free)

    def end(self, error: EngineError) -> None:
        """Lend no more: whoever asks, or waits, gets the error. Slots in use go when they come back."""
        with self._changed:
            self._end = self._end or error
            self._changed.notify_all()
        self.trim()

    def _taken(self, bucket: Bucket) -> Slot | None:
        """A free slot, or None where one is to be made: room has been taken for it."""
        while True:
            with self._changed:
                slot, oldest = self._wait(bucket)
            if oldest is None:
                return slot
            self._drop([oldest])

    def _wait(self, bucket: Bucket) -> tuple[Slot | None, Slot | None]:
        """A free slot or None to make one; or else the slot that has to go first."""
        while True:
            if self._end is not None:
                raise again(self._end)
            mine = next((slot for slot in reversed(self._free) if slot.bucket == bucket), None)
            if mine is not None:
                del self._free[mine]
                return mine, None
            if not self._made[bucket] or (self._made[bucket] < EACH and bucket not in self._enough):
                if self._room.take(self._made.total()):
                    self._made[bucket] += 1
                    return None, None
                if self._free:
                    return None, self._free.popitem(last=False)[0]
            self._changed.wait()

    def _new(self, bucket: Bucket) -> Slot | None:
        """A slot for which room was taken; None where those of its bucket that there are must do."""
        try:
            slot = self._made_or_none(bucket)
        except BaseException:
            self._unmade(bucket)
            raise
        if slot is None:
            self._unmade(bucket)
            return None
        with self._changed:
            self._bytes[slot] = slot.bytes
        return slot

    def _made_or_none(self, bucket: Bucket) -> Slot | None:
        for _ in range(_TRIES):
            try:
                with _MAKING:
                    return self._make(bucket)
            except OutOfMemory:
                if self.trim():
                    continue
                with self._changed:
                    if self._made[bucket] > 1:
                        self._enough.add(bucket)
                        return None
                    if not self._bytes or self._end is not None:
                        raise
                    if not self._free:
                        self._changed.wait()  # for what is in use: then that can go
        with _MAKING:
            return self._make(bucket)

    def _unmade(self, bucket: Bucket) -> None:
        self._room.give()
        with self._changed:
            self._made[bucket] -= 1
            self._changed.notify_all()

    def _drop(self, slots: list[Slot]) -> None:
        for slot in slots:
            slot.close()
            with self._changed:
                self._bytes.pop(slot, None)
            self._unmade(slot.bucket)
