"""Mixed shapes for minutes: no error, and neither device nor host memory grows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from engines import cuda
from engines.batch import Batch
from engines.bundle import Bundle
from engines.engine import Engine
from tests.gpu.ground import Ground
from tests.gpu.results import Check, at_most, holds, not_measured
from tests.gpu.starter import lacking, mixed, opened

Levels = tuple[float, int, int]
"""Seconds, and bytes used then on the device and on the host."""
MIB = 1 << 20
ALLOWED = 16.0
"""MiB that noise may look like growth: allocators round, the interpreter keeps lists."""
SETTLING = 0.2
"""The share of the time after which every slot has been opened."""


def measure(ground: Ground, precision: str, seed: int) -> None:
    """The parts `soak-1` and `soak-2`."""
    seconds = 3.0 if ground.small else 300.0
    check = f"soak {seed}, {ground.shipped()[0]} {precision}"
    bundle = Bundle.load(ground.shipped()[0])
    if lost := lacking(bundle, precision):
        ground.tell(not_measured(check, lost, f"≤ {ALLOWED:g} MiB"))
        return
    with ground.checking(check):
        engine = opened(ground, bundle, precision)
        try:
            engine.warm_up()
            count = 3 if ground.small else 24
            batches = [mixed(bundle, 7 * (1 + k % 9), seed * 1000 + k) for k in range(count)]
            events, seen = _soaked(engine, batches, seconds)
        finally:
            engine.close()
        ground.tell(holds(f"{check}: no error", True, f"{events:,} events in {seconds:.0f} s"))
        for k, name in ((1, "device"), (2, "host")):
            grown = growth([(row[0], row[k]) for row in seen], seconds) / MIB
            levels = f"{seen[0][k] / MIB:,.0f} MiB at first, {seen[-1][k] / MIB:,.0f} MiB at last"
            row = at_most(f"{check}: growth of {name} memory, MiB", grown, ALLOWED, levels, "{:.1f}")
            ground.measured(row)
        ground.tell(Check(f"{check}: rate", f"{events / seconds:,.0f} events/s", reason="mixed, end to end"))


def _soaked(engine: Engine, batches: Sequence[Batch], seconds: float) -> tuple[int, list[Levels]]:
    """Run batches over and over: how many events those were, and what memory was used meanwhile."""
    for batch in batches:  # once through, before the clock: each shape has a slot then
        engine.infer(batch)
    events, turn, last = 0, 0, 0.0
    seen, begun = [(0.0, *_memory())], time.monotonic()
    while (now := time.monotonic() - begun) < seconds:
        batch = batches[turn % len(batches)]
        engine.infer(batch)
        events, turn = events + len(batch), turn + 1
        if now - last >= seconds / 200:
            seen.append((now, *_memory()))
            last = now
    return events, [*seen, (seconds, *_memory())]


def growth(seen: list[tuple[float, int]], seconds: float) -> float:
    """Median of the last fifth less that of the first fifth after settling; never below zero."""
    span = seconds * (1 - SETTLING) / 5
    start = seconds * SETTLING
    first = [value for at, value in seen if start <= at < start + span] or [seen[0][1]]
    last = [value for at, value in seen if at >= seconds - span] or [seen[-1][1]]
    return max(0.0, median(last) - median(first))


def _memory() -> tuple[int, int]:
    """Bytes used on the device, and by this process in the host's memory."""
    free, total = cuda.memory()
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return total - free, pages * 4096
