"""Moments on the command line: RFC 3339, or so long ago."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple

import click

UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
AGO: Final = re.compile(r"(\d+)([smhd])")


class Instant(click.ParamType[Any]):
    """Epoch milliseconds from `2026-01-31T12:00:00Z` (without a zone: UTC) or `15m`, `2h`, `3d` ago."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read it; a usage error says what is allowed."""
        if isinstance(value, int):
            return value
        text = str(value)
        if ago := AGO.fullmatch(text):
            return int((time.time() - int(ago[1]) * UNITS[ago[2]]) * 1000)
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            self.fail(
                f"'{text}' is neither a time like 2026-01-31T12:00:00Z nor an age like 15m, 2h, 3d.",
                param,
                ctx,
            )
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


class Bound(NamedTuple):
    """One end of a range in a topic: epoch milliseconds, or an offset."""

    kind: Literal["time", "offset"]
    value: int

    def __str__(self) -> str:
        """As a person reads it."""
        return f"offset {self.value}" if self.kind == "offset" else f"{clock(self.value)} UTC"


class When(Instant):
    """An `Instant`, or a plain number: an offset. Gives a `Bound`."""

    name = "when"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read it; a usage error says what is allowed."""
        text = str(value)
        if text.isdigit():
            return Bound("offset", int(text))
        return Bound("time", super().convert(text, param, ctx))


MOMENT: Final = Instant()
WHEN: Final = When()


def clock(milliseconds: int) -> str:
    """A time for a person, in UTC, to the millisecond; `-` where a record had none or an impossible one."""
    try:
        moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return "-"
    if milliseconds < 0:
        return "-"
    return f"{moment:%Y-%m-%d %H:%M:%S}.{milliseconds % 1000:03d}"
