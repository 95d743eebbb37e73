"""The id of a record that could not be read as an event: by the order of `parse`, as far as that goes.

A redriven dead letter keeps its id, so the id must be the one that the event would have had.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from service.config import Limits
from service.errors import RecordError
from service.event import ID_CHARS
from service.intake.content import CLOUDEVENTS
from service.intake.envelope import EVENT_ID, Envelope, binary_envelope, header_map, header_text, position_id
from service.intake.forms import content_type, read_json
from service.record import Record, record_bytes


def fallback_id(record: Record) -> str:
    """By the headers alone (redrive's, then CloudEvents'), else where it lies; the value is not read."""
    headers = header_map(record) if record.headers else {}
    return _given(headers) or _enveloped(headers) or position_id(record)


def identify(record: Record, limits: Limits) -> str:
    """As `fallback_id`, with what the value says in between, unless it is too large to be looked at."""
    headers = header_map(record) if record.headers else {}
    given = _given(headers)
    if given or not record.value or record_bytes(record) > limits.record_bytes:
        return given or fallback_id(record)
    tree: Any = None
    structured = False
    with suppress(RecordError):
        content = content_type(headers)
        structured = content.media_type == CLOUDEVENTS
        if structured or content.is_json:
            tree = read_json(record.value, content)
    data = tree.get("data") if structured and isinstance(tree, dict) else tree
    outer = _outer(tree) if structured else _enveloped(headers)
    return _field(data) or outer or position_id(record)


def _given(headers: dict[str, bytes]) -> str | None:
    with suppress(RecordError):
        return _fitting(header_text(headers, EVENT_ID))
    return None


def _enveloped(headers: dict[str, bytes]) -> str | None:
    with suppress(RecordError):
        return binary_envelope(headers).event_id
    return None


def _outer(tree: Any) -> str | None:
    return Envelope.model_construct(id=_text(tree, "id"), source=_text(tree, "source")).event_id


def _field(tree: Any) -> str | None:
    return _fitting(_text(tree, "id"))


def _text(tree: Any, name: str) -> str | None:
    value = tree.get(name) if isinstance(tree, dict) else None
    return value if isinstance(value, str) else None


def _fitting(text: str | None) -> str | None:
    return text if text and len(text) <= ID_CHARS else None
