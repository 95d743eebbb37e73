"""One bench, from an empty broker to a report for each kind."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engines.engine import EngineInfo
from engines.sessions.host import cpu_name, usable_cores
from service import collector
from service.assembly import open_scoring
from service.bench.cpu import tree_seconds
from service.bench.endtoend import drain, naive_rate
from service.bench.ground import PARTITIONS, Ground, Topics
from service.bench.latency import idle
from service.bench.load import Kind, stream
from service.bench.report import Bound, Idle, Machine, Report, Stage
from service.bench.stages import Clocks, Stages
from service.kafka.admin import create_topics
from service.kafka.broker import EmbeddedBroker

Say = Callable[[str], None]

FIRST: Final = {"text": 60_000, "image": 1000, "audio": 800, "mix": 8000}
"""Events of the backlog that the stages are measured on."""
KEEP: Final = {"text": 8192, "image": 256, "audio": 256, "mix": 2048}
"""Of these, how many are held for the stages after consume."""
IDLE_RATE: Final = 20.0
DRAIN_SECONDS: Final = 15.0
"""How long the daemon's backlog should last at the machine's bound."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure, and for how long."""

    bundle: str = "starter"
    events: int | None = None
    """Events of the daemon's backlog; None: enough for about 15 seconds."""
    idle_rate: float | None = IDLE_RATE
    """Events per second of the idle stream; None: no latencies."""
    idle_seconds: float = 20.0
    stage_seconds: float = 3.0
    naive_seconds: float = 10.0


def bench(kinds: Sequence[Kind], plan: Plan, say: Say) -> Iterator[Report]:
    """A report for each kind, as soon as it is there; `say` hears what happens."""
    load = os.getloadavg()[0]
    machine = Machine(usable_cores(), cpu_name(), round(load, 2))
    if load > 0.5:
        say(f"others keep this machine busy (load {load:.1f}): the figures will be too low")
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        for kind in kinds:
            say(f"{kind}: starting a broker")
            with EmbeddedBroker() as broker:  # one for each kind: none reads from the other's memory
                yield One(kind, plan, machine, broker, Path(folder), say).report()


class One:
    """One kind of events on one broker."""

    def __init__(
        self, kind: Kind, plan: Plan, machine: Machine, broker: EmbeddedBroker, folder: Path, say: Say
    ) -> None:
        self._kind, self._plan, self._machine, self._broker = kind, plan, machine, broker
        self._folder, self._tell = folder, say
        bundle = str(Path(plan.bundle).absolute()) if "/" in plan.bundle else plan.bundle
        self._ground = Ground(broker.bootstrap, bundle)

    def report(self) -> Report:
        """Measure everything, in the order: stages, daemon, naive loop, idle stream."""
        topics = self._ground.topics(self._kind)
        first = min(self._plan.events or FIRST[self._kind], FIRST[self._kind])
        self._say(f"sending the first {first} events")
        self._ground.fill(topics.input, stream(self._kind, first))
        stages, info = self._stages(topics, first)
        events = self._fill_up(topics, first, Bound.of(stages, self._machine.cores))
        self._say(f"the daemon scores {events} events")
        end_to_end = drain(self._ground, topics, events, lambda: self._broker.cpu_seconds, self._folder)
        return Report(
            self._kind, self._machine, _engine(info), tuple(stages), end_to_end,
            self._naive(topics, events), self._idle(),
        )  # fmt: skip

    def _stages(self, topics: Topics, events: int) -> tuple[list[Stage], EngineInfo]:
        self._say("each stage alone")
        target = Topics(f"{self._kind}.alone")
        self._ground.topics(target.name)
        settings = self._ground.settings(topics, f"{self._kind}.alone")
        settings = settings.model_copy(
            update={"output": settings.output.model_copy(update={"topic": target.output})}
        )
        collector.pace()  # as in the daemon
        with open_scoring(settings) as scoring:
            clocks = Clocks(self._own_seconds, lambda: self._broker.cpu_seconds)
            alone = Stages(settings, scoring, clocks, self._plan.stage_seconds)
            consume, records = alone.consume(events, min(events, KEEP[self._kind]))
            cycles = alone.cycles(records)
            prepare, prepared = alone.prepare(cycles)
            infer, outputs = alone.infer(prepared)
            publish = alone.publish(cycles, prepared, outputs)
            return [consume, prepare, infer, publish], scoring.engine.info

    def _fill_up(self, topics: Topics, there: int, bound: Bound) -> int:
        events = self._plan.events or max(there, int(bound.events_per_second * DRAIN_SECONDS))
        if events > there:
            self._say(f"sending {events - there} more events")
            self._ground.fill(topics.input, stream(self._kind, events - there, first=there))
        return events

    def _naive(self, topics: Topics, events: int) -> float:
        self._say("the naive loop")
        target = f"{self._kind}.naive"
        stamped = {"message.timestamp.type": "LogAppendTime"}
        create_topics(self._ground.kafka, [target], partitions=PARTITIONS, configs=stamped)
        return naive_rate(self._ground, topics, target, events, self._plan.naive_seconds, self._folder)

    def _idle(self) -> Idle | None:
        rate, seconds = self._plan.idle_rate, self._plan.idle_seconds
        if rate is None:
            return None
        self._say(f"an idle stream, {seconds:.0f} s for the daemon and for the bare loop, in turn")
        return idle(self._ground, self._kind, rate, seconds, self._folder)

    def _own_seconds(self) -> float:
        """CPU seconds of this process and its decode workers: of all its children but the broker."""
        return tree_seconds(os.getpid()) - self._broker.cpu_seconds

    def _say(self, text: str) -> None:
        self._tell(f"{self._kind}: {text}")


def _engine(info: EngineInfo) -> dict[str, str]:
    names = ("bundle", "version", "digest", "engine", "precision", "backend", "why")
    return {name: str(getattr(info, name)) for name in names}
