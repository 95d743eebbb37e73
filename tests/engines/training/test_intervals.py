"""Confidence intervals: against published values, and against what they promise."""

from __future__ import annotations

import numpy as np
import pytest

from engines.training import intervals, metrics


def test_wilsons_interval_is_the_published_one():
    # Newcombe 1998, table I: 81 of 263
    found = intervals.share(81, 263)
    assert (found.low, found.high) == pytest.approx((0.2553, 0.3662), abs=1e-4)


def test_a_share_of_nothing_is_undefined():
    assert np.isnan(intervals.share(0, 0).value)


def test_the_interval_of_a_perfect_auroc_is_not_empty():
    found = intervals.of_auroc(1.0, 20, 500)
    assert found.high == pytest.approx(1.0)
    assert 0.85 < found.low < 0.99
    assert intervals.of_auroc(1.0, 200, 500).low > found.low


def test_an_aurocs_interval_holds_the_true_one_as_often_as_it_says():
    rng = np.random.default_rng(0)
    truth = np.repeat([1, 0], [40, 160])
    shift = 1.2  # normal scores this far apart have an AUROC of Φ(1.2 ÷ √2)
    held = 0
    for _ in range(300):
        found = metrics.auroc(truth, rng.normal(0, 1, 200) + shift * truth)
        each = intervals.of_auroc(found, 40, 160)
        held += each.low <= 0.8019 <= each.high
    assert 0.91 <= held / 300 <= 0.99


def test_the_mean_of_shares_leaves_out_classes_without_rows():
    found = intervals.mean_of_shares(np.array([9, 0, 5]), np.array([10, 0, 10]))
    assert found.value == pytest.approx(0.7)
    assert found.low < 0.7 < found.high


def test_more_rows_give_a_narrower_interval():
    few, many = (intervals.mean_of_shares(np.array([8, 8]) * n, np.array([10, 10]) * n) for n in (1, 100))
    assert many.high - many.low < (few.high - few.low) / 5
