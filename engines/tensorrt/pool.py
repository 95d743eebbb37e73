"""The slots of the towers on a GPU: made as they are needed, lent to one run at a time, dropped for room."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from engines import cuda
from engines.errors import EngineError, OutOfMemory, again
from engines.lanes import EACH
from engines.tensorrt.buckets import Bucket
from engines.tensorrt.slots import Slot

MOST: Final = 64
"""Slots on one GPU, of all towers together."""


class Room:
    """What the pools of one GPU share: how many slots there are and may be, which of them nobody uses, and
    the condition that guards all of that. A tower that has no slot yet always gets one.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most, self._taken, self._dropped, self._starving = most, 0, 0, 0
        self._slots: dict[Slot, Pool] = {}
        self._idle: OrderedDict[Slot, Pool] = OrderedDict()  # the one that has waited longest comes first
        self.changed = threading.Condition()

    @property
    def starved(self) -> bool:
        """Whether a run waits for memory: then nobody else takes any, and what comes back is dropped."""
        return self._starving > 0

    @property
    def dropped(self) -> int:
        """How many slots were ever given back."""
        return self._dropped

    def take(self, own: int) -> bool:
        """Take room for one more, for a tower that has so many."""
        with self.changed:
            if own and self._taken >= self._most:
                return False
            self._taken += 1
            return True

    def give(self, count: int = 1) -> None:
        """Give room back."""
        with self.changed:
            self._taken -= count
            self.changed.notify_all()

    def add(self, slot: Slot, pool: Pool) -> None:
        """A slot was made, and is in use."""
        with self.changed:
            self._slots[slot] = pool

    def rest(self, slot: Slot) -> None:
        """A slot is not in use any more."""
        with self.changed:
            self._idle[slot] = self._slots[slot]
            self.changed.notify_all()

    def use(self, pool: Pool, bucket: Bucket) -> Slot | None:
        """A slot that nobody uses, of a pool and bucket: the one that was used last."""
        with self.changed:
            own = (slot for slot, owner in reversed(self._idle.items()) if owner is pool)
            slot = next((slot for slot in own if slot.bucket == bucket), None)
            if slot is not None:
                del self._idle[slot]
            return slot

    def oldest(self, pool: Pool | None = None) -> Slot | None:
        """The slot that nobody has used for longest, of a pool or of any: it is to be dropped."""
        with self.changed:
            slot = next((slot for slot, owner in self._idle.items() if pool in (None, owner)), None)
            if slot is not None:
                del self._idle[slot]
            return slot

    def drop(self, slot: Slot) -> None:
        """Give back a slot that nobody uses."""
        with cuda.ALONE:
            slot.close()
        with self.changed:
            pool = self._slots.pop(slot)
            self._dropped += 1
            pool.unmade(slot.bucket)

    def trim(self, pool: Pool | None = None) -> int:
        """Give back every slot that nobody uses, of a pool or of all; how many those were."""
        count = 0
        while (slot := self.oldest(pool)) is not None:
            self.drop(slot)
            count += 1
        return count

    @contextmanager
    def starving(self) -> Iterator[None]:
        """A run waits for memory meanwhile."""
        with self.changed:
            self._starving += 1
        try:
            yield
        finally:
            with self.changed:
                self._starving -= 1
                self.changed.notify_all()

    def wait(self, dropped: int) -> bool:
        """Wait until more than so many were dropped, or can be; False where none are left to wait for."""
        with self.changed:
            while self._dropped == dropped and not self._idle:
                if not self._slots:
                    return False
                self.changed.wait()
            return True

    def of(self, pool: Pool) -> list[Slot]:
        """A pool's slots."""
        with self.changed:
            return [slot for slot, owner in self._slots.items() if owner is pool]


ROOMS: Final[defaultdict[int, Room]] = defaultdict(Room)
"""The room on each GPU, by its number."""


class Pool:
    """Lends a tower's slots. Those that are seldom used make room: any tower's for the first of a bucket, and
    only its own for those beside it, since towers would take them from each other again and again.
    """

    def __init__(self, make: Callable[[Bucket], Slot], room: Room) -> None:
        self.room, self._make = room, make
        self._made: Counter[Bucket] = Counter()
        self._enough: set[Bucket] = set()
        self._end: EngineError | None = None

    @property
    def bytes(self) -> int:
        """What the slots hold of the GPU's memory."""
        return sum(slot.bytes for slot in self.room.of(self))

    @property
    def slots(self) -> int:
        """How many there are."""
        return len(self.room.of(self))

    @contextmanager
    def lend(self, bucket: Bucket) -> Iterator[Slot]:
        """A slot of a bucket, once one is free; what fails is not lent again. Raises EngineError."""
        slot = None
        while slot is None:
            slot = self._taken(bucket) or self._new(bucket)
        try:
            yield slot
        except BaseException:
            self.room.drop(slot)
            raise
        with self.room.changed:
            kept = self._end is None and not self.room.starved
            if kept:
                self.room.rest(slot)
        if not kept:
            self.room.drop(slot)

    def end(self, error: EngineError) -> None:
        """Lend no more: whoever asks, or waits, gets the error. Slots in use go when they come back."""
        with self.room.changed:
            self._end = self._end or error
            self.room.changed.notify_all()
        self.room.trim(self)

    def unmade(self, bucket: Bucket) -> None:
        """There is one less of a bucket."""
        with self.room.changed:
            self._made[bucket] -= 1
            self.room.give()

    def _taken(self, bucket: Bucket) -> Slot | None:
        """A free slot, or None where one is to be made: room has been taken for it."""
        while True:
            slot, oldest = self._wait(bucket)
            if oldest is None:
                return slot
            self.room.drop(oldest)

    def _wait(self, bucket: Bucket) -> tuple[Slot | None, Slot | None]:
        """A free slot or None to make one; or else the slot that has to go first."""
        with self.room.changed:
            while True:
                if self._end is not None:
                    raise again(self._end)
                mine = self.room.use(self, bucket)
                if mine is not None:
                    return mine, None
                if self._may_make(bucket):
                    if self.room.take(self._made.total()):
                        self._made[bucket] += 1
                        return None, None
                    oldest = self.room.oldest(self if self._made[bucket] else None)
                    if oldest is not None:
                        return None, oldest
                self.room.changed.wait()

    def _may_make(self, bucket: Bucket) -> bool:
        made = self._made[bucket]
        return not self.room.starved and (not made or (made < EACH and bucket not in self._enough))

    def _new(self, bucket: Bucket) -> Slot | None:
        """A slot for which room was taken; None where those of its bucket that there are must do."""
        try:
            slot = self._made_or_none(bucket)
        except BaseException:
            self.unmade(bucket)
            raise
        if slot is None:
            self.unmade(bucket)
        return slot

    def _made_or_none(self, bucket: Bucket) -> Slot | None:
        """Where memory is short, slots go one by one, then those that runs give back; raises OutOfMemory when
        nothing is left to go.
        """
        with ExitStack() as held:
            starving = False
            while True:
                dropped = self.room.dropped
                try:
                    with cuda.ALONE:
                        slot = self._make(bucket)
                        self.room.add(slot, self)  # before others find none left to wait for
                        return slot
                except OutOfMemory:
                    more = self._made[bucket] > 1
                    oldest = self.room.oldest(self if more else None)
                    if oldest is not None:
                        self.room.drop(oldest)
                        continue
                    if more:
                        self._enough.add(bucket)
                        return None
                    if not starving:
                        held.enter_context(self.room.starving())
                        starving = True
                    if self._end is not None or not self.room.wait(dropped):
                        raise
