"""Which modality carried the answer: exact Shapley values over the ones that are there."""

from __future__ import annotations

from math import factorial

from engines.batch import Float32

Shares = tuple[float | None, float | None, float | None]
"""Shares of text, image and audio; None where the modality is absent."""


def values(patterns: Float32, presence: int) -> list[tuple[int, float]]:
    """The Shapley value of each modality in the bitmask `presence`, as (modality, value).

    `patterns` float32 [8] is one logit by presence pattern; they sum to ``patterns[presence] - patterns[0]``.
    """
    here = [m for m in range(3) if presence >> m & 1]
    v = [float(x) for x in patterns]
    n = factorial(len(here))
    found = []
    for m in here:
        others = [p for p in range(8) if p & ~presence == 0 and not p >> m & 1]
        weights = [factorial(p.bit_count()) * factorial(len(here) - p.bit_count() - 1) / n for p in others]
        gains = [v[p | 1 << m] - v[p] for p in others]
        found.append((m, sum(w * g for w, g in zip(weights, gains, strict=True))))
    return found


def shares(patterns: Float32, presence: int) -> Shares:
    """Absolute Shapley values normalised to 1; equal where all are 0 or a needed pattern was not run."""
    found = values(patterns, presence)
    total = sum(abs(value) for _, value in found)
    result: list[float | None] = [None, None, None]
    for m, value in found:
        result[m] = abs(value) / total if 0 < total < float("inf") else 1 / len(found)
    return result[0], result[1], result[2]
