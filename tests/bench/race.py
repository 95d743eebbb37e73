"""Two or more ways of doing one thing, timed in turn in one process."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping

ROUNDS = 7
BUNDLE = sys.argv[1] if len(sys.argv) > 1 else "starter"


def race(ways: Mapping[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """The fastest of some rounds of each way, in seconds: a busy machine slows some rounds only."""
    best = dict.fromkeys(ways, float("inf"))
    for way in ways.values():
        way()
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            best[name] = min(best[name], time.perf_counter() - began)
    return best


def tell(title: str, best: Mapping[str, float], events: int, base: str) -> None:
    """One line a way: events per second, and how many times the base's."""
    print(title)
    for name, seconds in best.items():
        print(f"  {name:<28} {events / seconds:10,.0f} events/s   {best[base] / seconds:5.2f}x")
