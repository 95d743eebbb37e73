"""Micro-batches side by side: a few threads, each in a run of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")

SMALL_BYTES: Final = 32 << 20
"""Graphs up to this size run a micro-batch faster on one thread than threads can share it."""
EACH: Final = 3
"""Lanes of a tower on a GPU: one micro-batch is staged, one computes, and one is read back."""


def lanes_for(graph_bytes: int, threads: int) -> int:
    """How many micro-batches to run at once: each small one on a thread of its own, a large one on all."""
    return threads if graph_bytes <= SMALL_BYTES else 1


def gpu_lanes(devices: int) -> int:
    """How many micro-batches to run at once on so many GPUs: of all three towers, on each."""
    return 3 * EACH * devices


class Lanes:
    """Maps work over items, `count` at a time; with one lane, or one item, on the caller's thread."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="lane") if count > 1 else None

    def map(self, work: Callable[[Item], Answer], items: Sequence[Item]) -> list[Answer]:
        """The answers in the items' order; the first error is raised once all have ended."""
        if self._pool is None or len(items) < 2:
            return [work(item) for item in items]
        futures = [self._pool.submit(work, item) for item in items]
        errors = [error for future in futures if (error := future.exception()) is not None]
        if errors:
            raise errors[0]
        return [future.result() for future in futures]

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()
