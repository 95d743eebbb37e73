"""Where a label's probability should mean `review` and where `block`, as labelled events bear it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Thresholds:
    """One label's thresholds at one precision, each 0…1; None where the events could not promise it.

    At ``review`` and above at least ``recall_target`` of the positives are found, at ``block`` and above at
    least ``precision_target`` of what is taken is positive: both with 95 % confidence. ``recall`` and
    ``precision`` are what was measured there; a precision holds for the share of positives that ``rows`` had
    and falls where they are rarer. ``why`` says why one is missing.
    """

    review: float | None = None
    block: float | None = None
    recall: float | None = None
    precision: float | None = None
    recall_target: float = 0.0
    precision_target: float = 0.0
    rows: int = 0
    positives: int = 0
    why: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The plain form that calibration.json holds."""
        return asdict(self)

    @classmethod
    def from_dict(cls, tree: Mapping[str, Any]) -> Thresholds:
        """From the plain form; raises ValueError, KeyError or TypeError where it is none."""
        made = cls(
            **{name: _share(tree[name]) for name in ("review", "block", "recall", "precision")},
            recall_target=float(tree["recall_target"]),
            precision_target=float(tree["precision_target"]),
            rows=int(tree["rows"]),
            positives=int(tree["positives"]),
            why=str(tree.get("why", "")),
        )
        if made.review is not None and made.block is not None and made.block < made.review:
            raise ValueError(f"a threshold blocks at {made.block} and reviews only at {made.review}")
        return made


def _share(value: object) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"a threshold is a number from 0 to 1 or null, not {value!r:.40}")
    return float(value)
