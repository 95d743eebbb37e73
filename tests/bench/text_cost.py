"""What does a short post cost in `tidegate score`, beside its encoder alone in plain ONNX Runtime FP32?

Two threads on two cores, tokenising included. Bundles do everything that the verb does: parse the event,
encode, infer, calibrate, apply the policy, write the score.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import orjson

from engines.bundle import SHIPPED, Bundle
from service.assembly import open_scoring
from service.config import EngineSettings, Settings
from service.record import Stored
from service.scoring import Scoring
from tests.bench.plain_encoder import PlainEncoder, ids_of

EVENTS = 1024
ROUNDS = 5
THREADS = 2
WANTED = {"starter": 1.6, "edge": 10.0}
EVERYDAY = Path(__file__).parents[1] / "everyday"


class Cost(NamedTuple):
    """Seconds of a round: on the clock, and of all cores. A busy machine disturbs the second less."""

    wall: float
    cpu: float


def cheaper(one: Cost, two: Cost) -> Cost:
    """The better of each."""
    return Cost(min(one.wall, two.wall), min(one.cpu, two.cpu))


def main() -> None:
    two_cores()
    names = sys.argv[1:] or [name for name in WANTED if (SHIPPED / name).is_dir()]
    base, posts = Bundle.load(names[0]), everyday(EVENTS)
    plain = {
        f"the encoder alone, {how}": PlainEncoder(base, THREADS, side_by_side)
        for how, side_by_side in ((f"{THREADS} threads", False), ("side by side", True))
    }
    with ExitStack() as stack:
        ways = {name: lambda way=way: way.run(posts) for name, way in plain.items()}
        for name in names:
            settings = Settings(bundle=name, engine=EngineSettings(threads=THREADS))
            scoring = stack.enter_context(open_scoring(settings))
            info = scoring.engine.info
            ways[f"{name}, {info.engine} {info.precision}"] = lambda own=scoring: score(own, posts)
        best = race(ways)
    tokens = sum(len(row) for part in ids_of(base)(posts) for row in part) / EVENTS
    print(
        f"{EVENTS} posts of {tokens:.0f} tokens on {THREADS} threads, against {base.name}'s encoder in FP32"
    )
    tell(best, cheaper(*(best[name] for name in plain)), names)


def race(ways: Mapping[str, Callable[[], object]]) -> dict[str, Cost]:
    """The cheapest of some rounds of each way, in turn."""
    best = {name: Cost(float("inf"), float("inf")) for name in ways}
    for way in ways.values():
        way()
    for _ in range(ROUNDS):
        for name, way in ways.items():
            wall, cpu = time.perf_counter(), time.process_time()
            way()
            found = Cost(time.perf_counter() - wall, time.process_time() - cpu)
            best[name] = cheaper(best[name], found)
    return best


def everyday(count: int) -> list[str]:
    """So many of the everyday posts, both languages mixed."""
    lines = [line for lang in ("en", "zh") for line in _lines(EVERYDAY / f"{lang}.tsv")]
    return random.Random(0).choices(lines, k=count)


def score(scoring: Scoring, posts: Sequence[str]) -> int:
    """What `tidegate score` does with the posts; gives the bytes it would write."""
    records = (
        Stored("bench", 0, k, 0, b"%d" % k, orjson.dumps({"text": text}), ()) for k, text in enumerate(posts)
    )
    return sum(len(result.value) for result in scoring.score(records))


def tell(best: Mapping[str, Cost], base: Cost, names: Sequence[str]) -> None:
    """One line a way, with how many times better it is than the better plain way."""
    for way, cost in best.items():
        name = way.split(",")[0]
        bar = f"   wanted at least {WANTED[name]:g}x" if name in WANTED and name in names else ""
        print(
            f"  {way:<36} {EVENTS / cost.wall:9,.0f} posts/s {base.wall / cost.wall:6.2f}x   "
            f"{cost.cpu / EVENTS * 1e6:7,.0f} µs of CPU a post {base.cpu / cost.cpu:6.2f}x{bar}"
        )


def two_cores() -> None:
    """Keep this process to as many cores as threads, where the system can: a pool may not spread out."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])
    os.environ["RAYON_NUM_THREADS"] = str(THREADS)  # the tokenizer's


def _lines(path: Path) -> list[str]:
    return [line.split("\t")[2] for line in path.read_text("utf-8").splitlines()[1:]]


if __name__ == "__main__":
    main()
