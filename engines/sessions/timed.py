"""A session that knows how long it ran."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from engines.batch import Float32
from engines.sessions.base import Arrays, Session

if TYPE_CHECKING:
    from engines.tensorrt.buckets import Bucket


class Timed:
    """Another session, with the `seconds` spent inside it so far."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._lock = threading.Lock()
        self.seconds = 0.0

    def run(self, inputs: Arrays) -> dict[str, Float32]:
        """Outputs by name; raises EngineError."""
        start = time.perf_counter()
        try:
            return self._session.run(inputs)
        finally:
            with self._lock:
                self.seconds += time.perf_counter() - start

    @property
    def memory(self) -> dict[int, int]:
        """Bytes held on each GPU, by its number; empty for a session that is on none."""
        return dict(getattr(self._session, "memory", {}))

    @property
    def plans(self) -> tuple[str, ...]:
        """The SHA-256 of each plan that it runs; empty for a session that has none."""
        return tuple(getattr(self._session, "plans", ()))

    @property
    def buckets(self) -> tuple[Bucket, ...]:
        """The shapes that it was planned for, cheapest first; empty for a session that takes any."""
        return tuple(getattr(self._session, "buckets", ()))

    @property
    def reduced(self) -> bool:
        """Whether memory ran out, and micro-batches are smaller since."""
        return bool(getattr(self._session, "reduced", False))

    def close(self) -> None:
        """Give the memory back."""
        self._session.close()
