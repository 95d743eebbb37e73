"""Fail points: `kill -9` ourselves at a named place, so that tests can prove what survives it.

`TIDEGATE_FAIL=NAME[:N][=MARKER]`, comma separated. NAME is `poll` (records polled, nothing scored), `infer`
(in the middle of a cycle), `produced` (sent, not acknowledged) or `acked` (acknowledged, not committed). The
process dies at the Nth pass (default 1) whose records hold MARKER (default: any). Without the variable this
is one comparison.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from typing import Final

from service.errors import ConfigError
from service.record import Record

POINTS: Final = ("poll", "infer", "produced", "acked")


class FailPoints:
    """The fail points asked for in the environment."""

    def __init__(self, text: str = "") -> None:
        self._left: dict[str, tuple[int, bytes]] = {}
        for part in filter(None, text.split(",")):
            head, _, marker = part.partition("=")
            name, _, count = head.partition(":")
            if name not in POINTS or not (count or "1").isdigit():
                raise ConfigError(
                    f"unknown fail point {part!r}", where="TIDEGATE_FAIL", remedy=f"Use {POINTS}"
                )
            self._left[name] = (int(count or "1"), marker.encode())

    @classmethod
    def of_environment(cls) -> FailPoints:
        """Read `TIDEGATE_FAIL`."""
        return cls(os.environ.get("TIDEGATE_FAIL", ""))

    def reach(self, name: str, records: Iterable[Record]) -> None:
        """Die here if asked to."""
        if name not in self._left:
            return
        left, marker = self._left[name]
        if marker and not any(marker in (record.value or b"") for record in records):
            return
        self._left[name] = (left - 1, marker)
        if left <= 1:
            os.kill(os.getpid(), signal.SIGKILL)
