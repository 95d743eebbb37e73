"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engines.errors import EngineError
from service.errors import Exit, TidegateError

State = Literal["PASS", "WARN", "FAIL"]


@dataclass(frozen=True, slots=True)
class Result:
    """One check's outcome; `exit_code` counts where it failed."""

    name: str
    state: State
    detail: str
    remedy: str = ""
    exit_code: Exit = Exit.OK


def of_error(
    name: str, error: TidegateError | EngineError, state: State = "FAIL", code: Exit = Exit.CONFIG
) -> Result:
    """What an error says, as a result."""
    detail = ": ".join(part for part in (error.what, error.where, error.why) if part)
    return Result(name, state, detail, error.remedy, code if state == "FAIL" else Exit.OK)
