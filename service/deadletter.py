"""Records that cannot be scored, with what is needed to find, understand and redrive them (contract §4).

A dead letter is the original record, bytes, key and headers untouched, plus `tidegate-dlq-…` headers. By
reference it holds only those headers: the record stays where it lies, at topic, partition and offset.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.errors import DataError, RecordError
from service.event import ID_CHARS
from service.record import Headers, Record
from service.wire import size_of

PREFIX: Final = "tidegate-dlq-"
EVENT_ID: Final = "tidegate-event-id"
REPLAYS: Final = PREFIX + "replays"
TRACE_BYTES: Final = 256  # a longer traceparent is none; a reference must always fit
HEADER_BYTES: Final = 64 << 10
"""Room to allow for a dead letter's own headers, over the record itself."""
Mode = Literal["content", "reference"]


class DeadLetterModel(BaseModel):
    """The headers of a dead letter, by their names after `tidegate-dlq-`."""

    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True, populate_by_name=True)

    topic: str
    partition: Annotated[int, Field(ge=0)]
    offset: Annotated[int, Field(ge=0)]
    timestamp: int
    """Milliseconds since the epoch; -1 where the record had none."""
    stage: str
    kind: Annotated[Literal["invalid", "media", "crash", "expired"], Field(alias="class")]
    reason: str
    attempts: Annotated[int, Field(ge=1)]
    group: str
    version: str
    replays: Annotated[int, Field(ge=0)]
    """How often this event has been redriven before."""
    mode: Mode = "content"
    """Whether the record itself is here, or only where it lies."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A record ready to publish: a dead letter, or a redriven event."""

    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter as read back: where the event lay, why it failed; `record` is as it lies in the topic."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    stage: str
    kind: str
    reason: str
    attempts: int
    group: str
    version: str
    replays: int
    mode: Mode
    event_id: str
    record: Record


def dead_letter(
    record: Record,
    error: RecordError,
    *,
    event_id: str,
    group: str,
    mode: Mode = "content",
    attempts: int = 1,
    fits: int | None = None,
) -> Letter:
    """The dead letter of a record; by reference where asked, or where it is over `fits` bytes.

    A record over `limits.record_bytes` is `too_large` at the stage of preparing, and goes by reference too.
    """
    ours = _ours(record, error, group, attempts)
    identity = (EVENT_ID, event_id.encode("utf-8", "replace"))
    too_large = error.reason == "too_large" and error.stage != "publish"
    if mode == "content" and not too_large:
        theirs = [(name, value) for name, value in record.headers if not name.startswith(PREFIX)]
        if _last(theirs, EVENT_ID) != identity[1]:  # missing, or of no use: ours comes after it and counts
            theirs.append(identity)
        headers = [*theirs, *ours, (PREFIX + "mode", b"content")]
        if fits is None or size_of(record.key, record.value, headers) <= fits:
            return Letter(record.key, record.value, headers)
    place = f"{record.topic}/{record.partition}/{record.offset}".encode()
    trace = [(name, value) for name, value in record.headers if name == "traceparent"]
    kept = [(name, value) for name, value in trace[-1:] if len(value or b"") <= TRACE_BYTES]
    return Letter(place, b"", [*kept, identity, *ours, (PREFIX + "mode", b"reference")])


def parse(record: Record) -> DeadLetter:
    """Read a dead letter's headers; raises DataError where it is not one of ours."""
    where = f"{record.topic}/{record.partition}/{record.offset}"
    try:
        said = {
            name.removeprefix(PREFIX): (value or b"").decode()
            for name, value in record.headers
            if name.startswith(PREFIX)
        }
        model = DeadLetterModel.model_validate(said)
    except (ValidationError, UnicodeDecodeError) as error:
        why = f"its {PREFIX}… headers are missing or damaged"
        raise DataError("This record is not a dead letter", where=where, why=why) from error
    fallback = f"{model.topic}/{model.partition}/{model.offset}"
    return DeadLetter(**model.model_dump(), event_id=_event_id(record.headers) or fallback, record=record)


def redrive(letter: DeadLetter, original: Record | None = None) -> Letter:
    """The event to publish again, under its id and with one more replay.

    A letter by reference needs the `original` that it points to; raises DataError without it.
    """
    source: Record = letter.record
    if letter.mode == "reference":
        where = f"{letter.topic}/{letter.partition}/{letter.offset}"
        if original is None:
            what = "This dead letter is only a reference"
            raise DataError(what, where=where, why="the record it points to is needed to redrive it")
        if f"{original.topic}/{original.partition}/{original.offset}" != where:
            raise DataError("This is not the record that the dead letter points to", where=where)
        source = original
    headers = [(n, v) for n, v in source.headers if n != EVENT_ID and not n.startswith(PREFIX)]
    headers.append((EVENT_ID, letter.event_id.encode()))
    headers.append((REPLAYS, str(letter.replays + 1).encode()))
    return Letter(source.key, source.value, headers)


def replays_of(headers: Headers) -> int:
    """How often an event has been redriven; 0 where its header is missing or not a number."""
    text = _last(headers, REPLAYS) or b""
    return int(text) if text.isdigit() and len(text) < 10 else 0


def _ours(record: Record, error: RecordError, group: str, attempts: int) -> Iterable[tuple[str, bytes]]:
    facts = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "stage": error.stage,
        "class": error.kind,
        "reason": error.reason,
        "attempts": max(1, attempts),
        "group": group,
        "version": our_version(),
        "replays": replays_of(record.headers),
    }
    return [(PREFIX + name, str(value).encode()) for name, value in facts.items()]


def _last(headers: Headers, name: str) -> bytes | None:
    """As in Kafka's own clients: of several headers of one name, the last counts."""
    return next((value for held, value in reversed(headers) if held == name), None)


def _event_id(headers: Headers) -> str:
    """Empty where the header is missing, or made the event invalid: redriven, it must not do so again."""
    try:
        text = (_last(headers, EVENT_ID) or b"").decode()
    except UnicodeDecodeError:
        return ""
    return text if len(text) <= ID_CHARS else ""


@cache
def our_version() -> str:
    """The version of this distribution; `unknown` from a bare source tree."""
    try:
        return version("tidegate")
    except PackageNotFoundError:
        return "unknown"
