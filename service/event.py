"""What comes in: the wire form of an event as pydantic models, and the event as the daemon handles it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError

from service.errors import RecordError

ID_CHARS: Final = 256
TOPICS: Final = 16
MEDIA_ITEMS: Final = 8

_NUMBER: Final = Field(ge=0, allow_inf_nan=False)
Number = Annotated[int, Strict(), _NUMBER] | Annotated[float, Strict(), _NUMBER]
_MODEL: Final = ConfigDict(extra="ignore", strict=True, populate_by_name=False)


def _given(name: str) -> dict[str, Any]:
    """A schema's words for: there, and not null."""
    return {"required": [name], "properties": {name: {"type": "string"}}}


class MediaModel(BaseModel):
    """One image or sound: its bytes. A url in their place is not fetched: that is off for now."""

    model_config = ConfigDict(**_MODEL, json_schema_extra={"anyOf": [_given("bytes"), _given("url")]})

    data: str | None = Field(None, alias="bytes", description="base64; wins over url")
    url: str | None = Field(None, description="not fetched for now: fails as url_not_allowed")
    media_type: str | None = Field(None, description="a claim: the first bytes decide")


_Media = MediaModel | Annotated[list[MediaModel], Field(fail_fast=True, max_length=MEDIA_ITEMS)] | None


class EventModel(BaseModel):
    """One event as JSON. Unknown fields are ignored; null is the same as absent; one of text, image and audio
    must be there, with at most 8 media in all.
    """

    model_config = ConfigDict(**_MODEL, title="tidegate event", json_schema_extra={"type": "object"})

    id: Annotated[str, Field(max_length=ID_CHARS)] | None = None
    text: str | None = Field(None, description="any language")
    image: _Media = Field(None, description="JPEG, PNG, WebP, GIF (its first frames)")
    audio: _Media = Field(None, description="WAV, FLAC, Ogg, MP3")
    time: str | None = Field(
        None, description="RFC 3339; else the record's", json_schema_extra={"format": "date-time"}
    )
    source: str | None = None
    lang: str | None = None
    author: str | None = None
    thread: str | None = None
    tenant: str | None = None
    reach: Number | None = None
    topics: Annotated[list[str], Field(fail_fast=True, max_length=TOPICS)] | None = Field(
        None, description="opinion keys: brand, ticker, campaign"
    )


_MEDIA_FORM: Final = f"an object with bytes, or a list of at most {MEDIA_ITEMS}"
_FORMS: Final = {
    "id": f"a text of at most {ID_CHARS} characters",
    "image": _MEDIA_FORM,
    "audio": _MEDIA_FORM,
    "time": "a text, as in RFC 3339",
    "reach": "a number of at least 0",
    "topics": f"a list of at most {TOPICS} texts",
    "bytes": "a text in base64",
}
"""What a field must be; all others are texts."""
_FIELDS: Final = {*EventModel.model_fields, *MediaModel.model_fields, "bytes"} - {"data"}


def fault_of(error: ValidationError) -> str:
    """A fault of an event in words: its place and what belongs there, never what was there."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    places = [[part for part in each["loc"] if isinstance(part, int) or part in _FIELDS] for each in found]
    place = max(places, key=len)  # the arm of a union that fits best got furthest
    names = [part for part in place if isinstance(part, str)]
    form = _FORMS.get(names[-1], "a text") if names else "an object"
    return f"{'.'.join(map(str, place)) or 'the event'} must be {form}"


@dataclass(slots=True)
class Media:
    """One item of media. `modality` and `media_type` are what its first bytes show, else what was claimed:
    a sound in the field `image` is heard. `index` counts within the modality. `data` are the raw bytes, None
    where there are none to be had; with a `fault` it failed before any decoding.
    """

    modality: Literal["image", "audio"]
    media_type: str
    data: bytes | None
    index: int = 0
    fault: RecordError | None = None


@dataclass(slots=True)
class Event:
    """One event, whatever form it came in: text is not blank, or None; `time` in seconds since the epoch."""

    id: str
    text: str | None = None
    media: list[Media] = field(default_factory=list)
    time: float | None = None
    source: str | None = None
    lang: str | None = None
    author: str | None = None
    thread: str | None = None
    tenant: str | None = None
    reach: float | int | None = None
    topics: list[str] | None = None
    traceparent: str | None = None
