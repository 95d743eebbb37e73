"""Dead letters on their way back to the topics they came from: each event once, from its newest letter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final, Literal, NamedTuple

from service.cli.console import progress
from service.cli.letters import Filter, letter_of, letters
from service.config import Kafka, Settings
from service.deadletter import DeadLetter, redrive
from service.errors import DataError
from service.kafka.bookmark import Bookmark, Mark
from service.kafka.reader import Reader, Stretch
from service.kafka.sink import Sink
from service.record import Outgoing, Partition, Record

CHUNK: Final = 200


class Place(NamedTuple):
    """Where a letter lies in the dead-letter topic."""

    partition: int
    offset: int


class Redriven(NamedTuple):
    """What became of one event; `letters` is how many it has that were open, `why` is for a failure."""

    letter: DeadLetter
    state: Literal["redriven", "would be redriven", "failed"]
    letters: int
    why: str = ""


@dataclass(slots=True)
class Plan:
    """The letters that were never redriven, by event, as they were when we looked."""

    stops: dict[int, int] = field(default_factory=dict)
    """Where the look ended, by partition."""
    unsent: dict[int, set[int]] = field(default_factory=dict)
    newest: dict[Place, list[Place]] = field(default_factory=dict)
    """An event's newest letter, and all that it stands for (itself among them)."""
    before: int = 0
    """Matching letters that were redriven before."""

    def close(self, sent: Iterable[Place]) -> dict[int, Mark]:
        """Note that these went out, and with each what it stands for; the marks of all partitions."""
        for place in sent:
            for each in self.newest[place]:
                self.unsent[each.partition].discard(each.offset)
        return {each: Mark(stop, frozenset(self.unsent[each])) for each, stop in self.stops.items()}


class Redrive:
    """One round: iterate to send. `plan.before` says afterwards what an earlier round had sent."""

    def __init__(self, settings: Settings, which: Filter, *, dry_run: bool, everything: bool) -> None:
        """`everything` sends again what was redriven before."""
        self._settings, self._which, self._dry_run, self._everything = settings, which, dry_run, everything
        self.plan = Plan()

    def __iter__(self) -> Iterator[Redriven]:
        """Send those that match in chunks; each chunk is told once the brokers have and remember it."""
        with Bookmark(self._settings.kafka, self._settings.deadletter.topic) as bookmark:
            self.plan = self._look(bookmark)
            every = letters(self._settings, replace(self._which, limit=None))
            found = islice((one for one in every if _place(one) in self.plan.newest), self._which.limit)
            if self._dry_run:
                for letter in found:
                    yield Redriven(letter, "would be redriven", self._stands_for(letter))
                return
            yield from self._sent(bookmark, found)

    def _sent(self, bookmark: Bookmark, found: Iterator[DeadLetter]) -> Iterator[Redriven]:
        sink = Sink(self._settings.kafka)
        try:
            with progress("Redriving", self._which.limit) as advance:
                while chunk := list(islice(found, CHUNK)):
                    results = self._send(sink, chunk)
                    gone = (_place(each.letter) for each in results if each.state == "redriven")
                    bookmark.write(self.plan.close(gone))
                    yield from results
                    advance(len(chunk))
        finally:
            sink.close()

    def _look(self, bookmark: Bookmark) -> Plan:
        """Every letter there is, without its content: which are open, and the newest of each event."""
        plan, events = Plan(), dict[tuple[str, str], list[tuple[int, int, Place]]]()
        with Reader(self._settings.kafka, self._settings.deadletter.topic) as reader:
            plan.stops = {each.partition: stop for each, (_, stop) in reader.ranges.items()}
            plan.unsent = {each: set() for each in plan.stops}
            marks = bookmark.read(plan.stops)
            # A mark beyond the end is of an earlier topic of that name.
            marks = {each: mark for each, mark in marks.items() if mark.stop <= plan.stops[each]}
            for record in reader:
                if (letter := letter_of(record)) is None:
                    continue
                place = _place(letter)
                if (mark := marks.get(place.partition)) is None or not mark.sent(place.offset):
                    plan.unsent[place.partition].add(place.offset)
                elif not self._everything:
                    plan.before += self._which.matches(letter)
                    continue
                event = events.setdefault((letter.topic, letter.event_id), [])
                event.append((letter.replays, record.timestamp, place))
        plan.newest = {max(event)[-1]: [place for _, _, place in event] for event in events.values()}
        return plan

    def _stands_for(self, letter: DeadLetter) -> int:
        return len(self.plan.newest[_place(letter)])

    def _send(self, sink: Sink, chunk: list[DeadLetter]) -> list[Redriven]:
        outgoing: list[Outgoing] = []
        results: list[Redriven] = []
        for letter in chunk:
            try:
                outgoing.append(_outgoing(self._settings.kafka, letter))
                results.append(Redriven(letter, "redriven", self._stands_for(letter)))
            except DataError as error:
                results.append(Redriven(letter, "failed", self._stands_for(letter), str(error)))
        sent = [place for place, result in enumerate(results) if result.state == "redriven"]
        for rejected in sink.publish(outgoing):
            place = sent[rejected.index]
            results[place] = results[place]._replace(state="failed", why=rejected.why)
        return results


def _place(letter: DeadLetter) -> Place:
    return Place(letter.record.partition, letter.record.offset)


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
