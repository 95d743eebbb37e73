"""From a record to what a model scores: one report for each item, and never an exception for bad input."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final, Literal

from engines.batch import Example, Int32
from engines.preprocess.text import TextEncoder
from service.config import Limits
from service.errors import RecordError
from service.event import Event, Media
from service.intake.forms import parse
from service.intake.identity import identify
from service.intake.pool import DecodePool
from service.intake.process import DecodedMedia
from service.record import Record

Status = Literal["scored", "truncated", "failed", "absent"]


@dataclass(frozen=True, slots=True)
class InputReport:
    """What became of one item; an absent modality has one entry of nulls.

    `sha256` and `size` (bytes) are of the raw bytes, where there were any: media as it came, text as UTF-8.
    """

    modality: Literal["text", "image", "audio"]
    index: int | None
    status: Status
    reason: str | None = None
    sha256: str | None = None
    size: int | None = None


_ABSENT: Final = {name: InputReport(name, None, "absent") for name in ("text", "image", "audio")}


@dataclass(frozen=True, slots=True)
class Prepared:
    """A record, ready to score or not: `failure` is set exactly where `example` is None.

    `drop`: the failure is `expired` and the configuration wants no dead letter for it, only a count.
    """

    event: Event | None
    event_id: str
    inputs: list[InputReport]
    example: Example | None
    failure: RecordError | None
    drop: bool = False


@dataclass(slots=True)
class Pending:
    """A record whose media is still being decoded; `items` in the order of the event's media."""

    event_id: str
    event: Event | None = None
    failure: RecordError | None = None
    drop: bool = False
    text: tuple[Int32, ...] | None = None
    inputs: list[InputReport] = field(default_factory=list)
    items: list[Future[DecodedMedia] | None] = field(default_factory=list)


class Intake:
    """Parses, checks and prepares. `begin` hands media to the pool, `finish` waits for it."""

    def __init__(
        self,
        encoder: TextEncoder,
        pool: DecodePool,
        limits: Limits,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._encoder, self._pool, self._limits, self._clock = encoder, pool, limits, clock

    def begin(self, record: Record) -> Pending:
        """Everything that needs no waiting."""
        try:
            event = parse(record, self._limits)
            drop = self._too_old(event)
        except RecordError as error:
            return Pending(identify(record, self._limits), failure=error)
        if drop is not None:
            stale = RecordError("expired", "too_old", f"over {self._limits.event_age:g} s old")
            return Pending(event.id, event, stale, drop)
        pending = Pending(event.id, event)
        if event.text is not None:
            self._encode(event.text, pending)
        pending.items = [self._pool.submit(media) if media.fault is None else None for media in event.media]
        return pending

    def finish(self, pending: Pending) -> Prepared:
        """Wait for the media, and put it all together."""
        event = pending.event
        if event is None or pending.failure is not None:
            return Prepared(event, pending.event_id, [], None, pending.failure, pending.drop)
        example, inputs, failure = Example(text=pending.text), list(pending.inputs), None
        for media, item in zip(event.media, pending.items, strict=True):
            try:
                decoded = _result(media, item)
                rows = example.images if media.modality == "image" else example.audio
                rows.extend(decoded.rows)  # type: ignore[arg-type]
                inputs.append(_report(media, "truncated" if decoded.truncated else "scored"))
            except RecordError as error:
                failure = failure or error
                inputs.append(_report(media, "failed", error.reason))
        inputs = _complete(inputs)
        if not example.presence:
            assert failure is not None, "Nothing to score, and nothing failed. This is a bug."
            return Prepared(event, event.id, inputs, None, failure)
        return Prepared(event, event.id, inputs, example, None)

    def _encode(self, text: str, pending: Pending) -> None:
        limit, raw = self._limits.text_chars, text.encode()
        encoded = self._encoder.encode(text[:limit])
        pending.text = encoded.channels
        status: Status = "truncated" if encoded.truncated or len(text) > limit else "scored"
        pending.inputs.append(InputReport("text", 0, status, None, hashlib.sha256(raw).hexdigest(), len(raw)))

    def _too_old(self, event: Event) -> bool | None:
        """None: score it; else whether to drop it rather than to write a dead letter."""
        age, action = self._limits.event_age, self._limits.event_age_action
        if age is None or action == "score" or event.time is None:
            return None
        return action == "drop" if self._clock() - event.time > age else None


def _result(media: Media, item: Future[DecodedMedia] | None) -> DecodedMedia:
    if item is None:
        assert media.fault is not None, "Neither decoded nor at fault. This is a bug."
        raise media.fault
    return item.result()


def _report(media: Media, status: Status, reason: str | None = None) -> InputReport:
    if media.data is None:
        return InputReport(media.modality, media.index, status, reason)
    digest = hashlib.sha256(media.data).hexdigest()
    return InputReport(media.modality, media.index, status, reason, digest, len(media.data))


def _complete(inputs: list[InputReport]) -> list[InputReport]:
    """In the order text, image, audio, with an entry for each modality."""
    return [
        entry
        for name, absent in _ABSENT.items()
        for entry in ([item for item in inputs if item.modality == name] or [absent])
    ]
