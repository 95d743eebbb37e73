"""The client's own log: never below warnings (it would print settings and payloads), never a flood."""

from __future__ import annotations

import logging
import re
import threading
import time

INTERVAL = 10.0
_forward = logging.getLogger("service.kafka.client")


class _Quiet(logging.Handler):
    """Passes on one line of a kind in `INTERVAL` seconds, with the count of those held back."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._lock_kinds = threading.Lock()
        self._kinds: dict[str, tuple[float, int]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        kind = re.sub(r"[\d.]+", "#", text)[:60]
        now = time.monotonic()
        with self._lock_kinds:
            if len(self._kinds) > 500:
                self._kinds.clear()
            since, held = self._kinds.get(kind, (-INTERVAL, 0))
            if now - since < INTERVAL:
                self._kinds[kind] = (since, held + 1)
                return
            self._kinds[kind] = (now, 0)
        more = f" ({held} more like it in the last seconds)" if held else ""
        # Messages like "Connection failed" are errors to the client and a plain outage to us.
        _forward.log(min(record.levelno, logging.WARNING), "%s%s", text[:500], more)


def quiet_client() -> None:
    """Take over the client's logger; calling it again changes nothing."""
    logger = logging.getLogger("kafka")
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    if not any(isinstance(handler, _Quiet) for handler in logger.handlers):
        logger.addHandler(_Quiet())
