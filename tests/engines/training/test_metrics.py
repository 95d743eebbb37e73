"""Figures of merit against values worked out by hand, and calibration against a known truth."""

from __future__ import annotations

import numpy as np
import pytest

from engines.training import metrics
from engines.training.calibrate import _platt, _temperature


def test_auroc_counts_ordered_pairs_and_half_of_the_ties():
    truth = np.array([0, 0, 1, 1])
    assert metrics.auroc(truth, np.array([0.1, 0.4, 0.35, 0.8])) == 0.75
    assert metrics.auroc(truth, np.zeros(4)) == 0.5


def test_auroc_of_one_class_is_undefined():
    assert np.isnan(metrics.auroc(np.ones(3), np.arange(3.0)))


def test_average_precision_is_the_mean_over_hits():
    assert metrics.average_precision(np.array([1, 0, 1]), np.array([0.9, 0.8, 0.7])) == pytest.approx(
        (1 + 2 / 3) / 2
    )


def test_calibration_error_is_the_gap_between_said_and_found():
    truth = np.tile([1, 0, 0, 0], 150)
    assert metrics.calibration_error(truth, np.full(600, 0.75)) == pytest.approx(0.5, abs=0.03)


def test_macro_recall_gives_each_class_the_same_weight():
    assert metrics.macro_recall(np.array([0] * 9 + [1]), np.zeros(10, int), 2) == 0.5


def test_platt_finds_the_scale_and_bias_that_made_the_labels():
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 3, 20_000).astype(np.float32)
    truth = (rng.random(20_000) < 1 / (1 + np.exp(-(0.5 * scores - 1)))).astype(np.int8)
    assert _platt(scores, truth, (1.0, 0.0), 1.0) == pytest.approx((0.5, -1.0), abs=0.06)


def test_platt_keeps_the_start_where_only_one_class_is_known():
    assert _platt(np.zeros(5, np.float32), np.zeros(5, np.int8), (0.7, 0.2), 10.0) == (0.7, 0.2)


def test_temperature_finds_how_overconfident_logits_are():
    rng = np.random.default_rng(1)
    honest = rng.normal(0, 1.5, (20_000, 3))
    chances = np.exp(honest) / np.exp(honest).sum(axis=1, keepdims=True)
    truth = (rng.random((20_000, 1)) > chances.cumsum(axis=1)).sum(axis=1).clip(0, 2)
    assert np.exp(_temperature((honest * 4).astype(np.float32), truth, 0.0)) == pytest.approx(4, rel=0.05)
