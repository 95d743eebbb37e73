"""What surrounds an event: record headers, and the attributes of a CloudEvents envelope."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from service.errors import RecordError
from service.event import ID_CHARS
from service.record import Record

EVENT_ID: Final = "tidegate-event-id"
_TRACEPARENT_CHARS: Final = 512


class Envelope(BaseModel):
    """CloudEvents attributes; `data` and `data_base64` only in the structured form."""

    model_config = ConfigDict(extra="ignore", strict=True)

    id: str | None = None
    source: str | None = None
    time: str | None = None
    traceparent: str | None = None
    datacontenttype: str | None = None
    data: Any = None
    data_base64: str | None = None

    @property
    def event_id(self) -> str | None:
        """`source#id`, or its SHA-256 where that is too long."""
        if not self.id:
            return None
        return fitting_id(f"{self.source}#{self.id}" if self.source else self.id)


NONE: Final = Envelope()


def fitting_id(joined: str) -> str:
    """An id made of several parts; one over 256 characters becomes its SHA-256 in hex."""
    return joined if len(joined) <= ID_CHARS else hashlib.sha256(joined.encode()).hexdigest()


def position_id(record: Record) -> str:
    """The id of last resort: where the record lies."""
    return fitting_id(f"{record.topic}/{record.partition}/{record.offset}")


def header_map(record: Record) -> dict[str, bytes]:
    """Headers by lower-case name; of several with one name the last counts, as for Kafka's own clients."""
    return {name.lower(): value for name, value in record.headers if value is not None}


def binary_envelope(headers: dict[str, bytes]) -> Envelope:
    """The attributes that binary CloudEvents carry as `ce_…` headers. Raises `RecordError` invalid_event."""
    if not headers.keys() & {"ce_id", "ce_source", "ce_time", "ce_traceparent"}:
        return NONE
    return Envelope.model_construct(
        id=header_text(headers, "ce_id"),
        source=header_text(headers, "ce_source"),
        time=header_text(headers, "ce_time"),
        traceparent=header_text(headers, "ce_traceparent"),
    )


def header_text(headers: dict[str, bytes], name: str) -> str | None:
    """A header as text; empty is None. Raises `RecordError` invalid_event where it is not UTF-8."""
    try:
        return headers.get(name, b"").decode() or None
    except UnicodeDecodeError as error:
        raise RecordError("invalid", "invalid_event", f"header {name} is not UTF-8") from error


def traceparent_of(headers: dict[str, bytes], envelope: Envelope) -> str | None:
    """The trace this event belongs to; a garbled one is dropped, because it is no part of the event."""
    text = headers.get("traceparent", b"").decode("ascii", "replace") or envelope.traceparent
    return (
        text if text and len(text) <= _TRACEPARENT_CHARS and text.isascii() and text.isprintable() else None
    )
