"""What do spans cost? Short posts through all of `tidegate score`, with and without, by the share flagged.

python -m tests.bench.spans [BUNDLE [SHARE…]]
"""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import islice
from pathlib import Path

import orjson

from service.assembly import open_scoring
from service.bench.load import stream
from service.config import EngineSettings, Settings
from service.record import Stored
from service.score import Scored
from service.scoring import Scoring
from tests.bench.race import BUNDLE
from tests.bench.text_cost import Cost, race

EVENTS = 512
POOL = 3000
SHARES = (0.01, 0.05, 0.2, 1.0)
EVERYDAY = Path(__file__).parents[1] / "everyday"


def main() -> None:
    shares = [float(share) for share in sys.argv[2:]] or SHARES
    with ExitStack() as stack:
        ways = {
            name: stack.enter_context(open_scoring(_settings(wanted)))
            for name, wanted in (("without spans", False), ("with spans", True))
        }
        flagged, calm = _sorted(ways["without spans"], _posts())
        told = f"{BUNDLE} flags {len(flagged)} of {len(flagged) + len(calm)} posts"
        if not flagged or not calm:
            sys.exit(f"{told}: there is nothing to mix")
        print(told)
        for share in shares:
            posts = _mixed(flagged, calm, share)
            best = race({name: partial(_score, scoring, posts) for name, scoring in ways.items()})
            print(f"{EVENTS} posts, {share:.0%} of them flagged")
            _tell(best)


def _tell(best: Mapping[str, Cost]) -> None:
    base = best["without spans"]
    for name, cost in best.items():
        print(
            f"  {name:<16} {EVENTS / cost.wall:9,.0f} events/s {base.wall / cost.wall:6.2f}x   "
            f"{cost.cpu / EVENTS * 1e6:8,.0f} µs of CPU an event {base.cpu / cost.cpu:6.2f}x"
        )


def _settings(spans: bool) -> Settings:
    # Pinned: measuring anew might choose another backend for the second engine. One thread does not spin, so
    # that the CPU time, which a busy machine disturbs least, is that of the work.
    pinned = EngineSettings(backend="onnxruntime", precision="fp32", uncalibrated="warn", threads=1)
    return Settings(bundle=BUNDLE, engine=pinned.model_copy(update={"spans": spans}))


def _posts() -> list[bytes]:
    files = [(EVERYDAY / f"{lang}.tsv").read_text("utf-8") for lang in ("en", "zh")]
    lines = [line for file in files for line in file.splitlines()[1:]]
    values = [orjson.dumps({"text": line.split("\t")[2]}) for line in lines]
    return [*values, *(event.value for event in islice(stream("text", POOL), POOL))]


def _records(values: Sequence[bytes]) -> list[Stored]:
    return [Stored("bench", 0, k, 0, b"%d" % k, value) for k, value in enumerate(values)]


def _sorted(scoring: Scoring, posts: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
    """The posts that a label's probability flags under the built-in policy, and the others."""
    kinds: tuple[list[bytes], list[bytes]] = ([], [])
    for post, made in zip(posts, scoring.score(_records(posts)), strict=True):
        assert isinstance(made, Scored), "A post of the bench was not scored. This is a bug."
        kinds[made.decision.decided is None].append(post)
    return kinds


def _mixed(flagged: Sequence[bytes], calm: Sequence[bytes], share: float) -> list[bytes]:
    chance, count = random.Random(0), round(share * EVENTS)
    posts = chance.choices(flagged, k=count) + chance.choices(calm, k=EVENTS - count)
    chance.shuffle(posts)
    return posts


def _score(scoring: Scoring, posts: Sequence[bytes]) -> int:
    return sum(isinstance(made, Scored) for made in scoring.score(_records(posts)))


if __name__ == "__main__":
    main()
