"""Do micro-batches of a small model run better side by side, or one by one on all threads?"""

from __future__ import annotations

import json
from itertools import islice
from unittest import mock

from engines import engine
from engines.batch import Batch, Example
from engines.bundle import Bundle
from engines.preprocess.text import text_encoder
from engines.sessions.host import usable_cores
from service.bench.load import stream
from tests.bench.race import BUNDLE, race, tell

EVENTS = 4096


def opened(bundle: Bundle, backend: str, lanes: int) -> engine.FusedEngine:
    """The engine with so many lanes, whatever the bundle's size says."""
    with mock.patch.object(engine, "lanes_for", return_value=lanes):
        return engine.open_engine(bundle, backend=backend, precision="fp32")


def main() -> None:
    bundle = Bundle.load(BUNDLE)
    encode = text_encoder(bundle.preprocess.text).encode
    texts = [json.loads(event.value)["text"] for event in islice(stream("text", EVENTS), EVENTS)]
    batch = Batch.of([Example(text=encode(text).channels) for text in texts])
    cores = usable_cores()
    for backend in ("onnxruntime", "openvino"):
        ways = {
            f"one by one, {cores} threads each": opened(bundle, backend, 1),
            f"{cores} at once, a thread each": opened(bundle, backend, cores),
        }
        best = race({name: lambda way=way: way.infer(batch) for name, way in ways.items()})
        tell(f"{EVENTS} posts on {backend}", best, EVENTS, next(iter(ways)))


if __name__ == "__main__":
    main()
