"""From probabilities to a decision: thresholds by label, and what to do about labels without evidence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engines.labels import Labels

Action = Literal["allow", "review", "block"]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an action was taken; probability and threshold are None where the label was not evaluated."""

    label: str
    probability: float | None
    threshold: float | None
    action: Action


@dataclass(frozen=True, slots=True)
class Decision:
    """The strictest action, its reasons (strictest first, then by margin) and the label that decided."""

    action: Action
    reasons: tuple[Reason, ...]
    decided: str | None


class Judge:
    """A policy bound to the labels of one bundle."""

    def decide(self, probabilities: Sequence[float], failed: Iterable[str] = ()) -> Decision:
        """Decide from probabilities (NaN or None: not evaluated) in label order, and the modalities that failed."""
        raise NotImplementedError


class Policy:
    """Thresholds and mode as read from a policy file."""

    name: str
    mode: Literal["enforce", "shadow"]
    digest: str

    @classmethod
    def load(cls, path: Path | None) -> Policy:
        """Read a policy file (None: the built-in one); raises `Refused` with line and remedy."""
        raise NotImplementedError

    @property
    def reference(self) -> str:
        """`name@` and the first twelve digits of the digest."""
        raise NotImplementedError

    def bind(self, labels: Labels) -> Judge:
        """Precompute the thresholds for a bundle's labels."""
        raise NotImplementedError
