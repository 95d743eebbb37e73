"""Errors by what an operator has to do about them; each kind has its exit code."""

from __future__ import annotations

from enum import IntEnum

from engines.errors import explain


class Exit(IntEnum):
    """Exit codes of every verb (after sysexits.h)."""

    OK = 0
    DATA = 65
    USAGE = 64
    UNREACHABLE = 69
    INTERNAL = 70
    GAVE_UP_DRAINING = 75
    CONFIG = 78


class TidegateError(Exception):
    """An error a person reads: what happened, where, why, and what to do next."""

    exit_code = Exit.INTERNAL

    def __init__(self, what: str, *, where: str = "", why: str = "", remedy: str = "") -> None:
        self.what, self.where, self.why, self.remedy = what, where, why, remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        return explain(self.what, self.where, self.why, self.remedy)


class ConfigError(TidegateError):
    """Configuration, credentials, policy or bundle that cannot work: mend it, then start again."""

    exit_code = Exit.CONFIG


class UnreachableError(TidegateError):
    """Something outside does not answer, or is not there."""

    exit_code = Exit.UNREACHABLE


class DataError(TidegateError):
    """Input that cannot be read."""

    exit_code = Exit.DATA


class InternalError(TidegateError):
    """Our own fault, or a fence: restart and report."""

    exit_code = Exit.INTERNAL


class RecordError(Exception):
    """One record (or one item of it) cannot be scored; it becomes a dead letter or a failed input.

    `kind` is the dead letter's class (`invalid`, `media`, `crash`, `expired`), `reason` one of the contract's
    reasons, `detail` a short human hint that never holds payload.
    """

    def __init__(self, kind: str, reason: str, detail: str = "", stage: str = "prepare") -> None:
        super().__init__(f"{kind}/{reason}: {detail}")
        self.kind, self.reason, self.detail, self.stage = kind, reason, detail, stage
