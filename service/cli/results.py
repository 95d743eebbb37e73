"""How `score` writes what it found: JSON lines for machines, rows for people; both as they come."""

from __future__ import annotations

from typing import Final

import orjson
from rich.table import Table
from rich.text import Text

from service.cli import look
from service.cli.console import emit, out
from service.score import Scored
from service.scoring import Failed

SCHEMA: Final = "tidegate.error/1"


class JsonLines:
    """One line a result, in the bytes that would go to Kafka."""

    def write(self, result: Scored | Failed) -> None:
        """Write a score, or an error line in its place."""
        if isinstance(result, Failed):
            error = result.error
            where = {
                "id": result.event_id,
                "class": error.kind,
                "reason": error.reason,
                "detail": error.detail,
            }
            emit({"schema": SCHEMA, **where})
        else:
            emit(result.value)


class Rows:
    """One row a result; columns are fixed, so that nothing is kept."""

    def __init__(self) -> None:
        self._console, self._begun = out(), False

    def write(self, result: Scored | Failed) -> None:
        """Write a row, after the headings the first time."""
        if not self._begun:
            self._begun = True
            self._row(
                *(Text(name, "bright_black") for name in ("event", "in", "sentiment", "labels", "decision"))
            )
        if isinstance(result, Failed):
            why = look.failure(result.error.kind, result.error.reason)
            self._row(
                Text(result.event_id), Text(""), why, Text(result.error.detail, "bright_black"), Text("–")
            )
            return
        score = orjson.loads(result.value)
        cells = (look.modalities(score), look.sentiment(score), look.labels(score), look.decision(score))
        self._row(Text(score["id"]), *cells)

    def _row(self, *cells: Text) -> None:
        grid = Table.grid(padding=(0, 2), expand=True)
        grid.add_column(ratio=3, no_wrap=True, overflow="ellipsis")
        for width in (6, 24):
            grid.add_column(width=width, no_wrap=True, overflow="ellipsis")
        grid.add_column(ratio=4, no_wrap=True, overflow="ellipsis")
        grid.add_column(width=8, no_wrap=True)
        grid.add_row(*cells)
        self._console.print(grid)
