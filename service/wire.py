"""Small things that every record out shares: its size, its times."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

from service.record import Headers


def size_of(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    """Bytes of key, value and headers, with a little for each header's lengths."""
    size = len(key or b"") + len(value or b"")
    return size + sum(
        len(name.encode(errors="surrogateescape")) + len(held or b"") + 10 for name, held in headers
    )


def rfc3339(seconds: float | None) -> str | None:
    """UTC with milliseconds; None for a time that no calendar has (a timestamp may be any number)."""
    if seconds is None:
        return None
    try:
        second, millisecond = divmod(round(seconds * 1e3), 1000)
        return f"{_second(second)}.{millisecond:03d}Z"
    except (ValueError, OverflowError, OSError):
        return None


@lru_cache(maxsize=4096)  # a stream's events are close together in time
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat(timespec="seconds")[:-6]
