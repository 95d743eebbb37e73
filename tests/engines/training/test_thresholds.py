"""Thresholds keep what they promise on rows that nobody has seen, and say why where they can't."""

from __future__ import annotations

import numpy as np
import pytest

from engines.training.thresholds import Goals, fewest, find


def rows(count: int, seed: int = 0, share: float = 0.2):
    """Truth and honest probabilities: at p, a share p is positive."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(np.log(share / (1 - share)), 3, count)
    probability = 1 / (1 + np.exp(-logit))
    return (rng.random(count) < probability).astype(int), probability


def test_block_keeps_its_precision_and_review_its_recall_on_fresh_rows():
    truth, probability = rows(4_000, seed=1)
    found = find(truth, probability, Goals(0.9, 0.95))
    fresh, said = rows(40_000, seed=2)
    assert fresh[said >= found.block].mean() >= 0.9
    assert fresh[said >= found.review].sum() / fresh.sum() >= 0.95


def test_block_is_the_lowest_threshold_that_keeps_it():
    truth = np.repeat([1, 0], [400, 400])
    probability = np.concatenate([np.linspace(0.6, 0.99, 400), np.linspace(0.01, 0.4, 400)])
    found = find(truth, probability, Goals(0.95, 0.9))
    assert found.block < 0.6
    assert found.review <= found.block
    assert (found.why, found.positives, found.rows) == ("", 400, 800)


def test_what_was_measured_there_is_told():
    truth, probability = rows(4_000)
    found = find(truth, probability, Goals(0.9, 0.95))
    over = probability >= found.block
    assert found.precision == pytest.approx(truth[over].mean(), abs=1e-3)
    assert found.recall == pytest.approx(truth[probability >= found.review].sum() / truth.sum(), abs=1e-3)


def test_too_few_positives_promise_nothing_and_say_how_many_are_needed():
    truth, probability = np.repeat([1, 0], [12, 300]), np.repeat([0.9, 0.1], [12, 300])
    found = find(truth, probability, Goals(0.95, 0.9))
    assert found.block is found.review is None
    assert "12 positive events, at least 52 are needed" in found.why
    assert "at least 25 are needed" in found.why


def test_the_number_that_is_needed_is_enough():
    count = fewest(0.95)
    truth, probability = np.repeat([1, 0], [count, 300]), np.repeat([0.9, 0.1], [count, 300])
    assert find(truth, probability, Goals(0.95, 0.9)).block is not None


def test_scores_without_meaning_have_no_block_threshold():
    rng = np.random.default_rng(3)
    found = find((rng.random(3_000) < 0.2).astype(int), rng.random(3_000), Goals())
    assert found.block is None
    assert "at no threshold" in found.why


@pytest.mark.parametrize(("truth", "why"), [(np.zeros(40, int), "all 40"), (np.zeros(0, int), "no event")])
def test_one_class_alone_has_no_thresholds(truth, why):
    found = find(truth, np.linspace(0, 1, len(truth)), Goals())
    assert found.block is found.review is None
    assert why in found.why
