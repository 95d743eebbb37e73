"""Each stage of the daemon alone, with the whole machine to itself: its ceiling and its CPU per event."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import cycle
from typing import Final, NamedTuple, TypeVar

from engines.batch import Batch, Outputs
from service.bench.report import Stage
from service.config import Settings
from service.errors import InternalError
from service.intake.intake import Prepared
from service.kafka.checkpoint import Checkpoint
from service.kafka.sink import Sink
from service.kafka.source import Silent, Source
from service.record import Outgoing, Partition, Record, record_bytes
from service.score import Timings
from service.scoring import Preparation, Scoring

PROBE: Final = 64
JOIN_SECONDS: Final = 60.0
TIMINGS: Final = Timings(1.25, 2.5, 100.5, 104.25)

Clock = Callable[[], float]
T = TypeVar("T")


class Clocks(NamedTuple):
    """CPU seconds so far."""

    own: Clock
    """This process and its decode workers."""
    broker: Clock
    """The broker."""


class Stages:
    """The four stages under one configuration, each measured for about `seconds`."""

    def __init__(self, settings: Settings, scoring: Scoring, clocks: Clocks, seconds: float) -> None:
        self._settings, self._scoring = settings, scoring
        self._clocks, self._seconds = clocks, seconds

    def consume(self, events: int, keep: int) -> tuple[Stage, list[Record]]:
        """Poll a backlog of so many events, twice; the first `keep` records come back."""
        self._drain(events, keep, ".warm")
        return self._drain(events, keep, "")

    def prepare(self, cycles: Sequence[Sequence[Record]]) -> tuple[Stage, list[list[Prepared]]]:
        """Parse, tokenise, decode: one cycle's media while the next is parsed, as in the daemon."""
        found = [self._finish(self._scoring.prepare(records)) for records in cycles]  # warms the workers too
        with self._measured("prepare") as timer:
            ahead = self._scoring.prepare(cycles[-1])
            for records in timer.repeat(cycles, len):
                following = self._scoring.prepare(records)
                self._finish(ahead)
                ahead = following
        self._finish(ahead)
        return timer.stage(kafka=False), found

    def infer(self, prepared: Sequence[Sequence[Prepared]]) -> tuple[Stage, list[Outputs]]:
        """The engine, on prepared examples."""
        cycles = [[p.example for p in each if p.example is not None] for each in prepared]
        outputs = [self._scoring.engine.infer(Batch.of(examples)) for examples in cycles]
        with self._measured("infer") as timer:
            for examples in timer.repeat(cycles, len):
                self._scoring.engine.infer(Batch.of(examples))
        return timer.stage(kafka=False), outputs

    def publish(
        self,
        cycles: Sequence[Sequence[Record]],
        prepared: Sequence[Sequence[Prepared]],
        outputs: Sequence[Outputs],
    ) -> Stage:
        """Decide and serialise, and publish until acknowledged."""
        work = list(zip(cycles, prepared, outputs, strict=True))
        with closing(Sink(self._settings.kafka)) as sink:
            for each in work:
                sink.publish(self._scores(*each))
            with self._measured("publish") as timer:
                for records, rows, answers in timer.repeat(work, lambda item: len(item[0])):
                    sink.publish(self._scores(records, rows, answers))
        return timer.stage(kafka=True)

    def cycles(self, records: Sequence[Record]) -> list[Sequence[Record]]:
        """The records in cycles of the size that the daemon would cut: by records, bytes and seconds."""
        pace = self._pace(records[:PROBE])
        limits = self._settings.limits
        each = sum(map(record_bytes, records)) / len(records)
        size = max(1, int(min(limits.cycle_records, limits.cycle_bytes / each, limits.cycle_seconds * pace)))
        return [records[start : start + size] for start in range(0, len(records), size)]

    def _drain(self, events: int, keep: int, suffix: str) -> tuple[Stage, list[Record]]:
        kafka = self._settings.kafka
        kafka = kafka.model_copy(update={"group": kafka.group + suffix})
        kept: list[Record] = []
        with closing(Source(kafka, self._settings.input, Checkpoint(), Silent())) as source:
            source.pause()  # so that nothing is fetched ahead of the clock
            source.open()
            _join(source)
            source.resume()
            with self._measured("consume") as timer:
                while timer.events < events:
                    for run in source.poll():
                        timer.events += len(run.records)
                        kept.extend(run.records[: keep - len(kept)])
        return timer.stage(kafka=True), kept

    def _pace(self, records: Sequence[Record]) -> float:
        """Events per second of the slower of prepare and infer, roughly."""
        examples = []
        for _ in range(2):  # the second time counts
            began = time.perf_counter()
            prepared = self._finish(self._scoring.prepare(records))
            ready = time.perf_counter()
            examples = [p.example for p in prepared if p.example is not None]
            self._scoring.engine.infer(Batch.of(examples))
            slower = max(ready - began, time.perf_counter() - ready)
        return len(records) / slower

    def _finish(self, preparation: Preparation) -> list[Prepared]:
        prepared = [self._scoring.intake.finish(pending) for pending in preparation.pendings]
        for each in prepared:
            if each.failure is not None:
                raise InternalError("an event of the bench cannot be scored", why=str(each.failure))
        return prepared

    def _scores(
        self, records: Sequence[Record], prepared: Sequence[Prepared], outputs: Outputs
    ) -> list[Outgoing]:
        topic, encode = self._settings.output.topic, self._scoring.scorer.encode
        made = []
        for row, record in enumerate(records):
            score = encode(record, prepared[row], outputs, row, TIMINGS)
            origin = Partition(record.topic, record.partition)
            made.append(Outgoing(topic, score.key, score.value, score.headers, origin, 0))
        return made

    @contextmanager
    def _measured(self, name: str) -> Iterator[Timer]:
        gc.collect()
        timer = Timer(name, self._clocks, self._seconds)
        timer.start()
        yield timer
        timer.stop()


class Timer:
    """Wall and CPU clocks around one stage, read at its start and end only."""

    def __init__(self, name: str, clocks: Clocks, seconds: float) -> None:
        self._name, self._clocks, self._seconds = name, (time.perf_counter, *clocks), seconds
        self._begun: list[float] = []
        self._spent: list[float] = []
        self.events = 0

    def start(self) -> None:
        """Read the clocks."""
        self._begun = [clock() for clock in self._clocks]

    def stop(self) -> None:
        """Read them again."""
        self._spent = [clock() - begun for clock, begun in zip(self._clocks, self._begun, strict=True)]

    def repeat(self, items: Sequence[T], size: Callable[[T], int]) -> Iterator[T]:
        """The items round and round until the stage's seconds are over; each counts as `size` events."""
        end = time.perf_counter() + self._seconds
        for item in cycle(items):
            if time.perf_counter() >= end:
                return
            yield item
            self.events += size(item)

    def stage(self, *, kafka: bool) -> Stage:
        """What was found; without `kafka` the broker was idle, and its seconds are nobody's."""
        wall, own, broker = self._spent
        broker = broker / self.events if kafka else 0.0
        return Stage(self._name, self.events, self.events / wall, own / self.events, broker)


def _join(source: Source) -> None:
    deadline = time.monotonic() + JOIN_SECONDS
    while source.reason is not None:
        if time.monotonic() > deadline:
            raise InternalError("the bench's consumer gets no partitions", why=str(source.reason))
        source.poll(0.2)
