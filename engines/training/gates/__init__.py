"""Does a model really fuse? Gates that a small model, trained from generated events, has to pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite


@dataclass(frozen=True, slots=True)
class Gate:
    """One figure and the bounds it has to keep; ``what`` is the gate, ``of`` the model that was measured."""

    what: str
    of: str
    value: float
    low: float = -inf
    high: float = inf

    @property
    def passed(self) -> bool:
        """Whether the figure keeps its bounds; NaN never does."""
        return self.low <= self.value <= self.high

    def __str__(self) -> str:
        bounds = [
            f"{sign} {bound:g}" for sign, bound in ((">=", self.low), ("<=", self.high)) if isfinite(bound)
        ]
        mark = "ok  " if self.passed else "FAIL"
        return f"{mark} {self.of:24} {self.what:46} {self.value:9.4g}  {', '.join(bounds)}"


def table(gates: Sequence[Gate]) -> str:
    """A line for each gate, and how many failed."""
    failed = sum(not gate.passed for gate in gates)
    end = f"{failed} of {len(gates)} gates failed" if failed else f"all {len(gates)} gates passed"
    return "\n".join([*map(str, gates), end])
