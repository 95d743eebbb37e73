"""From records to scores without Kafka: one path for the daemon, `score`, `replay` and the benchmarks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np

from engines.batch import Batch, Example, Outputs
from engines.engine import Engine
from engines.errors import EngineError
from engines.ladder import Ladder
from engines.steps import code_of
from service.errors import RecordError
from service.explain import Explained, Explainer, Flagged
from service.intake.intake import Intake, Pending, Prepared
from service.record import Record
from service.score import Scored, Scorer, Timings

CHUNK = 256  # records at a time, outside the daemon


@dataclass(slots=True)
class Preparation:
    """A cycle's records parsed, their text tokenised, their media on its way through the workers."""

    records: Sequence[Record]
    pendings: list[Pending]
    seconds: float

    def split(self, count: int) -> tuple[Preparation, Preparation]:
        """The first `count` records, and the others; the work so far goes to the first."""
        return (
            Preparation(self.records[:count], self.pendings[:count], self.seconds),
            Preparation(self.records[count:], self.pendings[count:], 0.0),
        )


@dataclass(frozen=True, slots=True)
class Serving:
    """An engine, and what speaks for it: its scores name it and use its thresholds."""

    engine: Engine
    scorer: Scorer
    explainer: Explainer | None = None


@dataclass(slots=True)
class Inferred:
    """A cycle's answers: `rows[k]` is record k's row of `outputs`, or -1 where it cannot be scored.

    `scorer` is that of the engine that gave them: another may serve by the time they are written down.
    """

    prepared: list[Prepared]
    rows: list[int]
    outputs: Outputs | None
    prepare_seconds: float
    infer_seconds: float
    explained: Explained = field(default_factory=Explained)
    scorer: Scorer | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """A record without a score."""

    event_id: str
    error: RecordError
    dropped: bool = False
    """Counted and not kept, because the configuration asks for that."""


class Scoring:
    """Intake, engine, scorer, and where spans are wanted an explainer; each takes a whole cycle.

    `ladder` has the engines that could serve in place of this one, and `serving_of` what speaks for them;
    after `retry_seconds` a better one is tried again. `beside` ends what goes on beside the engine, before
    that is closed.
    """

    def __init__(
        self,
        intake: Intake,
        engine: Engine,
        ladder: Ladder,
        serving_of: Callable[[Engine], Serving],
        retry_seconds: float | None = None,
    ) -> None:
        self.intake, self.ladder, self.serving_of = intake, ladder, serving_of
        self.retry_seconds = retry_seconds
        self.beside = ExitStack()
        self.serving = serving_of(engine)

    @property
    def engine(self) -> Engine:
        """What serves now."""
        return self.serving.engine

    @property
    def scorer(self) -> Scorer:
        """Whose scores name it."""
        return self.serving.scorer

    def prepare(self, records: Sequence[Record]) -> Preparation:
        """Parse and tokenise; hand media to the workers."""
        began = time.monotonic()
        pendings = [self.intake.begin(record) for record in records]
        return Preparation(records, pendings, time.monotonic() - began)

    def finish(
        self,
        preparation: Preparation,
        patience: float | None = None,
        alive: Callable[[], None] = lambda: None,
    ) -> list[Prepared]:
        """Wait for the media: of all records, or of as many from the first as `patience` seconds allow.

        At least one, and `alive` is called after each, for a record may hold many seconds of decoding.
        """
        end = None if patience is None else time.monotonic() + patience
        prepared = []
        for pending in preparation.pendings:
            prepared.append(self.intake.finish(pending))
            alive()
            if end is not None and time.monotonic() > end:
                break
        return prepared

    def infer(
        self,
        prepared: list[Prepared],
        prepare_seconds: float = 0.0,
        beat: Callable[[], None] = lambda: None,
        *,
        explain: bool = True,
    ) -> Inferred:
        """Run the model; an event it cannot bear fails alone. Then, where wanted, `explain` what it flagged.

        `beat` is called after each run of explaining.
        Raises EngineError where the engine itself is in trouble: nothing is anybody's fault then.
        """
        began = time.monotonic()
        alive = [k for k, p in enumerate(prepared) if p.example is not None]
        examples = [p.example for p in prepared if p.example is not None]
        serving = self.serving
        outputs, bad = infer_isolated(serving.engine, examples)
        rows = [-1] * len(prepared)
        row = 0
        for position, k in enumerate(alive):
            if position in bad:
                error = RecordError("crash", "killed_engine", bad[position], stage="infer")
                prepared[k] = replace(prepared[k], example=None, failure=error)
            else:
                rows[k] = row
                row += 1
        explained = Explained()
        if explain and serving.explainer is not None and outputs is not None:
            explained = serving.explainer.explain(_flagged(serving.scorer, prepared, outputs, rows), beat)
        seconds = time.monotonic() - began
        return Inferred(prepared, rows, outputs, prepare_seconds, seconds, explained, serving.scorer)

    def score(self, records: Iterable[Record]) -> Iterator[Scored | Failed]:
        """Score a stream outside the daemon, in input order and bounded memory, one chunk ahead."""
        stream = iter(records)
        waiting: Preparation | None = None
        while True:
            chunk = list(islice(stream, CHUNK))
            following = self.prepare(chunk) if chunk else None
            if waiting is not None:
                yield from self._finish(waiting)
            if following is None:
                return
            waiting = following

    def _finish(self, preparation: Preparation) -> Iterator[Scored | Failed]:
        began = time.monotonic()
        done = self.finish(preparation)
        inferred = self.infer(done, preparation.seconds + time.monotonic() - began)
        prepare, infer = inferred.prepare_seconds * 1e3, inferred.infer_seconds * 1e3
        timings = Timings(queue=0.0, prepare=prepare, infer=infer, total=prepare + infer)
        for k, record in enumerate(preparation.records):
            yield self.encode(record, inferred, k, timings)

    def encode(
        self,
        record: Record,
        inferred: Inferred,
        k: int,
        timings: Timings,
        attempt: int = 1,
    ) -> Scored | Failed:
        """The score of record number `k`, or why there is none."""
        prepared, outputs, row = inferred.prepared[k], inferred.outputs, inferred.rows[k]
        if prepared.failure is not None or outputs is None:
            assert prepared.failure is not None, "No example and no failure. This is a bug."
            return Failed(prepared.event_id, prepared.failure, prepared.drop)
        assert inferred.scorer is not None, "Answers that no engine gave. This is a bug."
        try:
            spans, scorer = inferred.explained.spans.get(k), inferred.scorer
            return scorer.encode(record, prepared, outputs, row, timings, spans=spans, attempt=attempt)
        except RecordError as error:
            return Failed(prepared.event_id, error)


def _flagged(
    scorer: Scorer, prepared: Sequence[Prepared], outputs: Outputs, rows: Sequence[int]
) -> dict[int, Flagged]:
    """Those flagged by a probability that have a text."""
    found = {}
    for k, label in scorer.deciding(prepared, outputs, rows):
        event, example = prepared[k].event, prepared[k].example
        if event is not None and event.text is not None and example is not None:
            found[k] = Flagged(event.text, example, label)
    return found


def infer_isolated(engine: Engine, examples: Sequence[Example]) -> tuple[Outputs | None, dict[int, str]]:
    """Run the model; events it cannot bear are found by bisection and get a hint instead of a row.

    An event is to blame where the engine fails on it alone, twice, and on its golden inputs not; raises
    EngineError where it fails on those too. No event is to blame for a device that is lost or full.
    """
    if not examples:
        return None, {}
    try:
        return engine.infer(Batch.of(examples)), {}
    except EngineError as error:
        if code_of(error) == "device_lost":
            raise
        if len(examples) == 1:
            engine.warm_up()
            return _once_more(engine, examples[0])
    half = len(examples) // 2
    left, bad = infer_isolated(engine, examples[:half])
    right, more = infer_isolated(engine, examples[half:])
    return _joined(left, right), bad | {half + k: why for k, why in more.items()}


def _once_more(engine: Engine, example: Example) -> tuple[Outputs | None, dict[int, str]]:
    try:
        return engine.infer(Batch.of([example])), {}
    except EngineError as error:
        if code_of(error) in ("device_lost", "out_of_memory"):
            raise
        return None, {0: error.what}


def _joined(left: Outputs | None, right: Outputs | None) -> Outputs | None:
    if left is None or right is None:
        return left or right
    return Outputs(
        *(
            np.concatenate((getattr(left, name), getattr(right, name)))
            for name in ("sentiment", "unimodal", "moderation", "severity", "patterns")
        )
    )
