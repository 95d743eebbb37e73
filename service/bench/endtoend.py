"""The daemon on a prepared backlog, and the naive loop on the same one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

import yaml

from service.bench import naive
from service.bench.child import Child
from service.bench.cpu import Meter, machine_seconds, tree_seconds
from service.bench.ground import Ground, Topics, cycle_of
from service.bench.report import EndToEnd
from service.config import Settings
from service.errors import InternalError

LOOK_SECONDS: Final = 0.5
SILENT_SECONDS: Final = 90.0
"""Without a new score for so long, something is broken."""
SETTLED: Final = 0.1
"""The share of events at the start that does not count."""


class Mark(NamedTuple):
    """A cycle's end: when its last score was appended (epoch seconds), and how many came with it."""

    end: float
    events: int


def drain(
    ground: Ground, topics: Topics, events: int, broker_seconds: Callable[[], float], folder: Path
) -> EndToEnd:
    """Let `tidegate run` score the backlog; InternalError where an event has no score in the end."""
    with daemon(ground.settings(topics, f"{topics.name}.daemon"), folder) as child:
        clocks = (lambda: tree_seconds(child.pid), broker_seconds, machine_seconds, time.process_time)
        with Meter(clocks) as meter:
            _await(ground, topics, child, events)
        code = child.stop()
        if code != 0:
            raise InternalError(f"the daemon ended with code {code}", why=child.tail())
    marks = cycles((r.timestamp / 1e3, cycle_of(r.value)) for r in ground.read(topics.output))
    start, end, counted = window(marks)
    own, broker, all_of_it, ours = meter.between(start, end)
    return EndToEnd(
        events=counted,
        seconds=end - start,
        events_per_second=counted / (end - start),
        cpu_seconds=own / counted,
        broker_cpu_seconds=broker / counted,
        cycle_records=events / len(marks),
        others_busy=max(0.0, all_of_it - own - broker - ours) / (end - start),
    )


def daemon(settings: Settings, folder: Path) -> Child:
    """`tidegate run` with default settings but for topics, group, bundle and a free HTTP port."""
    tree = {
        "kafka": {"bootstrap_servers": settings.kafka.bootstrap_servers, "group": settings.kafka.group},
        "input": {"topics": settings.input.topics},
        "output": {"topic": settings.output.topic},
        "deadletter": {"topic": settings.deadletter.topic},
        "bundle": settings.bundle,
        "http": {"port": 0},
        "log": {"format": "human"},
    }
    file = folder / f"{settings.kafka.group}.yaml"
    file.write_text(yaml.safe_dump(tree), encoding="utf-8")
    return Child("daemon", "service.cli.main", ["run", "-c", str(file)], folder)


def loop(kind: str, settings: Settings, folder: Path) -> Child:
    """The `naive` or `bare` loop on these topics."""
    source = settings.input.topics[0]
    arguments = [kind, settings.kafka.bootstrap_servers[0], source, settings.output.topic, settings.bundle]
    return Child(f"{kind} loop", naive.MODULE, arguments, folder)


def naive_rate(
    ground: Ground, topics: Topics, target: str, events: int, seconds: float, folder: Path
) -> float:
    """Events per second of the naive loop on the daemon's backlog, after `seconds` or all events."""
    settings = ground.settings(topics, "naive")
    settings = settings.model_copy(update={"output": settings.output.model_copy(update={"topic": target})})
    with loop("naive", settings, folder) as child, closing(ground.counter([target])) as counter:
        began: float | None = None
        waiting = time.monotonic()
        while (done := counter.count()[0]) < events:
            child.check()
            if done and began is None:
                began = time.monotonic()
            if began is not None and time.monotonic() - began > seconds:
                break
            if began is None and time.monotonic() - waiting > SILENT_SECONDS:
                raise InternalError("the naive loop scores nothing", why=child.tail())
            time.sleep(LOOK_SECONDS)
    stamps = sorted(record.timestamp / 1e3 for record in ground.read(target))
    first = int(len(stamps) * SETTLED)
    if len(stamps) - first < 2 or stamps[-1] == stamps[first]:
        raise InternalError("the naive loop scored too few events", why=f"{len(stamps)} in {seconds:.0f} s")
    return float((len(stamps) - 1 - first) / (stamps[-1] - stamps[first]))


def cycles(scores: Iterable[tuple[float, tuple[float, ...]]]) -> list[Mark]:
    """The cycles in the order they ended, from each score's stamp (epoch seconds) and its cycle's mark."""
    ends: dict[tuple[float, ...], Mark] = {}
    for stamp, mark in scores:
        known = ends.get(mark, Mark(stamp, 0))
        ends[mark] = Mark(max(known.end, stamp), known.events + 1)
    return sorted(ends.values())


def window(marks: list[Mark]) -> tuple[float, float, int]:
    """(start, end, events in between): from the end of the cycle that completes the first tenth, to the last.

    Whole cycles only: their scores come in bursts, and part of a burst says nothing about a rate.
    InternalError where fewer than two cycles remain.
    """
    wanted = SETTLED * sum(mark.events for mark in marks)
    seen = 0
    for k, mark in enumerate(marks):
        seen += mark.events
        if seen >= wanted:
            rest = marks[k + 1 :]
            if not rest or rest[-1].end <= mark.end:
                break
            return mark.end, rest[-1].end, sum(each.events for each in rest)
    raise InternalError(
        "too few events to see a steady state",
        why=f"{len(marks)} cycles",
        remedy="Ask for more with --events",
    )


def _await(ground: Ground, topics: Topics, child: Child, events: int) -> None:
    """Return once every event has its score."""
    last, since = -1, time.monotonic()
    with closing(ground.counter([topics.output, topics.deadletter])) as counter:
        while last < events:
            time.sleep(LOOK_SECONDS)
            child.check()
            scores, letters = counter.count()
            if letters:
                raise InternalError(f"{letters} events of the bench became dead letters", why=child.tail())
            if scores > last:
                last, since = scores, time.monotonic()
            elif time.monotonic() - since > SILENT_SECONDS:
                raise InternalError(f"only {scores} of {events} events have a score", why=child.tail())
