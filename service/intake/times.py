"""RFC 3339 times."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

_RFC_3339: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:)(\d\d)(\.\d{1,9})?\d*([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


def parse_time(text: str) -> float:
    """Seconds since the epoch; a leap second counts as the second after it. Raises `ValueError`."""
    match = _RFC_3339.fullmatch(text)
    if match is None:
        raise ValueError("not RFC 3339")
    day, minute, second, fraction, zone = match.groups()
    leap = second == "60"
    moment = datetime.fromisoformat(f"{day}T{minute}{'59' if leap else second}{zone.upper()}")
    return moment.timestamp() + leap + float(fraction or 0)
