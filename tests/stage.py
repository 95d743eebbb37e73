"""The infer stage by itself: a real `Scoring` behind it, and no Kafka in front."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client.exposition import generate_latest

from service.assembly import open_scoring
from service.buffer import Pace
from service.config import Settings
from service.cycle import Cycle
from service.failpoint import FailPoints
from service.health import Health
from service.inference import Inference
from service.kafka.checkpoint import Checkpoint
from service.metrics import Metrics
from service.record import Partition, Run, Stored
from service.score import Timings
from service.scoring import Scoring

P = Partition("in", 0)
TIMINGS = Timings(0, 0, 0, 0)


class Stage:
    """The infer stage over a real `Scoring`, one cycle of a few texts at a time."""

    def __init__(self, scoring: Scoring) -> None:
        self.ending = threading.Event()
        self.scoring, self.metrics, self.health = scoring, Metrics(), Health()
        self.health.started()
        self._checkpoint = Checkpoint()
        self._checkpoint.opened({P: 0})
        self._stage = Inference(
            scoring, self._checkpoint, Pace(), self.metrics, self.health, FailPoints(), self.ending
        )
        self._offset = 0

    def cycle(self, words: int = 1) -> Cycle:
        value = json.dumps({"text": " ".join(["hello"] * words)}).encode()
        records = [Stored("in", 0, self._offset + k, 1, None, value) for k in range(3)]
        self._offset += len(records)
        cycle = Cycle(1, [Run(P, self._checkpoint.epoch(P), records)], 100, time.monotonic())
        self._checkpoint.begin(cycle.positions)
        cycle.preparation = self.scoring.prepare(records)
        return cycle

    def answer(self, give_up: threading.Event | None = None, words: int = 1) -> Cycle:
        (part,) = self._stage.answer(self.cycle(words), give_up or threading.Event())
        return part

    def models(self, part: Cycle) -> list[str]:
        assert part.inferred is not None
        made = [self.scoring.encode(r, part.inferred, k, TIMINGS) for k, r in enumerate(part.records)]
        return [
            f"{model['engine']} {model['precision']}"
            for model in (json.loads(m.value)["model"] for m in made)
        ]

    @property
    def memory(self) -> float | None:
        """The gauge of what the engine holds on the first GPU."""
        return self.metrics.registry.get_sample_value("tidegate_engine_memory_bytes", {"device": "0"})

    @property
    def said(self) -> str:
        return generate_latest(self.metrics.registry).decode()


@contextmanager
def serving(tiny: Path, **engine: object) -> Iterator[Stage]:
    settings = Settings.model_validate(
        {
            "bundle": str(tiny),
            "engine": {"precision": "auto", "threads": 1, "uncalibrated": "warn"} | engine,
            "limits": {"decode_workers": 1},
        }
    )
    with open_scoring(settings) as scoring:
        yield Stage(scoring)


def eventually(holds: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)
