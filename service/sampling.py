"""The sample events that ship with Tidegate, as records ready for Kafka in the forms of the contract."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from itertools import count
from typing import Any, Final, Literal, NamedTuple

SOURCE: Final = "tidegate/samples"
MEDIA_TYPES: Final = {
    "jpg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "gif": "image/gif",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "mp3": "audio/mpeg",
}

Form = Literal["json", "structured", "binary", "raw"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of `samples/events.jsonl`.

    `form` is how it travels: the JSON object, a CloudEvents envelope, CloudEvents headers, or no envelope at
    all. `image` and `audio` name files in `samples/media`. `body` replaces the JSON object: a text, or
    `@FILE` for raw bytes; then `content_type` says what it is. `reason` is why a broken one fails.
    """

    name: str
    form: Form = "json"
    event: Mapping[str, Any] = field(default_factory=dict)
    image: str | list[str] | None = None
    audio: str | list[str] | None = None
    body: str | None = None
    content_type: str | None = None
    reason: str | None = None

    @property
    def about(self) -> str:
        """A few words for a person."""
        text = str(self.event.get("text") or self.body or "")
        media = [name for names in (self.image, self.audio) if names for name in _listed(names)]
        return text.lstrip("@") or " + ".join(media) or self.name


class Ready(NamedTuple):
    """A record ready for Kafka; `key` is unique in a run, so scores and dead letters can be told apart."""

    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    about: str


@cache
def samples() -> tuple[Sample, ...]:
    """All samples, good and broken, in the order of the demo."""
    lines = (_folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(Sample(**json.loads(line)) for line in lines)


def stream() -> Iterator[Ready]:
    """The samples for ever, with fresh ids in each round."""
    for number in count(1):
        for sample in samples():
            yield ready(sample, f"{sample.name}-{number}")


def ready(sample: Sample, event_id: str) -> Ready:
    """One sample as a record, with this id."""
    headers: dict[str, str] = {} if sample.content_type is None else {"content-type": sample.content_type}
    match sample.form:
        case "json":
            value = _value(sample, {"id": event_id})
        case "structured":
            headers["content-type"] = "application/cloudevents+json"
            value = _dumps(_envelope(event_id) | {"data": json.loads(_value(sample, {}))})
        case "binary":
            headers = {"content-type": "application/json"} | headers
            headers |= {f"ce_{name}": text for name, text in _envelope(event_id).items()}
            value = _value(sample, {})
        case "raw":
            value = _value(sample, {})
    wire = tuple((name, text.encode()) for name, text in headers.items())
    return Ready(event_id.encode(), value, wire, sample.about)


def media(name: str) -> bytes:
    """The bytes of one media file of the samples."""
    return (_folder / "media" / name).read_bytes()


_folder: Final = files("service") / "samples"


def _value(sample: Sample, extra: Mapping[str, str]) -> bytes:
    if sample.body is not None:
        return media(sample.body[1:]) if sample.body.startswith("@") else sample.body.encode()
    fields = {"image": sample.image, "audio": sample.audio}
    items = {kind: [_item(name) for name in _listed(names)] for kind, names in fields.items() if names}
    one_or_many = {kind: each[0] if len(each) == 1 else each for kind, each in items.items()}
    return _dumps({**extra, **sample.event, **one_or_many})


def _item(name: str) -> dict[str, str]:
    kind = MEDIA_TYPES[name.rpartition(".")[2]]
    return {"bytes": b64encode(media(name)).decode(), "media_type": kind}


def _envelope(event_id: str) -> dict[str, str]:
    return {"specversion": "1.0", "id": event_id, "source": SOURCE, "type": "post.created"}


def _listed(names: str | list[str]) -> list[str]:
    return [names] if isinstance(names, str) else names


def _dumps(document: object) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()
