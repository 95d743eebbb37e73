"""Every row goes exactly once, within the budget, with little padding."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from engines.planner import plan_audio, plan_rows, plan_text, useful_ratio

CASES = [(seed, n) for seed in range(20) for n in (1, 2, 37, 500)]


def lengths(seed: int, n: int) -> np.ndarray:
    return np.random.default_rng(seed).lognormal(3, 1, n).astype(np.int32) + 1


@pytest.mark.parametrize(("seed", "n"), CASES)
def test_every_row_stands_in_exactly_one_batch(seed: int, n: int):
    rows = np.concatenate(plan_text(lengths(seed, n), 256))
    assert sorted(rows.tolist()) == list(range(n))


@pytest.mark.parametrize(("seed", "n"), CASES)
def test_no_batch_of_several_rows_is_over_the_padded_budget(seed: int, n: int):
    sizes = lengths(seed, n)
    for rows in plan_text(sizes, 256):
        assert len(rows) == 1 or len(rows) * sizes[rows].max() <= 256


@pytest.mark.parametrize(("seed", "n"), CASES)
def test_a_batch_ends_only_where_the_next_row_would_not_fit(seed: int, n: int):
    sizes, plan = lengths(seed, n), plan_text(lengths(seed, n), 256)
    for rows, after in pairwise(plan):
        assert (len(rows) + 1) * sizes[after[0]] > 256


def test_a_row_over_the_budget_goes_alone():
    plan = plan_text(np.array([10, 1000, 10, 2000], np.int32), 100)
    assert [rows.tolist() for rows in plan] == [[0, 2], [1], [3]]


def test_nothing_gives_no_batches():
    assert plan_text(np.zeros(0, np.int32), 100) == []
    assert plan_rows(0, 4) == []


def test_rows_of_length_zero_are_planned_too():
    assert [rows.tolist() for rows in plan_text(np.zeros(3, np.int32), 100)] == [[0, 1, 2]]


def test_the_budget_does_not_overflow_on_long_sounds():
    sizes = np.full(5000, 960_000, np.int32)
    assert all(len(rows) == 1 for rows in plan_audio(sizes, seconds=60, rate=16_000))


def test_sounds_are_planned_by_padded_seconds():
    plan = plan_audio(np.array([16_000, 48_000, 16_000], np.int32), seconds=2, rate=16_000)
    assert [rows.tolist() for rows in plan] == [[0, 2], [1]]


def test_images_are_cut_in_order():
    assert [rows.tolist() for rows in plan_rows(5, 2)] == [[0, 1], [2, 3], [4]]


def test_the_useful_share_counts_padding():
    sizes = np.array([10, 5], np.int32)
    assert useful_ratio(sizes, [np.array([0, 1])]) == pytest.approx(15 / 20)
    assert useful_ratio(sizes, [np.array([0]), np.array([1])]) == 1


def test_the_useful_share_of_nothing_is_one():
    assert useful_ratio(np.zeros(0, np.int32), []) == 1


def test_a_large_window_of_posts_is_mostly_useful():
    sizes = np.random.default_rng(0).lognormal(np.log(23), 0.8, 4096).astype(np.int32) + 1
    assert useful_ratio(sizes, plan_text(sizes, 4096)) > 0.9


@pytest.mark.parametrize("seed", range(10))
def test_texts_of_two_encoders_stand_apart_and_both_paddings_count(seed: int):
    random = np.random.default_rng(seed)
    sizes = np.zeros((300, 2), np.int64)
    sizes[np.arange(300), random.integers(0, 2, 300)] = lengths(seed, 300)
    plan = plan_text(sizes, 512)
    assert sorted(np.concatenate(plan).tolist()) == list(range(300))
    assert all(len(rows) == 1 or len(rows) * sizes[rows].max(axis=0).sum() <= 512 for rows in plan)
    assert sum((sizes[rows].max(axis=0) > 0).all() for rows in plan) <= 1, "at most one batch holds both"
    assert useful_ratio(sizes, plan) > 0.6
