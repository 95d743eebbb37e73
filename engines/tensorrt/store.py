"""Plans on disk: a plan is code that runs on the GPU, so only what this user signed is ever handed out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.errors import EngineError
from engines.tensorrt.key import PlanKey


class StoreError(EngineError):
    """Plans cannot be kept or trusted here. What was built can still be served, without being kept."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A verified plan, and JSON facts of it: signature, buckets, seconds, verify results…"""

    key: PlanKey
    plan: bytes
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the store; `key` is None, and `problem` says why, where it cannot be trusted."""

    path: Path
    bytes: int
    age: float
    """Seconds since it was written."""
    key: PlanKey | None
    facts: Mapping[str, Any]
    problem: str = ""


class PlanStore:
    """Plans under their keys' digests, in a folder of the owner's alone, signed with a secret beside them.

    Safe across processes. `say` hears what a person should know: a wait, a plan put aside and why.
    """

    def __init__(self, folder: Path | None = None, say: Callable[[str], None] | None = None) -> None:
        raise NotImplementedError

    @property
    def folder(self) -> Path:
        """Where the plans lie; the user's cache where none was named."""
        raise NotImplementedError

    def problem(self) -> str | None:
        """Why plans cannot be kept here, None where they can."""
        raise NotImplementedError

    def get(self, key: PlanKey) -> Stored | None:
        """The plan under a key, verified; what doesn't verify is put aside, and None given.

        Raises StoreError where the folder cannot be trusted at all.
        """
        raise NotImplementedError

    def put(self, key: PlanKey, plan: bytes, facts: Mapping[str, Any]) -> Stored:
        """Keep a plan, atomically, in place of what was under its key; raises StoreError."""
        raise NotImplementedError

    def note(self, key: PlanKey, facts: Mapping[str, Any]) -> None:
        """Add facts to a kept plan: what verifying it found, say; raises StoreError."""
        raise NotImplementedError

    def building(self, key: PlanKey) -> AbstractContextManager[Stored | None]:
        """Hold the right to build a plan, alone among processes, and say so while waiting for it.

        Gives the plan where another process has built it meanwhile. Where nothing can be written, the
        building goes ahead without the right; raises StoreError where the folder cannot be trusted.
        """
        raise NotImplementedError

    def timings(self, key: PlanKey) -> bytes | None:
        """The timing cache of the builder, GPU and driver of a key, verified as a plan is."""
        raise NotImplementedError

    def keep_timings(self, key: PlanKey, cache: bytes) -> None:
        """Keep the timing cache for the next plan; raises StoreError."""
        raise NotImplementedError

    def why_not(self, key: PlanKey) -> str:
        """Why there is no plan under a key: what differs in the one that comes closest."""
        raise NotImplementedError

    def list(self) -> tuple[Entry, ...]:
        """Every plan, newest first, each verified in full; raises StoreError."""
        raise NotImplementedError

    def prune(
        self,
        keep_days: float | None = None,
        stale: Callable[[PlanKey], bool] | None = None,
        everything: bool = False,
    ) -> tuple[Entry, ...]:
        """Remove plans older than `keep_days`, those that are `stale`, or all; and what was put aside.

        Gives what went; raises StoreError.
        """
        raise NotImplementedError
