"""What does the cycle collector cost, as it comes and as the daemon paces it? Posts to scores, in memory."""

from __future__ import annotations

import gc
from collections import deque

from engines.batch import Batch
from service import collector
from service.assembly import open_scoring
from service.bench.load import stream
from service.bench.stages import TIMINGS
from service.config import Settings
from service.record import Stored
from service.scoring import Scoring
from tests.bench.race import BUNDLE, race, tell

EVENTS = 20_000
CYCLE = 2000
IN_FLIGHT = 4
"""Cycles that the daemon holds at once: being prepared, inferred, published, and polled ahead."""


def main() -> None:
    usual = gc.get_threshold()
    events = list(stream("text", EVENTS))
    with open_scoring(Settings(bundle=BUNDLE)) as scoring:

        def under(thresholds: tuple[int, ...]) -> None:
            gc.set_threshold(*thresholds)
            score(scoring, events)

        ways = {
            f"as it comes {usual}": lambda: under(usual),
            f"as paced {collector.THRESHOLDS}": lambda: under(collector.THRESHOLDS),
            "never": lambda: under((0, 0, 0)),
        }
        best = race(ways, rounds=3)
    tell(f"{EVENTS} posts, {IN_FLIGHT} cycles of {CYCLE} in flight", best, EVENTS, next(iter(best)))


def score(scoring: Scoring, events: list) -> None:
    held: deque[object] = deque(maxlen=IN_FLIGHT)
    for start in range(0, len(events), CYCLE):
        chunk = events[start : start + CYCLE]
        records = [Stored("bench", 0, start + k, 0, e.key, e.value, e.headers) for k, e in enumerate(chunk)]
        prepared = [scoring.intake.finish(pending) for pending in scoring.prepare(records).pendings]
        outputs = scoring.engine.infer(Batch.of([each.example for each in prepared if each.example]))
        scores = [scoring.scorer.encode(r, prepared[k], outputs, k, TIMINGS) for k, r in enumerate(records)]
        held.append((records, prepared, outputs, scores))


if __name__ == "__main__":
    main()
