"""Dead letters read back from their topic: chosen by a filter, and as rows, facts and previews."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import click

from service.cli.moments import clock
from service.config import Settings
from service.deadletter import PREFIX, DeadLetter, parse
from service.errors import DataError
from service.kafka.reader import Reader, Stretch
from service.record import Record

SCHEMA: Final = "tidegate.deadletter/1"
HEADINGS: Final = ("place", "time", "why", "origin", "event", "replays")
PREVIEW: Final = 800
"""Characters of a value that `show` prints."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which dead letters are meant; None means any. Times are epoch milliseconds."""

    kind: str | None = None
    reason: str | None = None
    since: int | None = None
    until: int | None = None
    limit: int | None = None

    def matches(self, letter: DeadLetter) -> bool:
        """Whether class and reason are the wanted ones."""
        return self.kind in (None, letter.kind) and self.reason in (None, letter.reason)


def letters(settings: Settings, which: Filter) -> Iterator[DeadLetter]:
    """The dead letters there are now that match; what is no dead letter of ours is passed over."""
    return islice((letter for letter in _all(settings, which) if which.matches(letter)), which.limit)


def letter_at(settings: Settings, place: str) -> DeadLetter:
    """One dead letter by `partition/offset`; raises a usage error, or DataError where none lies there."""
    partition, slash, offset = place.partition("/")
    if not (slash and partition.isdigit() and offset.isdigit()):
        raise click.BadParameter(f"'{place}' is not PARTITION/OFFSET, for example 0/17", param_hint="PLACE")
    topic, at = settings.deadletter.topic, int(offset)
    stretch = Stretch(partitions=[int(partition)], first=at, stop=at + 1)
    with Reader(settings.kafka, topic, stretch) as reader:
        for record in reader:
            return parse(record)
    raise DataError("No record lies there", where=f"{topic}/{place}", remedy="See `tidegate dlq list`")


def facts(letter: DeadLetter) -> dict[str, Any]:
    """A dead letter as JSON, without its content: valid against `tidegate schema deadletter`."""
    return {
        "schema": SCHEMA,
        "id": letter.event_id,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "timestamp": letter.timestamp,
        "stage": letter.stage,
        "class": letter.kind,
        "reason": letter.reason,
        "attempts": letter.attempts,
        "group": letter.group,
        "version": letter.version,
        "replays": letter.replays,
        "mode": letter.mode,
        "place": {
            "topic": letter.record.topic,
            "partition": letter.record.partition,
            "offset": letter.record.offset,
            "timestamp": letter.record.timestamp,
        },
    }


def told(letter: DeadLetter) -> dict[str, object]:
    """A dead letter as lines for a person: what, and its value; its own headers last."""
    known = facts(letter)
    lines: dict[str, object] = {
        "event": letter.event_id,
        "from": f"{letter.topic}/{letter.partition}/{letter.offset}",
        "at": f"{clock(letter.timestamp)} UTC",
        "dead-lettered": f"{clock(letter.record.timestamp)} UTC",
        "key": "(none)" if letter.record.key is None else _shown(letter.record.key),
        **{name: known[name] for name in ("class", "reason", "stage", "attempts", "replays", "mode")},
        "group": letter.group,
        "version": letter.version,
    }
    return lines | {f"header {name}": value for name, value in headers(letter).items()}


def row(letter: DeadLetter) -> tuple[object, ...]:
    """A dead letter as a row under `HEADINGS`."""
    place = f"{letter.record.partition}/{letter.record.offset}"
    origin = f"{letter.topic}/{letter.partition}/{letter.offset}"
    why = f"{letter.kind}/{letter.reason}"
    return place, clock(letter.record.timestamp), why, origin, letter.event_id, letter.replays


def headers(letter: DeadLetter) -> dict[str, str]:
    """The headers that the record came with."""
    own = ((name, value) for name, value in letter.record.headers if not name.startswith(PREFIX))
    return {_shown(name.encode(errors="surrogateescape")): _shown(value or b"") for name, value in own}


def _shown(held: bytes) -> str:
    return held.decode("utf-8", "backslashreplace")


def preview(letter: DeadLetter) -> str:
    """The beginning of the content, as text where it is text."""
    if letter.mode == "reference":
        return "Only a reference: the record stays in its topic."
    value = letter.record.value
    if not value:
        return "A tombstone." if value is None else "An empty value."
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = value[: PREVIEW // 4].decode("utf-8", "backslashreplace")
    shown = "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text[:PREVIEW]
    )
    return shown + (f"\n… {len(value)} bytes in all (--raw writes them)" if len(shown) < len(text) else "")


def _all(settings: Settings, which: Filter) -> Iterator[DeadLetter]:
    stretch = Stretch(since=which.since, until=which.until)
    with Reader(settings.kafka, settings.deadletter.topic, stretch) as reader:
        for record in reader:
            if letter := letter_of(record):
                yield letter


def letter_of(record: Record) -> DeadLetter | None:
    """A dead letter read back; None for a record that is none of ours."""
    try:
        return parse(record)
    except DataError:
        return None
