"""How long may a stage in Python keep the engine waiting? Inference beside a thread that serialises."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

from engines.batch import Batch
from service import collector
from service.assembly import open_scoring
from service.bench.load import stream
from service.bench.stages import TIMINGS
from service.config import Settings
from service.pipeline import SWITCH_SECONDS
from service.record import Stored
from tests.bench.race import BUNDLE

EVENTS = 2048
SECONDS = 1.5
ROUNDS = 4
PYTHONS_OWN = 0.005


def main() -> None:
    events = stream("text", EVENTS)
    records = [Stored("bench", 0, k, 0, e.key, e.value, e.headers) for k, e in enumerate(events)]
    with open_scoring(Settings(bundle=BUNDLE)) as scoring:
        prepared = [scoring.intake.finish(pending) for pending in scoring.prepare(records).pendings]
        batch = Batch.of([each.example for each in prepared if each.example])
        outputs = scoring.engine.infer(batch)
        collector.pace()

        def serialise() -> None:
            for row, record in enumerate(records):
                scoring.scorer.encode(record, prepared[row], outputs, row, TIMINGS)

        found: dict[float, list[tuple[float, float]]] = {PYTHONS_OWN: [], SWITCH_SECONDS: []}
        for _ in range(ROUNDS):
            for interval, rates in found.items():
                sys.setswitchinterval(interval)
                rates.append(beside(lambda: scoring.engine.infer(batch), serialise))
    print("inference beside a thread that serialises scores, best of each")
    for interval, rates in found.items():
        infer, other = max(rates)
        base = max(found[PYTHONS_OWN])[0]
        print(
            f"  {interval * 1e3:g} ms  inferred {infer:8,.0f} events/s  {infer / base:5.2f}x   "
            f"serialised {other:8,.0f} events/s"
        )


def beside(first: Callable[[], object], second: Callable[[], object]) -> tuple[float, float]:
    """Events per second of two functions that each handle `EVENTS`, side by side."""
    done = threading.Event()
    rounds = [0, 0]

    def repeat(which: int, work: Callable[[], object]) -> None:
        while not done.is_set():
            work()
            rounds[which] += 1

    threads = [threading.Thread(target=repeat, args=pair) for pair in enumerate((first, second))]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    time.sleep(SECONDS)
    done.set()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    return rounds[0] * EVENTS / seconds, rounds[1] * EVENTS / seconds


if __name__ == "__main__":
    main()
