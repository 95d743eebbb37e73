"""A range of the input on its way through the scoring again: every record gets a score or a dead letter."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Final

from service.assembly import open_scoring
from service.cli.console import progress
from service.config import Settings
from service.deadletter import dead_letter
from service.kafka.admin import Facts
from service.kafka.reader import Reader
from service.kafka.sink import Sink
from service.record import Outgoing, Partition, Record
from service.score import Scored
from service.scoring import Failed

CHUNK: Final = 500


def replayed(settings: Settings, facts: Facts, readers: Sequence[Reader]) -> dict[str, int]:
    """Score and publish what the readers give; how many were scored, dead_lettered, rejected."""
    # What is replayed is old by design: an age limit is for the stream.
    limits = settings.limits.model_copy(update={"event_age": None})
    settings = settings.model_copy(update={"limits": limits})
    counts = {"scored": 0, "dead_lettered": 0, "rejected": 0}
    sink = Sink(settings.kafka)
    total = sum(reader.total for reader in readers)
    try:
        with (
            open_scoring(settings, fits=facts.output_max_bytes) as scoring,
            progress("Replaying", total) as advance,
        ):
            pending: deque[Record] = deque()
            results = scoring.score(_noted(chain.from_iterable(readers), pending))
            outgoing = (_outgoing(settings, facts, pending.popleft(), result) for result in results)
            while chunk := list(islice(outgoing, CHUNK)):
                refused = {rejected.index for rejected in sink.publish([record for _, record in chunk])}
                for place, (what, _) in enumerate(chunk):
                    counts["rejected" if place in refused else what] += 1
                advance(len(chunk))
    finally:
        sink.close()
    return counts


def _noted(records: Iterable[Record], pending: deque[Record]) -> Iterator[Record]:
    """The records, each remembered until its result comes: results come in the same order."""
    for record in records:
        pending.append(record)
        yield record


def _outgoing(
    settings: Settings, facts: Facts, record: Record, result: Scored | Failed
) -> tuple[str, Outgoing]:
    origin = Partition(record.topic, record.partition)
    if not isinstance(result, Failed):
        topic = settings.output.topic
        return "scored", Outgoing(topic, result.key, result.value, result.headers, origin, 0)
    letter = dead_letter(
        record,
        result.error,
        event_id=result.event_id,
        group=settings.kafka.group,
        mode=settings.deadletter.mode,
        fits=facts.deadletter_max_bytes,
    )
    topic = settings.deadletter.topic
    return "dead_lettered", Outgoing(topic, letter.key, letter.value, letter.headers, origin, 0)
