"""The forms an event comes in: JSON, CloudEvents (structured and binary), raw text and raw media."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from service.config import Limits
from service.errors import RecordError
from service.event import ID_CHARS, Event, EventModel, Media, MediaModel, fault_of
from service.intake.content import CLOUDEVENTS, DEFAULT, TEXT, Content, content_of
from service.intake.envelope import (
    EVENT_ID,
    NONE,
    Envelope,
    binary_envelope,
    header_map,
    header_text,
    position_id,
    traceparent_of,
)
from service.intake.media import Modality, decode_base64, given_media, raw_media
from service.intake.strict import load
from service.intake.times import parse_time
from service.record import Record, record_bytes

_CONTENT_TYPE_CHARS: Final = 1024
_OPAQUE: Final = ("application/octet-stream", "application/ogg")


class _Body(NamedTuple):
    """What is to be scored, whatever form it had."""

    fields: EventModel
    media: list[Media]


def parse(record: Record, limits: Limits) -> Event:
    """The event that a record holds. Media that fails already carries its fault; the rest is untouched.

    Raises `RecordError`: too_large, no_content, invalid_json, invalid_event, or media where the content type
    is none that can be scored.
    """
    if record_bytes(record) > limits.record_bytes:
        raise RecordError("invalid", "too_large", f"over {limits.record_bytes} bytes")
    if not record.value:
        raise RecordError(
            "invalid", "no_content", "a tombstone" if record.value is None else "an empty value"
        )
    headers = header_map(record) if record.headers else {}
    content = content_type(headers) if headers else DEFAULT
    if content.media_type == CLOUDEVENTS:
        envelope: Envelope = _validated(Envelope, read_json(record.value, content))
        body = _structured(envelope, limits)
    else:
        envelope = binary_envelope(headers) if headers else NONE
        body = _of_bytes(record.value, content, limits)
    return _event(record, headers, envelope, body, limits)


def content_type(headers: dict[str, bytes]) -> Content:
    """What the header `content-type` says, JSON without one. Raises `RecordError` for an unknown charset."""
    kind = headers.get("content-type", b"")[:_CONTENT_TYPE_CHARS].decode("latin-1")
    return content_of(kind) if kind else DEFAULT


def _structured(envelope: Envelope, limits: Limits) -> _Body:
    """The data of a structured CloudEvent: an object, a string, or base64."""
    content = content_of((envelope.datacontenttype or "")[:_CONTENT_TYPE_CHARS])
    data = envelope.data
    if data is None and envelope.data_base64 is None:
        raise RecordError("invalid", "no_content", "no data")
    if isinstance(data, str):
        if content.media_type == TEXT:
            return _Body(EventModel.model_construct(text=data), [])
        if content.is_json:  # encoded twice, as many producers do
            return _of_json(load(data.encode()), limits)
    elif data is not None:
        return _of_json(data, limits)
    return _of_base64(data or envelope.data_base64 or "", content, limits)


def _of_base64(text: str, content: Content, limits: Limits) -> _Body:
    if not (content.is_json or content.media_type == TEXT or _is_media(content)):
        raise _unsupported()
    try:
        value = decode_base64(text)
    except ValueError as error:
        if _is_media(content):
            raise RecordError("media", "undecodable", "data is not base64") from error
        raise RecordError("invalid", "invalid_event", "data is not base64") from error
    if not value:
        raise RecordError("invalid", "no_content", "empty data")
    return _of_bytes(value, content, limits)


def _of_bytes(value: bytes, content: Content, limits: Limits) -> _Body:
    if content.is_json:
        return _of_json(read_json(value, content), limits)
    if content.media_type == TEXT:
        return _Body(EventModel.model_construct(text=_text(value, content)), [])
    if _is_media(content):
        audio = content.media_type.startswith(("audio/", "application/ogg"))
        modality: Modality = "audio" if audio else "image"
        return _Body(EventModel.model_construct(), [raw_media(value, content.media_type, modality, limits)])
    raise _unsupported()


def _unsupported() -> RecordError:
    return RecordError("media", "unsupported_media_type", "a content-type that cannot be scored")


def _is_media(content: Content) -> bool:
    return content.media_type.startswith(("image/", "audio/")) or content.media_type in _OPAQUE


def _of_json(tree: Any, limits: Limits) -> _Body:
    fields: EventModel = _validated(EventModel, tree)
    if fields.image is None and fields.audio is None:
        return _Body(fields, [])
    media = _given(fields.image, "image", limits) + _given(fields.audio, "audio", limits)
    if len(media) > limits.media_items:
        raise RecordError("invalid", "invalid_event", f"{len(media)} media, limit {limits.media_items}")
    return _Body(fields, media)


def _given(given: list[MediaModel] | MediaModel | None, field: Modality, limits: Limits) -> list[Media]:
    items = given if isinstance(given, list) else [] if given is None else [given]
    return [given_media(item, field, limits) for item in items]


def _validated(model: type[Any], tree: Any) -> Any:
    """A model of an object. Raises `RecordError` invalid_event with the place of its first fault."""
    if not isinstance(tree, dict):
        raise RecordError("invalid", "invalid_event", "not an object")
    try:
        return model.__pydantic_validator__.validate_python(tree)
    except ValidationError as error:
        raise RecordError("invalid", "invalid_event", fault_of(error)) from None


def read_json(value: bytes, content: Content) -> Any:
    """The value as a tree, in the charset of its content type. Raises `RecordError` invalid_json."""
    if content.codec is None:
        return load(value)
    try:
        return load(value.decode(content.codec).encode())
    except UnicodeError as error:
        raise RecordError("invalid", "invalid_json", "not in its charset") from error


def _text(value: bytes, content: Content) -> str:
    try:
        return value.decode(content.codec or "utf-8-sig")
    except UnicodeError as error:
        raise RecordError("invalid", "invalid_event", "text/plain not in its charset") from error


def _event(
    record: Record, headers: dict[str, bytes], envelope: Envelope, body: _Body, limits: Limits
) -> Event:
    fields, media = body
    text = fields.text if fields.text and not fields.text.isspace() else None
    if text is None and not media:
        raise RecordError("invalid", "no_content", "no text and no media")
    counts = {"image": 0, "audio": 0}
    for item in media:
        item.index = counts[item.modality]
        counts[item.modality] += 1
    header_id = header_text(headers, EVENT_ID) if headers else None
    event_id = header_id or fields.id or envelope.event_id or position_id(record)
    if len(event_id) > ID_CHARS:
        raise RecordError("invalid", "invalid_event", "the id is over 256 characters")
    return Event(
        event_id,
        text,
        media,
        _time(record, fields.time or envelope.time),
        fields.source or envelope.source,
        fields.lang,
        fields.author,
        fields.thread,
        fields.tenant,
        fields.reach,
        fields.topics,
        traceparent_of(headers, envelope) if headers or envelope is not NONE else None,
    )


def _time(record: Record, given: str | None) -> float | None:
    if given:
        try:
            return parse_time(given)
        except ValueError as error:
            raise RecordError("invalid", "invalid_event", "time is not RFC 3339") from error
    return record.timestamp / 1000 if record.timestamp >= 0 else None
