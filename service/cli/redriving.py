"""Dead letters on their way back to the topics they came from."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final, Literal, NamedTuple

from service.cli.console import progress
from service.cli.letters import Filter, letters
from service.config import Kafka, Settings
from service.deadletter import DeadLetter, redrive
from service.errors import DataError
from service.kafka.reader import Reader, Stretch
from service.kafka.sink import Sink
from service.record import Outgoing, Partition, Record

CHUNK: Final = 200


class Redriven(NamedTuple):
    """What became of one dead letter; `why` where it failed."""

    letter: DeadLetter
    state: Literal["redriven", "would be redriven", "failed"]
    why: str = ""


def redriven(settings: Settings, which: Filter, dry_run: bool) -> Iterator[Redriven]:
    """Send those that match in chunks; each chunk is told once the brokers have it."""
    found = letters(settings, which)
    if dry_run:
        yield from (Redriven(letter, "would be redriven") for letter in found)
        return
    sink = Sink(settings.kafka)
    try:
        with progress("Redriving", which.limit) as advance:
            while chunk := list(islice(found, CHUNK)):
                yield from _send(sink, settings.kafka, chunk)
                advance(len(chunk))
    finally:
        sink.close()


def _send(sink: Sink, kafka: Kafka, chunk: list[DeadLetter]) -> list[Redriven]:
    outgoing: list[Outgoing] = []
    results: list[Redriven] = []
    for letter in chunk:
        try:
            outgoing.append(_outgoing(kafka, letter))
            results.append(Redriven(letter, "redriven"))
        except DataError as error:
            results.append(Redriven(letter, "failed", str(error)))
    sent = [place for place, result in enumerate(results) if result.state == "redriven"]
    for rejected in sink.publish(outgoing):
        place = sent[rejected.index]
        results[place] = Redriven(chunk[place], "failed", rejected.why)
    return results


def _outgoing(kafka: Kafka, letter: DeadLetter) -> Outgoing:
    event = redrive(letter, _original(kafka, letter) if letter.mode == "reference" else None)
    return Outgoing(letter.topic, event.key, event.value, event.headers, Partition(letter.topic, 0), 0)


def _original(kafka: Kafka, letter: DeadLetter) -> Record:
    """The record that a reference points to; raises DataError where retention has removed it."""
    stretch = Stretch(partitions=[letter.partition], first=letter.offset, stop=letter.offset + 1)
    with Reader(kafka, letter.topic, stretch) as reader:
        for record in reader:
            return record
    where = f"{letter.topic}/{letter.partition}/{letter.offset}"
    raise DataError("The original is not there any more", where=where, why="retention has removed it")
