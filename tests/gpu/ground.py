"""What every part stands on: the device, sizes, folders, and where checks are written."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from engines import cuda
from engines.bundle import Bundle
from engines.errors import EngineError
from engines.planner import Budget
from engines.rates import Rates, gpu_rates, processor_rates
from engines.sessions.base import Terms
from engines.sessions.choose import BACKENDS
from engines.sessions.host import usable_cores
from engines.tensorrt.build import built
from engines.tensorrt.store import PlanStore
from tests.gpu.results import Check, holds, not_measured

LANES = 2


@dataclass(frozen=True)
class Ground:
    """`small` is a rehearsal: tiny shapes, seconds instead of minutes, and no GPU but the stand-in's."""

    cuda: bool
    small: bool
    work: Path
    tell: Callable[[Check], None]

    @property
    def precisions(self) -> tuple[str, ...]:
        """Those that a graph is cast to."""
        return ("bf16", "fp16")

    @property
    def seconds(self) -> float:
        """Of one measurement."""
        return 0.02 if self.small else 1.5

    @property
    def budget(self) -> Budget:
        """Micro-batches that fill a large GPU."""
        return Budget(256, 4, 8.0, head_rows=64) if self.small else Budget(16_384, 128, 320.0)

    @property
    def store(self) -> PlanStore:
        """Plans of these checks alone: the part's process has a cache of its own."""
        return PlanStore(say=print)

    @property
    def serving(self) -> Budget:
        """As the daemon plans them on a GPU."""
        return self.budget if self.small else Budget(16_384, 64, 160.0)

    def lacks(self, precision: str) -> str | None:
        """Why the device cannot compute at a precision; None where it can, or nothing can be asked of it."""
        try:
            return BACKENDS["tensorrt"].lacks(precision, (0,))
        except EngineError:
            return None

    def terms(self, lanes: int = LANES, threads: int = 4) -> Terms:
        """For opening a session."""
        return Terms(threads=threads, lanes=lanes, budget=self.budget)

    def build(
        self, bundle: Bundle, towers: Sequence[str], precision: str, budget: Budget, check: str
    ) -> None:
        """Put plans into the store of these checks, which a part that measures then only loads."""
        with self.checking(check):
            begun, plans = time.monotonic(), 0
            terms = replace(self.terms(threads=usable_cores()), budget=budget)
            for tower in towers:
                made = built(bundle, tower, precision, terms, cuda.devices()[0], self.store)
                plans += len(made.stored)
            told = f"{plans} plans of {', '.join(towers)}, {time.monotonic() - begun:.0f} s to build or find"
            self.tell(holds(check, True, told))

    def measured(self, check: Check) -> None:
        """Tell of a speed, or of growth: a rehearsal's is no figure, and neither passes nor fails."""
        self.tell(replace(check, verdict="noted") if self.small else check)

    def rates(self, precision: str) -> Rates:
        """Of the device, now; raises EngineError."""
        if self.cuda:
            return gpu_rates(precision, seconds=self.seconds)
        return processor_rates("fp32", 1, 0.01, ((64, 64, 128),))

    def shipped(self) -> tuple[str, ...]:
        """The bundles that come along."""
        return ("edge",) if self.small else ("starter", "edge")

    @contextmanager
    def checking(self, check: str, bar: str = "") -> Iterator[None]:
        """What goes wrong in here fails the check by name, and the part goes on."""
        try:
            yield
        except EngineError as error:
            self.tell(Check(check, "", bar, "fail", str(error)[:400]))
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            self.tell(Check(check, "", bar, "fail", " ".join(why.split())[:400]))

    @contextmanager
    def _without_standin(self) -> Iterator[None]:
        """Casting has processes of its own, whose libraries would take the stand-in for the real thing."""
        before = os.environ.get("PYTHONPATH", "")
        if not self.cuda:
            from tests.standin import PATH

            kept = [path for path in before.split(os.pathsep) if path != str(PATH)]
            os.environ["PYTHONPATH"] = os.pathsep.join(kept)
        try:
            yield
        finally:
            os.environ["PYTHONPATH"] = before

    def at(self, bundle: Bundle, precision: str) -> Bundle | None:
        """The bundle with graphs of a precision: cast or quantised once, kept; None where that fails."""
        if precision == "fp32" or any(precision in own for own in bundle.manifest["graphs"].values()):
            return bundle
        from engines.precision.cast import missing

        check = f"{bundle.name} {precision}: graphs"
        folder = self.work / f"{bundle.name}-{bundle.digest[:8]}-{precision}"
        if (folder / "bundle.json").is_file():
            return Bundle.load(folder)
        lost = missing()
        if lost is not None:
            self.tell(not_measured(check, lost))
            return None
        from engines.training.casting import recast

        draft = folder.with_name(f"{folder.name}.draft")  # a part may be cut at any time
        shutil.rmtree(draft, ignore_errors=True)
        try:
            with self._without_standin():
                _, compared = recast(bundle.folder, precision, draft)
        except EngineError as error:
            self.tell(Check(check, "", "", "fail", str(error)[:400]))
            return None
        made = Bundle.load(draft.rename(folder))
        self.tell(Check(check, "made", "", "noted", f"a golden logit is off by {compared.error or 0:.2g}"))
        return made
