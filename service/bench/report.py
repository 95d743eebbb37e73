"""What a bench found out, and the arithmetic that turns it into one figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from service.bench.load import Kind

SCHEMA: Final = "tidegate.bench/1"
CPU: Final = "cpu"


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage alone, with the whole machine to itself; CPU seconds are per event."""

    name: str
    events: int
    events_per_second: float
    cpu_seconds: float
    """Of our processes."""
    broker_cpu_seconds: float

    @property
    def total_cpu_seconds(self) -> float:
        """Ours and the broker's."""
        return self.cpu_seconds + self.broker_cpu_seconds


@dataclass(frozen=True, slots=True)
class Bound:
    """What this machine could do at best, and why not more: a stage's name, or `cpu`."""

    events_per_second: float
    limited_by: str

    @classmethod
    def of(cls, stages: Sequence[Stage], cores: int) -> Bound:
        """The smaller of the lowest ceiling and cores ÷ Σ CPU seconds per event."""
        slowest = min(stages, key=lambda stage: stage.events_per_second)
        spent = sum(stage.total_cpu_seconds for stage in stages)
        if spent > 0 and cores / spent < slowest.events_per_second:
            return cls(cores / spent, CPU)
        return cls(slowest.events_per_second, slowest.name)


@dataclass(frozen=True, slots=True)
class EndToEnd:
    """The daemon on a backlog, in its steady state; CPU seconds are per event."""

    events: int
    seconds: float
    events_per_second: float
    cpu_seconds: float
    broker_cpu_seconds: float
    cycle_records: float
    """Events in a cycle, on average."""
    others_busy: float = 0.0
    """How many cores everything else on this machine kept busy meanwhile."""

    @property
    def cores_busy(self) -> float:
        """How many cores the daemon and the broker kept busy."""
        return (self.cpu_seconds + self.broker_cpu_seconds) * self.events_per_second


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from when an event was due to when its score was seen."""

    events: int
    p50: float
    p90: float
    p99: float
    max: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Latency:
        """Percentiles of these waits."""
        found = np.percentile(np.asarray(seconds) * 1e3, [50, 90, 99, 100])
        return cls(len(seconds), *(round(float(value), 2) for value in found))


@dataclass(frozen=True, slots=True)
class Idle:
    """An idle stream, scored by the daemon and by the bare loop in turn."""

    rate: float
    """Events per second to each."""
    daemon: Latency
    bare: Latency


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it was measured."""

    cores: int
    cpu: str
    load: float
    """Of others: the load average before the bench began."""


@dataclass(frozen=True, slots=True)
class Report:
    """One kind of events."""

    kind: Kind
    machine: Machine
    engine: dict[str, str]
    stages: tuple[Stage, ...]
    end_to_end: EndToEnd
    naive_events_per_second: float
    idle: Idle | None = None

    @property
    def bound(self) -> Bound:
        """What the machine could do."""
        return Bound.of(self.stages, self.machine.cores)

    @property
    def of_bound(self) -> float:
        """The figure: end to end ÷ the machine's bound."""
        return self.end_to_end.events_per_second / self.bound.events_per_second

    @property
    def to_naive(self) -> float:
        """How many times faster than the loop that people write first."""
        return self.end_to_end.events_per_second / self.naive_events_per_second

    @property
    def cpu_shares(self) -> dict[str, float]:
        """Where the daemon's and the broker's CPU time of one event goes; `other` is in no stage alone."""
        seconds = {stage.name: stage.total_cpu_seconds for stage in self.stages}
        spent = self.end_to_end.cpu_seconds + self.end_to_end.broker_cpu_seconds
        whole = max(spent, sum(seconds.values()))
        seconds["other"] = whole - sum(seconds.values())
        return {name: value / whole if whole else 0.0 for name, value in seconds.items()}

    def document(self) -> dict[str, Any]:
        """One JSON line; rates in events per second, CPU in microseconds per event."""
        end = self.end_to_end
        return {
            "schema": SCHEMA,
            "kind": self.kind,
            "machine": asdict(self.machine),
            "engine": self.engine,
            "stages": [_stage(stage) for stage in self.stages],
            "bound": {
                "events_per_second": round(self.bound.events_per_second, 1),
                "limited_by": self.bound.limited_by,
            },
            "end_to_end": {
                "events": end.events,
                "seconds": round(end.seconds, 3),
                "events_per_second": round(end.events_per_second, 1),
                "of_bound": round(self.of_bound, 3),
                "cpu_us": _us(end.cpu_seconds),
                "broker_cpu_us": _us(end.broker_cpu_seconds),
                "cores_busy": round(end.cores_busy, 2),
                "others_busy": round(end.others_busy, 2),
                "cycle_records": round(end.cycle_records, 1),
            },
            "cpu_shares": {name: round(share, 3) for name, share in self.cpu_shares.items()},
            "naive": {
                "events_per_second": round(self.naive_events_per_second, 1),
                "ratio": round(self.to_naive, 2),
            },
            "latency_ms": None if self.idle is None else _idle(self.idle),
        }


def _stage(stage: Stage) -> dict[str, Any]:
    return {
        "stage": stage.name,
        "events": stage.events,
        "events_per_second": round(stage.events_per_second, 1),
        "cpu_us": _us(stage.cpu_seconds),
        "broker_cpu_us": _us(stage.broker_cpu_seconds),
    }


def _idle(idle: Idle) -> dict[str, Any]:
    return {
        "events_per_second": idle.rate,
        "daemon": asdict(idle.daemon),
        "bare": asdict(idle.bare),
        "p99_over_bare": round(idle.daemon.p99 - idle.bare.p99, 2),
    }


def _us(seconds: float) -> float:
    return round(seconds * 1e6, 1)
