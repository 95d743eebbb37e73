"""What does a short post cost in `tidegate score`, beside its encoder alone in plain ONNX Runtime FP32?

Two threads on two cores, tokenising included. Bundles do everything that the verb does: parse the event,
encode, infer, calibrate, apply the policy, write the score.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import orjson

from engines.bundle import SHIPPED, Bundle
from service.assembly import open_scoring
from service.config import EngineSettings, Settings
from service.record import Stored
from service.scoring import Scoring
from tests.bench.plain_encoder import PlainEncoder, ids_of
from tests.bench.race import race

EVENTS = 1024
ROUNDS = 5
THREADS = 2
WANTED = {"starter": 1.6, "edge": 10.0}
EVERYDAY = Path(__file__).parents[1] / "everyday"


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
        best = race(ways, ROUNDS)
    tokens = sum(map(len, ids_of(base)(posts))) / EVENTS
    print(
        f"{EVENTS} posts of {tokens:.0f} tokens on {THREADS} threads, against {base.name}'s encoder in FP32"
    )
    tell(best, min(best[name] for name in plain), names)


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


def tell(best: dict[str, float], base: float, names: Sequence[str]) -> None:
    """One line a way: posts per second, and how many times the faster plain way's."""
    for way, seconds in best.items():
        wanted = WANTED.get(way.split(",")[0]) if way.split(",")[0] in names else None
        bar = f"   wanted at least {wanted:g}x" if wanted else ""
        print(f"  {way:<36} {EVENTS / seconds:10,.0f} posts/s   {base / seconds:6.2f}x{bar}")


def two_cores() -> None:
    """Keep this process to as many cores as threads, where the system can: a pool may not spread out."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])
    os.environ["RAYON_NUM_THREADS"] = str(THREADS)  # the tokenizer's


def _lines(path: Path) -> list[str]:
    return [line.split("\t")[2] for line in path.read_text("utf-8").splitlines()[1:]]


if __name__ == "__main__":
    main()
