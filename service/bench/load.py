"""The events that the bench sends: seeded, several hundred distinct ones of each kind."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from functools import cache
from itertools import cycle, islice
from typing import Final, Literal, NamedTuple

import numpy as np

from service.bench import media
from service.bench.words import CHINESE, ENDINGS, ENGLISH

Kind = Literal["text", "image", "audio", "mix"]
KINDS: Final[tuple[Kind, ...]] = ("text", "image", "audio", "mix")
DISTINCT: Final = {"text": 2000, "image": 160, "audio": 120, "mix": 1600}
POOL: Final = 80
"""Distinct pictures and sounds that the events of a mix share."""
MIX: Final = (
    (0.80, ("text",)),
    (0.10, ("text", "image")),
    (0.04, ("text", "audio")),
    (0.03, ("image",)),
    (0.02, ("audio",)),
    (0.01, ("text", "image", "audio")),
)
"""Shares of a mix, and what such events hold."""

Random = np.random.Generator


class Made(NamedTuple):
    """An event without a key: its value and headers."""

    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


class Sent(NamedTuple):
    """An event as it goes to Kafka; the key is unique."""

    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


def stream(kind: Kind, count: int, first: int = 0) -> Iterator[Sent]:
    """`count` events from number `first` on; the distinct ones come round again."""
    events = distinct(kind)
    start = first % len(events)
    ordered = islice(cycle(events), start, start + count)
    for number, event in enumerate(ordered, first):
        yield Sent(b"%s-%d" % (kind.encode(), number), event.value, event.headers)


@cache
def distinct(kind: Kind) -> tuple[Made, ...]:
    """The distinct events of a kind, always the same."""
    random = np.random.default_rng((2026, KINDS.index(kind)))
    return tuple(_MAKERS[kind](random) for _ in range(DISTINCT[kind]))


def post(random: Random) -> tuple[str, str]:
    """(text, language): mostly a sentence or two, now and then a long one."""
    chinese = random.random() < 0.35
    fragments = CHINESE if chinese else ENGLISH
    count = min(24, 1 + int(random.lognormal(0.5, 0.8)))
    chosen = [fragments[k] for k in random.integers(0, len(fragments), count)]
    text = ("，" if chinese else ", ").join(chosen) + ENDINGS[random.integers(len(ENDINGS))]
    return text, "zh" if chinese else "en"


def _text(random: Random) -> Made:
    return Made(_document(random, ("text",)))


def _image(random: Random) -> Made:
    data = media.jpeg(random)
    return _alone(random, data, "image/jpeg")


def _audio(random: Random) -> Made:
    return _alone(random, *media.sound(random))


def _mix(random: Random) -> Made:
    shares = [share for share, _ in MIX]
    return Made(_document(random, MIX[random.choice(len(MIX), p=shares)][1]))


_MAKERS: Final[dict[Kind, Callable[[Random], Made]]] = {
    "text": _text, "image": _image, "audio": _audio, "mix": _mix,
}  # fmt: skip


def _alone(random: Random, data: bytes, media_type: str) -> Made:
    """Half of the media comes as JSON, half as raw bytes."""
    if random.random() < 0.5:
        return Made(data, (("content-type", media_type.encode()),))
    return Made(_dumps({media_type.partition("/")[0]: _item(data, media_type)} | _about(random)))


def _document(random: Random, holds: tuple[str, ...]) -> bytes:
    event: dict[str, object] = _about(random)
    if "text" in holds:
        event["text"], event["lang"] = post(random)
    if "image" in holds:
        event["image"] = _item(_pictures()[random.integers(POOL)], "image/jpeg")
    if "audio" in holds:
        event["audio"] = _item(*_sounds()[random.integers(POOL)])
    return _dumps(event)


def _about(random: Random) -> dict[str, object]:
    author = f"user-{random.integers(10_000)}"
    return {"source": "bench", "author": author, "reach": int(random.pareto(1.2) * 20)}


@cache
def _pictures() -> tuple[bytes, ...]:
    random = np.random.default_rng(7)
    return tuple(media.jpeg(random) for _ in range(POOL))


@cache
def _sounds() -> tuple[tuple[bytes, str], ...]:
    random = np.random.default_rng(8)
    return tuple(media.sound(random) for _ in range(POOL))


def _item(data: bytes, media_type: str) -> dict[str, str]:
    return {"bytes": b64encode(data).decode("ascii"), "media_type": media_type}


def _dumps(document: object) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()
