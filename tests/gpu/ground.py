"""What every part stands on: the device, sizes, folders, and where checks are written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engines.bundle import Bundle
from engines.errors import EngineError
from engines.planner import Budget
from engines.rates import Rates, gpu_rates, processor_rates
from engines.sessions.base import Terms
from engines.sessions.choose import BACKENDS
from engines.tensorrt.store import PlanStore
from tests.gpu.results import Check, not_measured

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

    def terms(self, lanes: int = LANES) -> Terms:
        """For opening a session."""
        return Terms(threads=4, lanes=lanes, budget=self.budget)

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
