"""One attempt to publish: hand records to a producer, then learn of each what became of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, NamedTuple

from kafka import KafkaProducer
from kafka.errors import (
    InvalidRecordError,
    InvalidTimestampError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
    UnsupportedForMessageFormatError,
)

from service.kafka import internals, odd
from service.record import Outgoing

LOOK_SECONDS = 0.2
# Answers about the record itself (or a neighbour in its batch); all others are about the cluster.
REJECTIONS = (
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    InvalidTimestampError,
    InvalidRecordError,
    PolicyViolationError,
    UnsupportedForMessageFormatError,
)
# Said of a record that lay in the client for a whole outage, too: sent anew it has a time of now.
TIMELY = (InvalidTimestampError, InvalidRecordError)


class Fate(Enum):
    """What became of one record."""

    ACKED = "acked"
    REFUSED = "refused"
    """The client refused it alone, and its neighbours are not touched."""
    REJECTED = "rejected"
    """The broker rejected its batch: it, or a neighbour, is at fault."""
    FAILED = "failed"
    """The cluster did not take it, or never said."""


class Outcome(NamedTuple):
    """The fate of one record, and its cause."""

    fate: Fate
    why: str = ""
    stale: bool = False
    """Rejected perhaps only because it was sent so long ago."""


_ACKED = Outcome(Fate.ACKED)
_UNSENT = Outcome(Fate.FAILED, "not sent")


def attempt(
    producer: KafkaProducer,
    records: Sequence[Outgoing],
    seconds: float,
    waiting: Callable[[float], bool],
    sent: Callable[[], None] = lambda: None,
) -> list[Outcome]:
    """Send all, call `sent`, wait for each at most `seconds` in all.

    `waiting` is called again and again with the seconds waited so far; true ends the wait.
    """
    started = time.monotonic()
    futures: list[Any] = []
    for record in records:
        try:
            futures.append(_send(producer, record))
        except (MessageSizeTooLargeError, ValueError, TypeError, AssertionError) as error:
            futures.append(Outcome(Fate.REFUSED, _short(error)))
        except KafkaError as error:
            # No metadata, or closed under us: the rest would wait as long, each.
            futures.append(Outcome(Fate.FAILED, _short(error)))
            break
    with internals.flushing(producer):
        sent()
        outcomes = [_outcome(future, started, seconds, waiting) for future in futures]
    return outcomes + [_UNSENT] * (len(records) - len(outcomes))


def _send(producer: KafkaProducer, record: Outgoing) -> Any:
    # What `send` refuses goes around it.
    value = odd.NULL if record.key is None and record.value is None else record.value
    headers = [
        (name if name.isascii() else odd.HeaderName(name), odd.NULL if each is None else each)
        for name, each in record.headers
    ]
    return producer.send(record.topic, value=value, key=record.key, headers=headers)


def _outcome(future: Any, started: float, seconds: float, waiting: Callable[[float], bool]) -> Outcome:
    if isinstance(future, Outcome):
        return future
    while not future.is_done:
        # Futures of a poisoned producer may never resolve, so the deadline is ours.
        waited = time.monotonic() - started
        if waiting(waited) or waited > seconds:
            return Outcome(Fate.FAILED, "no answer")
        try:
            future.get(min(LOOK_SECONDS, max(0.001, seconds - waited)))
        except KafkaTimeoutError:
            continue  # ours, or the record's own failure: then it is done
        except KafkaError:
            break
    if future.succeeded():
        return _ACKED
    error = future.exception
    fate = Fate.REJECTED if isinstance(error, REJECTIONS) else Fate.FAILED
    return Outcome(fate, _short(error), stale=isinstance(error, TIMELY))


def _short(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:300]
