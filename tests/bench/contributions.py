"""What do the modality shares in each score cost? A mix through the engine with and without them."""

from __future__ import annotations

from engines.batch import Batch
from engines.engine import open_engine
from service.assembly import open_scoring
from service.bench.load import stream
from service.config import Settings
from service.record import Stored
from tests.bench.race import BUNDLE, race, tell

EVENTS = 800


def main() -> None:
    records = [
        Stored("bench", 0, k, 0, e.key, e.value, e.headers) for k, e in enumerate(stream("mix", EVENTS))
    ]
    with open_scoring(Settings(bundle=BUNDLE)) as scoring:
        pendings = scoring.prepare(records).pendings
        prepared = [scoring.intake.finish(pending) for pending in pendings]
    batch = Batch.of([each.example for each in prepared if each.example is not None])
    engines = {wanted: open_engine(BUNDLE, contributions=wanted) for wanted in (False, True)}
    best = race(
        {
            "without contributions": lambda: engines[False].infer(batch),
            "with contributions": lambda: engines[True].infer(batch),
        }
    )
    tell(f"a mix of {len(batch)} events", best, len(batch), "without contributions")


if __name__ == "__main__":
    main()
