"""Confidence intervals of measured figures; all two-sided at 95 % unless said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Z: Final = 1.959964
"""Two-sided 95 %."""
ONE_SIDED: Final = 1.644854
"""One-sided 95 %: "at least", with that confidence."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95 % interval; all NaN where it is not defined."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return "–" if np.isnan(self.value) else f"{self.value:.3f} ({self.low:.3f}–{self.high:.3f})"


NONE: Final = Estimate(float("nan"), float("nan"), float("nan"))


def wilson(hits: NDArray[Any], count: NDArray[Any], z: float = Z) -> tuple[NDArray[Any], NDArray[Any]]:
    """Bounds of shares ``hits`` ÷ ``count`` (Wilson 1927); 0 and 1 where the count is 0."""
    n = np.maximum(count, 1e-12)
    share, room = hits / n, z * z / n
    middle = (share + room / 2) / (1 + room)
    half = np.sqrt(room * share * (1 - share) + room * room / 4) / (1 + room)
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)


def share(hits: int, count: int) -> Estimate:
    """A share with Wilson's interval."""
    if not count:
        return NONE
    low, high = wilson(np.array(float(hits)), np.array(float(count)))
    return Estimate(hits / count, float(low), float(high))


def of_auroc(value: float, positives: int, negatives: int) -> Estimate:
    """An AUROC with the score interval of Newcombe 2006 ("Confidence intervals for an effect size measure
    based on the Mann–Whitney statistic, part 2", method 5): not empty at 1, as Hanley and McNeil's is.
    """
    if np.isnan(value) or not positives or not negatives:
        return NONE
    more = (positives + negatives) / 2 - 1

    def gap(guess: float) -> float:
        spread = 1 + more * ((1 - guess) / (2 - guess) + guess / (1 + guess))
        variance = guess * (1 - guess) * spread / (positives * negatives)
        return abs(guess - value) - Z * float(np.sqrt(variance))

    return Estimate(value, _edge(gap, value, 0.0), _edge(gap, value, 1.0))


def _edge(gap: Any, inside: float, outside: float) -> float:
    """Where ``gap`` changes its sign between a point inside the interval and one outside."""
    for _ in range(50):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if gap(middle) < 0 else (inside, middle)
    return (inside + outside) / 2


def mean_of_shares(hits: NDArray[Any], counts: NDArray[Any]) -> Estimate:
    """The mean of independent shares, by the variances that Wilson's bounds imply (Zou and Donner 2008)."""
    seen = counts > 0
    if not seen.any():
        return NONE
    hits, counts = hits[seen].astype(float), counts[seen].astype(float)
    shares = hits / counts
    low, high = wilson(hits, counts)
    value, k = float(shares.mean()), len(shares)
    under, over = np.sqrt(((shares - low) ** 2).sum()) / k, np.sqrt(((high - shares) ** 2).sum()) / k
    return Estimate(value, max(0.0, float(value - under)), min(1.0, float(value + over)))
