"""From probabilities to a decision: thresholds by label, and what to do about labels without evidence."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Final, Literal, NamedTuple

from engines.labels import Label, Labels, enough
from engines.thresholds import Thresholds
from service.calibrated import resolved, unmet
from service.findings import refuse_errors
from service.policy_file import Action, PolicyFile, read_policy

STRICTNESS: Final[dict[Action, int]] = {"allow": 0, "review": 1, "block": 2}


class Reason(NamedTuple):
    """Why an action was taken; probability and threshold are None where the label was not evaluated."""

    label: str
    probability: float | None
    threshold: float | None
    action: Action


@dataclass(frozen=True, slots=True)
class Decision:
    """The strictest action, its reasons (strictest first, then by margin) and the label that decided."""

    action: Action
    reasons: tuple[Reason, ...] = ()
    decided: str | None = None


ALLOWED: Final = Decision("allow")


class Policy:
    """Thresholds and mode as read from a policy file."""

    def __init__(self, file: PolicyFile) -> None:
        self.file = file
        self.name = file.name
        self.mode: Literal["enforce", "shadow"] = file.mode
        tree = file.model_dump(exclude_unset=True)
        canonical = json.dumps(tree, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        self.digest = hashlib.sha256(canonical.encode()).hexdigest()

    @classmethod
    def load(cls, path: Path | None) -> Policy:
        """Read a policy file (None: the built-in one); raises Refused with line and remedy."""
        return cls(read_policy(path)[0])

    @property
    def reference(self) -> str:
        """`name@` and the first twelve digits of the digest, which does not depend on the file's layout."""
        return f"{self.name}@{self.digest[:12]}"

    def bind(self, labels: Labels, thresholds: Mapping[str, Thresholds] | None = None) -> Judge:
        """Precompute the thresholds for a bundle's labels, with what its calibration found for them.

        Raises Refused where the policy leaves a threshold to the bundle, and the bundle has none.
        """
        refuse_errors(unmet(self.file, None, labels.names, thresholds or {}))
        return Judge(self, labels, thresholds or {})


class _Bound(NamedTuple):
    """One label's rule, ready to use: `enough[tried]` says whether what was sent would have been evidence."""

    name: str
    review: float
    block: float
    absent: Action
    failed: Action
    enough: tuple[bool, ...]


class Judge:
    """A policy bound to the labels of one bundle."""

    def __init__(self, policy: Policy, labels: Labels, thresholds: Mapping[str, Thresholds]) -> None:
        self._rules = tuple(_bound(policy.file, label, thresholds.get(label.name)) for label in labels.labels)
        self._lowest = tuple(min(rule.review, rule.block) for rule in self._rules)

    def decide(self, probabilities: Sequence[float], tried: int = 0) -> Decision:
        """Decide from probabilities in the order of the labels, NaN where one was not evaluated.

        `tried` is the bitmask of modalities that the event brought, readable or not.
        """
        # `not <` is also true of NaN, so one pass finds all that needs a second look.
        seen = [k for k, (p, t) in enumerate(zip(probabilities, self._lowest, strict=True)) if not p < t]
        reasons = [reason for k in seen if (reason := self._reason(k, probabilities[k], tried))]
        if not reasons:
            return ALLOWED
        reasons.sort(key=_order)
        decided = next((reason.label for reason in reasons if reason.probability is not None), None)
        return Decision(reasons[0].action, tuple(reasons), decided)

    def _reason(self, k: int, probability: float, tried: int) -> Reason | None:
        rule = self._rules[k]
        if probability != probability:  # NaN
            action = rule.failed if rule.enough[tried] else rule.absent
            return None if action == "allow" else Reason(rule.name, None, None, action)
        if probability >= rule.block:
            return Reason(rule.name, probability, rule.block, "block")
        return Reason(rule.name, probability, rule.review, "review")


def _bound(file: PolicyFile, label: Label, found: Thresholds | None) -> _Bound:
    rule = file.rule(label.name)
    review, block = resolved(rule, found)
    return _Bound(
        label.name,
        inf if review is None else review,
        inf if block is None else block,
        rule.not_evaluated.absent,
        rule.not_evaluated.failed,
        tuple(enough(label.evidence, tried) for tried in range(8)),
    )


def _order(reason: Reason) -> tuple[int, float]:
    if reason.probability is None or reason.threshold is None:
        return -STRICTNESS[reason.action], inf
    return -STRICTNESS[reason.action], reason.threshold - reason.probability
