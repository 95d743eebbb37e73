"""The fused engine: towers on the rows that need them, then one head for every answer."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from engines import calibration, golden
from engines.batch import MODALITIES, Batch, Example, Float32, Outputs
from engines.bundle import GRAPHS, Bundle
from engines.calibration import Uncalibrated
from engines.combine import HeadRows, combinations, largest, mean, subpatterns
from engines.errors import BundleError, EngineError
from engines.head import Head, Logits, NotFinite
from engines.labels import Labels
from engines.lanes import EACH, Lanes, gpu_lanes, lanes_for
from engines.planner import Budget
from engines.preprocess.spec import Preprocess
from engines.sessions import fake
from engines.sessions.base import Session, Terms
from engines.sessions.choose import BACKENDS, GPU, EngineChoice, Measured, choose
from engines.sessions.host import cpu_name, usable_cores
from engines.sessions.timed import Timed
from engines.thresholds import Thresholds
from engines.towers import Towers

if TYPE_CHECKING:
    from engines.rehearsal import Rehearsal


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """Exactly what scores: goes into every score, the log and the metrics."""

    bundle: str
    version: str
    digest: str
    engine: str
    precision: str
    backend: str
    synthetic: tuple[str, ...]
    why: str = ""
    calibrated: bool = True
    """Whether the probabilities, all of them, were fitted for this very precision."""
    uncalibrated: tuple[str, ...] = ()
    """Labels, and "sentiment", whose probabilities were not, where those of others were."""


class Engine(Protocol):
    """What the service needs of an engine; used by one thread at a time."""

    @property
    def info(self) -> EngineInfo:
        """What scores."""
        ...

    @property
    def labels(self) -> Labels:
        """The columns of `Outputs`."""
        ...

    @property
    def thresholds(self) -> Mapping[str, Thresholds]:
        """What calibration found by label, for policies; empty where it found nothing for this precision."""
        ...

    @property
    def preprocess(self) -> Preprocess:
        """What inputs must look like."""
        ...

    @property
    def useful_token_ratio(self) -> float:
        """The share of the last batch's text tokens that was not padding."""
        ...

    def warm_up(self) -> None:
        """Run small and typical batches and check the golden vectors; raises EngineError."""
        ...

    def infer(self, batch: Batch) -> Outputs:
        """Answers for a batch; raises EngineError, with `events` where it is known whose fault it is."""
        ...

    def logits(self, batch: Batch) -> tuple[HeadRows, Logits]:
        """Uncalibrated logits, one row for each combination of an event's inputs; raises EngineError."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...


class FusedEngine:
    """A bundle on one backend."""

    def __init__(
        self,
        bundle: Bundle,
        choice: EngineChoice,
        *,
        threads: int = 0,
        budget: Budget | None = None,
        contributions: bool = True,
        uncalibrated: Uncalibrated = "auto",
        devices: Sequence[int] = (0,),
        progress: Callable[[str, float], None] | None = None,
        gpu_memory: float = 0.8,
        plans: Path | None = None,
        build: bool = True,
    ) -> None:
        backend = BACKENDS[choice.backend]
        fit, calibrated = calibration.serving(
            bundle.calibration, choice.precision, uncalibrated, where=bundle.name
        )
        threads, on_gpu = threads or usable_cores(), backend.on_gpu()
        host = "" if on_gpu else f", {threads} threads, {cpu_name()}"
        self.labels, self.preprocess = bundle.labels, bundle.preprocess
        self.info = EngineInfo(
            bundle.name, bundle.version, bundle.digest, choice.backend, choice.precision,
            backend.describe() + host, bundle.synthetic, choice.why,
            calibrated and not fit.uncalibrated, fit.uncalibrated if calibrated else (),
        )  # fmt: skip
        budget = budget or Budget(rate=bundle.preprocess.audio.rate)
        self._golden = None if choice.backend == fake.BACKEND.name else bundle.golden  # it is no model
        self._calibration, self.thresholds = fit, fit.thresholds
        self._contributions, self._on_gpu = contributions, on_gpu
        self._bundle, self._threads, self._rehearsed = bundle, threads, False
        # GPUs take turns, each with so many lanes of its own: all of them have run what came round so often.
        self._turns = 1 if len(devices) < 2 else EACH * len(devices)
        small = lanes_for(bundle.graph_bytes(choice.precision), threads)
        self._lanes = Lanes(gpu_lanes(len(devices)) if on_gpu else small)
        self.useful_token_ratio = 1.0
        terms = Terms(threads, self._lanes.count, budget, tuple(devices), progress, gpu_memory, plans, build)
        opened: list[Timed] = []
        try:
            for tower in GRAPHS:  # one by one: what is open when the next fails must be closed
                opened.append(Timed(backend.open(bundle, tower, choice.precision, terms)))  # noqa: PERF401
            self._sessions: list[Timed] = opened
            shapes = [(count, bundle.width) for count in bundle.tokens]
            text = bundle.preprocess.text
            channels, planned = text.channels, text.planned
            self._towers = Towers(opened[:3], shapes, budget, self._lanes, channels, planned, on_gpu)
            self._head = Head(opened[3], shapes, budget.head_rows, self._lanes)
            nothing = self._head.nothing()
            self._nothing = np.concatenate([nothing.polarity, nothing.moderation[0]])
            _check_head(bundle, nothing)
        except EngineError:
            _close(opened)
            raise

    @property
    def session_seconds(self) -> float:
        """Seconds spent inside the backend so far."""
        return sum(session.seconds for session in self._sessions)

    @property
    def memory(self) -> dict[int, int]:
        """Bytes held on each GPU, by its number; empty where none is used."""
        held: Counter[int] = Counter()
        for session in self._sessions:
            held.update(session.memory)
        return dict(held)

    @property
    def plans(self) -> tuple[str, ...]:
        """The SHA-256 of each plan that its towers run; empty where the backend has none."""
        return tuple(sorted({plan for session in self._sessions for plan in session.plans}))

    @property
    def reduced(self) -> bool:
        """Whether a GPU's memory ran out, and micro-batches are smaller since."""
        return any(session.reduced for session in self._sessions)

    def infer(self, batch: Batch) -> Outputs:
        """Answers for a batch; raises EngineError, with `events` where it is known whose fault it is."""
        if not len(batch):
            return _empty(0, len(self.labels))
        rows = combinations(batch)
        parts = [rows, *(subpatterns(rows, batch) if self._contributions else ())]
        logits = self._head.run(parts, self._towers.run(batch))
        self.useful_token_ratio = self._towers.useful_token_ratio  # of events, whatever `logits` is asked
        outputs = self._calibrated(batch, rows, logits[0])
        outputs.patterns[:, 0] = self._nothing
        for part, answer in zip(parts, logits, strict=True):
            events = part.event[part.starts()]
            outputs.patterns[events, part.pattern[part.starts()], 0] = mean(answer.polarity, part)
            outputs.patterns[events, part.pattern[part.starts()], 1:] = largest(answer.moderation, part)
        return outputs

    def logits(self, batch: Batch) -> tuple[HeadRows, Logits]:
        """Uncalibrated logits, one row for each combination of an event's inputs: for fitting."""
        rows = combinations(batch)
        return rows, self._head.run([rows], self._towers.run(batch))[0]

    def warm_up(self) -> None:
        """Run small and typical batches and check the golden vectors; raises EngineError.

        The first time it also runs every profile that a GPU's plans have, on rows of the golden vectors, and
        holds the answers to the same bound, against fp32 on the processor.
        """
        self.infer(self._typical(1, 1))
        self.infer(self._typical(32, 2))
        error = self.golden_error()
        limit = golden.bound(self.info.precision, verified=self._on_gpu)
        if error is not None and error > limit:
            raise self._wrong(f"a logit is off by {error:.2g}, more than {limit:.2g}")
        if not self._rehearsed:
            self._rehearse(limit)
            self._rehearsed = True

    def golden_error(self) -> float | None:
        """The largest error against the golden vectors; None where the bundle has none."""
        if self._golden is None:
            return None
        _, answer = self.logits(golden.batch_of(self._golden, self.preprocess.text.channels))
        return golden.error(self._golden, answer)

    def time(self, seconds: float) -> float:
        """Seconds that a typical batch takes: the fastest of as many runs as fit."""
        batch = self._typical(64, 2)
        end = time.monotonic() + seconds
        best = float("inf")
        while best == float("inf") or time.monotonic() < end:
            start = time.perf_counter()
            self.infer(batch)
            best = min(best, time.perf_counter() - start)
        return best

    def close(self) -> None:
        """Give everything back."""
        self._lanes.close()
        _close(self._sessions)

    def _rehearse(self, limit: float) -> None:
        buckets = {tower: own.buckets for tower, own in zip(MODALITIES, self._sessions[:3], strict=True)}
        if not any(buckets.values()):  # it takes any shape, and runs them all by the same code
            return
        from engines.rehearsal import rehearsals

        channels = self.preprocess.text.channels
        given = [] if self._golden is None else golden.examples_of(self._golden, channels)
        planned = rehearsals(self._bundle, buckets, [*given, *self._examples(32, 2)])
        for own, wanted in zip(planned, self._expected(planned), strict=True):
            batch = own.batch
            for _ in range(self._turns):
                try:
                    error = golden.error(wanted, self.logits(batch)[1])
                except NotFinite as broken:
                    raise self._wrong(f"{own.name} gives what is no number") from broken
                if error > limit:
                    raise self._wrong(f"a logit is off by {error:.2g} in {own.name}, more than {limit:.2g}")

    def _expected(self, planned: Sequence[Rehearsal]) -> list[golden.Tensors]:
        choice = EngineChoice("onnxruntime", "fp32")
        reference = FusedEngine(self._bundle, choice, threads=self._threads, uncalibrated="warn")
        try:
            return [own.expected(reference.logits(Batch.of(own.examples))[1]) for own in planned]
        finally:
            reference.close()

    def _wrong(self, why: str) -> EngineError:
        return EngineError(
            "The engine does not give the bundle's golden answers",
            where=f"{self.info.bundle} on {self.info.backend}, {self.info.precision}",
            why=why,
            remedy="Set engine.backend to another one, or engine.precision to fp32",
        )

    def _calibrated(self, batch: Batch, rows: HeadRows, answer: Logits) -> Outputs:
        outputs, fit = _empty(len(batch), len(self.labels)), self._calibration
        outputs.sentiment[:] = mean(fit.sentiment(answer.sentiment, rows.pattern), rows)
        outputs.moderation[:] = largest(fit.moderation(answer.moderation, rows.pattern), rows)
        outputs.unimodal[:] = mean(fit.unimodal(answer.unimodal), rows)
        if answer.severity is not None:
            outputs.severity[:] = 7 / (1 + np.exp(-largest(answer.severity, rows)))
            outputs.severity[~(self.labels.evaluable(batch.presence) & self.labels.graded)] = np.nan
        outputs.sentiment[~self.labels.sentiment_evaluable(batch.presence)] = np.nan
        outputs.moderation[~self.labels.evaluable(batch.presence)] = np.nan
        alone = (1 << np.arange(3)).astype(np.uint8)
        told = self.labels.sentiment_evaluable(alone) & ((batch.presence[:, None] & alone) > 0)
        outputs.unimodal[~told] = np.nan
        return outputs

    def _typical(self, texts: int, media: int) -> Batch:
        return Batch.of(self._examples(texts, media))

    def _examples(self, texts: int, media: int) -> list[Example]:
        spec, random = self.preprocess, np.random.default_rng(0)
        image = (spec.image.height, spec.image.width, 3)
        count = min(spec.audio.samples, 2 * spec.audio.rate)
        examples = [_text(random, spec) for _ in range(texts)]
        for example in examples[:media]:
            example.images = [random.integers(0, 256, image, dtype=np.uint8)]
            example.audio = [random.integers(-3000, 3000, count, dtype=np.int16)]
        return examples


def open_engine(
    bundle: Bundle | str | Path,
    backend: str = "auto",
    precision: str = "auto",
    threads: int = 0,
    tokens: int = 4096,
    image_rows: int = 32,
    audio_seconds: float = 60.0,
    contributions: bool = True,
    uncalibrated: Uncalibrated = "auto",
) -> FusedEngine:
    """Open a bundle, verified, on the backend pinned or fastest on this processor; raises EngineError.

    ``uncalibrated`` says what to do about a precision that the bundle is not calibrated for. A backend for
    GPUs is verified against fp32 as well, and warmed up; `engines.ladder` also chooses among those.
    """
    if not isinstance(bundle, Bundle):
        bundle = Bundle.load(bundle)
    budget = Budget(tokens, image_rows, audio_seconds, bundle.preprocess.audio.rate)
    if backend in GPU:
        from engines.ladder import Ladder, Wanted

        wanted = Wanted(backend, precision, threads, budget, budget, contributions, uncalibrated)
        return Ladder(bundle, wanted).open()
    return open_on_host(bundle, backend, precision, threads, budget, contributions, uncalibrated)


def open_on_host(
    bundle: Bundle,
    backend: str = "auto",
    precision: str = "auto",
    threads: int = 0,
    budget: Budget | None = None,
    contributions: bool = True,
    uncalibrated: Uncalibrated = "auto",
) -> FusedEngine:
    """Open a bundle on the processor, on the backend pinned or fastest there; raises EngineError."""
    threads = threads or usable_cores()

    def trial(backend: str, precision: str, seconds: float) -> Measured:
        tried = EngineChoice(backend, precision)
        engine = FusedEngine(bundle, tried, threads=threads, budget=budget, uncalibrated=uncalibrated)
        try:
            return Measured(error=engine.golden_error(), seconds=engine.time(seconds / 2))
        finally:
            engine.close()

    choice = choose(bundle, backend, precision, threads, trial, uncalibrated)
    return FusedEngine(
        bundle, choice, threads=threads, budget=budget, contributions=contributions, uncalibrated=uncalibrated
    )


def _check_head(bundle: Bundle, nothing: Logits) -> None:
    columns = nothing.moderation.shape[1]
    if columns != len(bundle.labels):
        raise BundleError(
            "The bundle's labels are not those of its head",
            where=f"{bundle.folder}/labels.yaml",
            why=f"it names {len(bundle.labels)} labels, and the head answers for {columns}",
            remedy="Write the labels of the training, in their order, and seal the bundle again",
        )
    if bundle.labels.graded.any() and nothing.severity is None:
        raise BundleError(
            "The bundle promises grades of severity that its head does not give",
            where=f"{bundle.folder}/labels.yaml",
            why="a label has severity: true, and the head has no output `severity`",
            remedy="Take severity out of labels.yaml and seal the bundle again, or train a head that grades",
        )


def _empty(events: int, labels: int) -> Outputs:
    def unknown(*shape: int) -> Float32:
        return np.full((events, *shape), np.nan, dtype=np.float32)

    return Outputs(unknown(3), unknown(3, 3), unknown(labels), unknown(labels), unknown(8, 1 + labels))


def _text(random: np.random.Generator, spec: Preprocess) -> Example:
    length = int(random.integers(1, min(48, spec.text.max_tokens) + 1))
    read = random.integers(spec.text.planned)  # of several encoders, a text has one
    lengths = [length * (k == read or k >= spec.text.planned) for k in range(len(spec.text.sizes))]
    sizes = zip(spec.text.sizes, lengths, strict=True)
    return Example(text=tuple(random.integers(1, n, length, dtype=np.int32) for n, length in sizes))


def _close(sessions: Sequence[Session]) -> None:
    for session in sessions:
        session.close()
