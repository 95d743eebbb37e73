"""Shares are exact Shapley values: they know who brought what, and always sum to one."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from engines.shapley import shares, values


def game(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=8).astype(np.float32)


@pytest.mark.parametrize("presence", range(1, 8))
def test_values_sum_to_the_difference_from_nothing(presence: int):
    v = game(1)
    assert sum(x for _, x in values(v, presence)) == pytest.approx(v[presence] - v[0], abs=1e-6)


def test_values_are_the_mean_gain_over_all_orders_of_arrival():
    v, gains = game(2), np.zeros(3)
    for order in permutations(range(3)):
        here = 0
        for m in order:
            gains[m] += v[here | 1 << m] - v[here]
            here |= 1 << m
    assert [x for _, x in values(v, 7)] == pytest.approx((gains / 6).tolist(), abs=1e-6)


@pytest.mark.parametrize("presence", range(1, 8))
def test_shares_sum_to_one_and_the_absent_have_none(presence: int):
    found = shares(game(3), presence)
    assert [s is not None for s in found] == [bool(presence >> m & 1) for m in range(3)]
    assert sum(s for s in found if s is not None) == pytest.approx(1)


def test_whoever_brings_everything_has_the_whole_share():
    image_only = np.array([0, 0, 2, 2, 0, 0, 2, 2], np.float32)
    assert shares(image_only, 7) == (0, 1, 0)


def test_shares_are_equal_where_nobody_brought_anything():
    assert shares(np.zeros(8, np.float32), 5) == (0.5, None, 0.5)


def test_shares_are_equal_where_a_needed_pattern_was_not_run():
    v = game(4)
    v[1] = np.nan
    assert shares(v, 3) == (0.5, 0.5, None)


def test_patterns_outside_what_is_there_do_not_matter():
    v = game(5)
    spoiled = v.copy()
    spoiled[4:] = np.nan
    assert shares(spoiled, 3) == shares(v, 3)


def test_an_empty_event_has_no_shares():
    assert shares(game(6), 0) == (None, None, None)
