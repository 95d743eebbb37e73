"""Polled records that are in no cycle yet, and the cutting of cycles from them."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import Final, Literal

from service.caution import Caution
from service.config import Limits
from service.cycle import Cycle
from service.kafka.checkpoint import Checkpoint
from service.record import Record, Run, record_bytes

Cause = Literal["records", "bytes"]

FIRST_RECORDS: Final = 256  # until the pace is known
RECORD_WEIGHT: Final = 512  # what a record costs beside its bytes, in bytes
SMOOTHING: Final = 0.3


class Pace:
    """Seconds of work per byte (a record weighs 512 more), measured on the slowest stage of recent cycles."""

    def __init__(self) -> None:
        self._rate: float | None = None

    def learn(self, records: int, size: int, seconds: float) -> None:
        """A cycle kept the slowest stage busy for `seconds`."""
        rate = seconds / (size + RECORD_WEIGHT * records)
        self._rate = rate if self._rate is None else self._rate + SMOOTHING * (rate - self._rate)

    def weight(self, seconds: float) -> float | None:
        """How much weight fits into `seconds`, None while nothing was measured."""
        return seconds / self._rate if self._rate else None


@dataclass(slots=True)
class _Held:
    run: Run
    sizes: list[int]
    polled: float


class Buffer:
    """Thread-safe: the poll thread puts, the prepare thread cuts whatever has arrived, within bounds.

    There is no batching timer: one record when idle, thousands under backlog.
    """

    def __init__(self, limits: Limits, checkpoint: Checkpoint, caution: Caution) -> None:
        self._limits, self._checkpoint, self._caution = limits, checkpoint, caution
        self._condition = threading.Condition()
        self._held: deque[_Held] = deque()
        self._closed = False
        self._number = 0
        self.records = self.bytes = 0
        self.pace = Pace()

    def put(self, runs: list[Run]) -> int:
        """Take polled runs; returns their bytes."""
        now = time.monotonic()
        held = [_Held(run, [record_bytes(r) for r in run.records], now) for run in runs if run.records]
        added = sum(sum(h.sizes) for h in held)
        with self._condition:
            self._held.extend(held)
            self.records += sum(len(h.sizes) for h in held)
            self.bytes += added
            self._condition.notify()
        return added

    def full(self) -> Cause | None:
        """Which bound is reached, so that intake has to pause."""
        if self.records >= self._limits.buffer_records:
            return "records"
        return "bytes" if self.bytes >= self._limits.buffer_bytes else None

    def low(self) -> bool:
        """Half empty: intake may go on."""
        return self.records * 2 < self._limits.buffer_records and self.bytes * 2 < self._limits.buffer_bytes

    def close(self) -> None:
        """Cut no more cycles; what is here is forgotten, the group will hand it out again."""
        with self._condition:
            self._closed = True
            self._held.clear()
            self.records = self.bytes = 0
            self._condition.notify_all()

    def cut(self) -> Cycle | None:
        """Wait for records and cut a cycle; None once closed."""
        with self._condition:
            while True:
                while not self._held and not self._closed:
                    self._condition.wait()
                if self._closed:
                    return None
                cycle = self._cut()
                if cycle is not None:
                    return cycle

    def _cut(self) -> Cycle | None:
        runs: list[Run] = []
        size = count = 0
        weight = self.pace.weight(self._limits.cycle_seconds)
        most = self._limits.cycle_records if weight else min(FIRST_RECORDS, self._limits.cycle_records)
        polled = self._held[0].polled
        while self._held and count < most:
            held = self._held[0]
            partition, first = held.run.partition, held.run.records[0].offset
            if self._checkpoint.epoch(partition) != held.run.epoch:
                self._forget(self._held.popleft())  # given up since it was polled
                continue
            cap = self._caution.cap(partition, first)
            if cap is not None:
                return self._careful(cap) if not runs else self._cycle(runs, size, polled)
            taken = self._fit(
                held, most - count, size, weight and weight - RECORD_WEIGHT * count, first=not runs
            )
            if taken == 0:
                break
            run, run_size = self._take(held, taken)
            runs.append(run)
            size, count = size + run_size, count + taken
        return self._cycle(runs, size, polled) if runs else None

    def _fit(self, held: _Held, most: int, size: int, weight: float | None, *, first: bool) -> int:
        """How many records of `held` still fit; at least one into an empty cycle."""
        taken = 0
        for record_size in held.sizes[:most]:
            heavy = weight is not None and size + record_size + RECORD_WEIGHT * (taken + 1) > weight
            if (heavy or size + record_size > self._limits.cycle_bytes) and not (first and taken == 0):
                break
            taken, size = taken + 1, size + record_size
        return taken

    def _take(self, held: _Held, count: int) -> tuple[Run, int]:
        size = sum(held.sizes[:count])
        self.records -= count
        self.bytes -= size
        records: list[Record] = list(held.run.records)
        run = replace(held.run, records=records[:count])
        if count == len(records):
            self._held.popleft()
        else:
            self._held[0] = _Held(replace(held.run, records=records[count:]), held.sizes[count:], held.polled)
        return run, size

    def _careful(self, cap: int) -> Cycle:
        held = self._held[0]
        partition, first = held.run.partition, held.run.records[0].offset
        attempt = self._caution.attempt(partition, first)
        condemned = self._caution.condemned(partition, first)
        run, size = self._take(held, min(cap, len(held.sizes)))
        cycle = self._cycle([run], size, held.polled)
        cycle.careful, cycle.condemned, cycle.attempts = True, condemned, {partition: attempt}
        return cycle

    def _forget(self, held: _Held) -> None:
        self.records -= len(held.sizes)
        self.bytes -= sum(held.sizes)

    def _cycle(self, runs: list[Run], size: int, polled: float) -> Cycle:
        self._number += 1
        return Cycle(self._number, runs, size, polled)
