"""The engines that may serve a bundle, best first: on a GPU the first that decides as fp32 on the processor
does, and which comes next when one fails.

`auto` on a machine with a GPU: TensorRT, then torch, each at falling speed of its precisions; without one,
what is fastest on the processor. A GPU engine is never replaced by the processor unless that is allowed; nor
is a GPU that is there, and that TensorRT is installed for, but that its driver does not let be used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

from engines.alive import Alive, unheard
from engines.bundle import Bundle
from engines.calibration import Uncalibrated, equivalent
from engines.engine import EngineInfo, FusedEngine, open_on_host
from engines.errors import DeviceLost, EngineError, OutOfMemory
from engines.evaluation import events_of
from engines.planner import Budget
from engines.sessions.choose import BACKENDS, GPU, EngineChoice, candidates, known, on_gpu
from engines.steps import Step, caused_by, code_of
from engines.verdicts import Verdicts, facts_of, reference_answers
from engines.verify import Unverified, Verdict, verify

HOST: Final = "auto"
"""The name of the processor's place on the ladder, where a measurement decides."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the configuration asks for; see `open_engine`. ``host`` and ``gpu`` bound micro-batches on either;
    ``gpu_memory`` is the share of a GPU's memory that may be filled; ``cpu_fallback`` lets the processor take
    over from one; ``progress`` hears what is built, and the share that is done; ``plans`` is the folder where
    that is kept, None for the cache; without ``build`` an engine whose plans are not there is passed over;
    with ``anew`` engines are verified whatever was found before.
    """

    backend: str = "auto"
    precision: str = "auto"
    threads: int = 0
    host: Budget | None = None
    gpu: Budget | None = None
    contributions: bool = True
    uncalibrated: Uncalibrated = "auto"
    devices: Sequence[int] = (0,)
    gpu_memory: float = 0.8
    cpu_fallback: bool = False
    progress: Callable[[str, float], None] | None = None
    plans: Path | None = None
    build: bool = True
    anew: bool = False


@dataclass(frozen=True, slots=True)
class Rung:
    """One engine that could be opened."""

    ladder: Ladder = field(repr=False, compare=False)
    backend: str
    precision: str

    @property
    def name(self) -> str:
        """Backend and precision; for the processor, what was asked for."""
        return f"{self.backend} {self.precision}"

    def open(self, alive: Alive = unheard) -> FusedEngine:
        """The engine, warmed up and verified; raises EngineError, and notes it as a step of the ladder.

        ``alive`` is called while it is built and verified.
        """
        return self.ladder.try_(self, alive)


class Ladder:
    """The engines that may serve a bundle; used by one thread at a time.

    ``steps`` are those that were refused or given up, in order; ``absent`` says by name why a GPU backend, or
    one at some precision, cannot be used here at all.
    """

    def __init__(self, bundle: Bundle, wanted: Wanted | None = None) -> None:
        self.bundle, self.wanted = bundle, wanted or Wanted()
        known(self.wanted.backend)
        self.steps: list[Step] = []
        self.absent: dict[str, str] = {}
        self._verdicts = Verdicts()
        self._gpu = self.wanted.backend in GPU
        """Whether a GPU is meant to serve: where it once could, the processor is a fallback."""

    def rungs(self) -> list[Rung]:
        """All engines that may serve, best first; empty where a GPU is meant to, and none can be used.

        Begins anew: `steps` is empty after this.
        """
        self.steps.clear()
        return self._rungs()

    def _rungs(self) -> list[Rung]:
        backend, precision = self.wanted.backend, self.wanted.precision
        if backend != "auto" and backend not in GPU:
            return [Rung(self, backend, precision)]
        pairs, self.absent = on_gpu(self.bundle, backend, precision, self.wanted.devices)
        self._gpu |= bool(pairs) or any(BACKENDS[name].broken() for name in GPU)
        rungs = [Rung(self, *pair) for pair in pairs]
        if not self._gpu:
            rungs.append(Rung(self, HOST, precision))
        elif self.wanted.cpu_fallback:
            rungs.append(Rung(self, HOST, self._host_precision()))
        return rungs

    def below(self, failed: EngineInfo, error: EngineError) -> list[Rung]:
        """Those that may replace one that failed, best first; none for an engine on the processor. Close it
        before one of them is opened, which may need its memory.

        Where memory was too small, another precision of the same backend would not fit either; where a device
        was lost, nothing on a GPU works in this process.
        """
        self._note(failed.engine, failed.precision, error)
        if failed.engine not in GPU:
            return []
        rungs = self._rungs()
        places = [k for k, own in enumerate(rungs) if (own.backend, own.precision) == _pair(failed)]
        rest = rungs[places[0] + 1 :] if places else rungs
        if caused_by(error, DeviceLost):
            return [own for own in rest if own.backend not in GPU]
        if caused_by(error, OutOfMemory):
            return [own for own in rest if own.backend != failed.engine]
        return rest

    def open(self, alive: Alive = unheard) -> FusedEngine:
        """The first engine that opens and verifies, warmed up; raises EngineError with every reason."""
        rungs = self.rungs()
        last: EngineError | None = None
        for rung in rungs:
            try:
                return rung.open(alive)
            except EngineError as error:
                last = error
        if len(rungs) == 1 and last is not None:
            raise last
        reasons = [f"{name}: {why}" for name, why in self.absent.items()]
        reasons += [f"{step.name}: {step.reason}" for step in self.steps]
        remedy = "See what `tidegate doctor` says of the GPU, or set engine.cpu_fallback: true"
        if not rungs and any(name not in GPU for name in self.absent):
            remedy = "Set engine.precision to auto, or engine.devices to GPUs that can"
        elif any(step.code == "not_built" for step in self.steps):
            remedy = f"Build what it lacks: tidegate engine build {self.bundle.name}"
        raise EngineError(
            "No GPU engine can serve this bundle",
            where=self.bundle.name,
            why="; ".join(reasons),
            remedy=remedy,
        )

    def try_(self, rung: Rung, alive: Alive) -> FusedEngine:
        """Open a rung; raises EngineError, and notes it as a step."""
        try:
            return self._on_gpu(rung, alive) if rung.backend in GPU else self._on_host(rung)
        except EngineError as error:
            self._note(rung.backend, rung.precision, error)
            raise

    def judged(self, backend: str, precision: str, verdict: Verdict, plans: Sequence[str]) -> None:
        """Keep what was found of a GPU engine, in place of what was known, and on which plans."""
        if not verdict.serves(precision):  # where plans cannot be kept, no start shall build them in vain
            there = set(BACKENDS[backend].kept(self.wanted.plans))
            plans = tuple(plan for plan in plans if plan in there)
        self._verdicts.keep(facts_of(self.bundle, backend, precision, self.wanted.gpu), verdict, plans)

    def _note(self, backend: str, precision: str, error: EngineError) -> None:
        step = Step(backend, precision, str(error), code_of(error))
        self.steps[:] = [*(own for own in self.steps if own.name != step.name), step]

    def _on_host(self, rung: Rung) -> FusedEngine:
        wanted = self.wanted
        engine = open_on_host(
            self.bundle, rung.backend, rung.precision, wanted.threads, wanted.host, wanted.contributions,
            wanted.uncalibrated,
        )  # fmt: skip
        return _warm(engine)

    def _on_gpu(self, rung: Rung, alive: Alive) -> FusedEngine:
        """Opened, warmed up and verified, by what was found before where that was on the same plans.

        What was refused for what it decides is refused unopened, so that no start builds in vain; it is tried
        again once a plan that it was judged by is no longer kept, once versions, GPUs or budgets are others,
        and where the ladder judges `anew`.
        """
        facts = facts_of(self.bundle, rung.backend, rung.precision, self.wanted.gpu)
        if not self.wanted.anew:
            there = partial(BACKENDS[rung.backend].kept, self.wanted.plans)
            _check(self._verdicts.refusal(facts, rung.precision, there), rung, self.bundle)
        engine = _warm(self._opened(rung, alive))
        try:
            verdict = None if self.wanted.anew else self._verdicts.recall(facts, engine.plans)
            if verdict is None:
                verdict = self._verify(engine, rung, alive)
                if verdict is not None:
                    self.judged(rung.backend, rung.precision, verdict, engine.plans)
            _check(verdict, rung, self.bundle)
        except EngineError:
            engine.close()
            raise
        engine.info = replace(engine.info, why=self._why(rung, engine.info, verdict))
        return engine

    def _opened(self, rung: Rung, alive: Alive) -> FusedEngine:
        wanted = self.wanted

        def progress(what: str, share: float) -> None:
            alive()
            if wanted.progress is not None:
                wanted.progress(what, share)

        fits = equivalent(self.bundle.calibration, rung.precision)
        return FusedEngine(
            replace(self.bundle, calibration=fits),
            EngineChoice(rung.backend, rung.precision),
            threads=wanted.threads,
            budget=wanted.gpu,
            contributions=wanted.contributions,
            uncalibrated=wanted.uncalibrated,
            devices=wanted.devices,
            progress=progress,
            gpu_memory=wanted.gpu_memory,
            plans=wanted.plans,
            build=wanted.build,
        )

    def _verify(self, engine: FusedEngine, rung: Rung, alive: Alive) -> Verdict | None:
        """None where the bundle brings nothing to judge by, which only fp32 gets away with."""
        found = events_of(self.bundle)
        if found is None:
            if rung.precision == "fp32":
                return None
            raise Unverified(
                "A precision cannot be verified",
                where=f"{self.bundle.name} on {rung.name}",
                why="the bundle has neither an evaluation set nor golden vectors",
                remedy="Write the bundle anew, or set engine.precision to fp32",
            )
        if self.wanted.progress is not None:
            self.wanted.progress(f"verifying {rung.name}", 0.0)
        reference = reference_answers(self.bundle, found[0], self.wanted.threads, alive)
        return verify(reference, engine, found[0], alive)

    def _why(self, rung: Rung, info: EngineInfo, verdict: Verdict | None) -> str:
        pinned = "auto" not in (self.wanted.backend, self.wanted.precision)
        told = ["pinned" if pinned else "the first on this GPU that decides as fp32 on the processor does"]
        told.append("nothing to verify it by" if verdict is None else str(verdict))
        if info.calibrated and rung.precision != "fp32":
            told.append("so the calibration of fp32 holds for it")
        told += [f"{name} is left out: {why}" for name, why in self.absent.items() if name not in GPU]
        told += [f"before it {step.name}: {step.reason}" for step in self.steps]
        return "; ".join(told)

    def _host_precision(self) -> str:
        """What was asked for, where the processor computes at it too."""
        try:
            candidates(self.bundle, HOST, self.wanted.precision, self.wanted.uncalibrated)
        except EngineError:
            return "auto"
        return self.wanted.precision


def _pair(info: EngineInfo) -> tuple[str, str]:
    return info.engine, info.precision


def _warm(engine: FusedEngine) -> FusedEngine:
    try:
        engine.warm_up()
    except EngineError:
        engine.close()
        raise
    return engine


def _check(verdict: Verdict | None, rung: Rung, bundle: Bundle) -> None:
    if verdict is not None and not verdict.serves(rung.precision):
        raise Unverified(
            "An engine does not decide as the reference does",
            where=f"{bundle.name} on {rung.name}",
            why=str(verdict),
            remedy="Set engine.precision to a wider one, or to auto",
        )
