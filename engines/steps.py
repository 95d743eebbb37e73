"""Steps down the ladder of engines: which one was given up, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engines.errors import DeviceLost, EngineError, NotBuilt, OutOfMemory
from engines.head import NotFinite
from engines.verify import Unverified

Code = Literal["unverified", "out_of_memory", "device_lost", "not_built", "failed"]


@dataclass(frozen=True, slots=True)
class Step:
    """An engine that was not taken, or was given up, and why: in words, and as a metric's label."""

    backend: str
    precision: str
    reason: str
    code: Code

    @property
    def name(self) -> str:
        """Backend and precision."""
        return f"{self.backend} {self.precision}"


def code_of(error: BaseException | None) -> Code:
    """Why an engine was given up, as a metric's label."""
    if caused_by(error, DeviceLost):
        return "device_lost"
    if caused_by(error, OutOfMemory):
        return "out_of_memory"
    if caused_by(error, NotBuilt):
        return "not_built"
    refused = caused_by(error, Unverified) or caused_by(error, NotFinite)
    return "unverified" if refused else "failed"


def caused_by(error: BaseException | None, kind: type[EngineError]) -> bool:
    """Whether an error is of a kind, or was raised for one: towers raise anew, to name the events."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__
    return error is not None
