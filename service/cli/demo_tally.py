"""What was sent, and what became of it: each event is accounted for once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

from service.cli.letters import facts
from service.deadletter import PREFIX, parse
from service.record import Record
from service.sampling import Ready


@dataclass(frozen=True, slots=True)
class Outcome:
    """One event's end: a score, or the facts of its dead letter; `milliseconds` from record to record."""

    about: str
    milliseconds: int
    score: dict[str, Any] | None = None
    letter: dict[str, Any] = field(default_factory=dict)


class Tally:
    """Matches scores and dead letters with the events by key (unique in the demo)."""

    def __init__(self) -> None:
        self._open: dict[bytes, str] = {}
        self.sent = self.scored = self.dead_lettered = self.dropped = 0
        self.repeated = 0

    def send(self, ready: Ready) -> None:
        """Note an event that is on its way."""
        self._open[ready.key] = ready.about
        self.sent += 1

    def take(self, record: Record) -> Outcome | None:
        """The outcome that a score or dead letter tells; None when it was told before."""
        about = self._open.pop(record.key or b"", None)
        if about is None:
            self.repeated += 1
            return None
        if any(name == f"{PREFIX}class" for name, _ in record.headers):
            self.dead_lettered += 1
            letter = parse(record)
            return Outcome(about, record.timestamp - letter.timestamp, letter=facts(letter))
        self.scored += 1
        score = orjson.loads(record.value or b"")
        return Outcome(about, record.timestamp - score["origin"]["timestamp"], score=score)

    @property
    def accounted(self) -> int:
        """Events whose end is known."""
        return self.scored + self.dead_lettered + self.dropped

    def summary(self) -> dict[str, object]:
        """The line that ends `--json`."""
        return {
            "schema": "tidegate.summary/1",
            "events": self.sent,
            "scored": self.scored,
            "dead_lettered": self.dead_lettered,
            "dropped": self.dropped,
        }
