"""Thresholds that a policy leaves to the bundle: `review: calibrated` and `block: calibrated`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal

from engines.thresholds import Thresholds
from service.document import Document
from service.findings import Finding
from service.policy_file import CALIBRATED, PolicyFile, Rule

NOTHING: Final = Thresholds(why="the bundle has no thresholds for it")
_REMEDIES: Final = {
    "review": "Write a number for these labels, or calibrate the bundle on more events that have them",
    "block": "Write a number, or null to leave it to reviewers, or calibrate on more events that have them",
}


def resolved(rule: Rule, found: Thresholds | None) -> tuple[float | None, float | None]:
    """The numbers of `review` and `block`; None: never, or the bundle could not tell (see `unmet`)."""
    found = found or NOTHING
    review = found.review if rule.review == CALIBRATED else rule.review
    block = found.block if rule.block == CALIBRATED else rule.block
    return review, block


def unmet(
    policy: PolicyFile, document: Document | None, names: Iterable[str], thresholds: Mapping[str, Thresholds]
) -> Iterator[Finding]:
    """Where a policy asks for a threshold that the bundle has not: one finding for each kind of trouble.

    Without a calibrated `block` a label may still be reviewed, which is a warning. A label that nothing would
    act on is an error, and so is a missing `review`: posts would pass that the policy's author meant to see.
    """
    missing: dict[tuple[Literal["error", "warning"], str], list[str]] = {}
    for name in names:
        rule = policy.rule(name)
        review, block = resolved(rule, thresholds.get(name))
        if rule.review == CALIBRATED and review is None:
            missing.setdefault(("error", "review"), []).append(name)
        if rule.block == CALIBRATED and block is None:
            missing.setdefault(("warning" if review is not None else "error", "block"), []).append(name)
    for (level, action), labels in missing.items():
        whys = {thresholds.get(name, NOTHING).why for name in labels}
        key = ("labels", labels[0]) if labels[0] in policy.labels else ("default",)
        what = f"'{action}: {CALIBRATED}' has no number for {', '.join(labels)}"
        remedy = _REMEDIES[action]
        yield Finding(level, document.where(key) if document else "", what, "; ".join(sorted(whys)), remedy)
