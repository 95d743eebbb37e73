"""Does sorting by length and cutting micro-batches pay? Posts through the engine in four ways."""

from __future__ import annotations

import json

from engines.batch import Batch, Example
from engines.engine import FusedEngine, open_engine
from engines.preprocess.text import text_encoder
from service.bench.load import distinct
from tests.bench.race import BUNDLE, race, tell

EVENTS = 1000
ONE_BY_ONE = 100


def main() -> None:
    small = open_engine(BUNDLE, tokens=1024)
    planned = open_engine(BUNDLE)
    huge = open_engine(BUNDLE, tokens=1 << 24)
    encoder = text_encoder(planned.preprocess.text)
    posts = [json.loads(event.value)["text"] for event in distinct("text")[:EVENTS]]
    examples = [Example(encoder.encode(post).channels) for post in posts]
    best = race(
        {
            "one event at a time": lambda: singly(planned, examples[:ONE_BY_ONE]),
            "one padded batch": lambda: huge.infer(Batch.of(examples)),
            "micro-batches, 1024 tokens": lambda: small.infer(Batch.of(examples)),
            "micro-batches, as shipped": lambda: planned.infer(Batch.of(examples)),
        }
    )
    best["one event at a time"] *= EVENTS / ONE_BY_ONE
    tell(f"{EVENTS} posts through {planned.info.engine}", best, EVENTS, "one event at a time")


def singly(engine: FusedEngine, examples: list[Example]) -> None:
    for example in examples:
        engine.infer(Batch.of([example]))


if __name__ == "__main__":
    main()
