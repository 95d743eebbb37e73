"""Python's cycle collector, paced for a process that always holds thousands of records."""

from __future__ import annotations

import gc
from typing import Final

THRESHOLDS: Final = (50_000, 20, 20)
"""Net allocations before a young collection, and how many of those before each older one.

With Python's own (700, 10, 10) the collector walks all records in flight several times a second, and finds
nothing: records are freed by their last reference. It still runs, because the client's futures make cycles.
"""


def pace() -> None:
    """Collect seldom, and never again look at what was made while starting."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
