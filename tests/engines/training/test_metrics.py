"""Figures of merit against values worked out by hand, and calibration against a known truth."""

from __future__ import annotations

import numpy as np
import pytest

from engines.calibration import bent
from engines.training import metrics
from engines.training.fits import PULL, beta, platt, temperature


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


def test_figures_are_those_of_scikit_learn():
    reference = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(4)
    truth, score = rng.integers(0, 2, 500), rng.integers(0, 40, 500) / 40  # with ties
    assert metrics.auroc(truth, score) == pytest.approx(reference.roc_auc_score(truth, score))
    wanted = reference.average_precision_score(truth, score)
    assert metrics.average_precision(truth, score) == pytest.approx(wanted)
    assert metrics.brier(truth, score) == pytest.approx(reference.brier_score_loss(truth, score))


def test_the_curve_ends_at_full_recall_and_keeps_to_its_points():
    truth, score = np.tile([1, 0, 0], 500), np.linspace(1, 0, 1500)
    found = metrics.curve(truth, score, points=20)
    assert len(found) <= 20
    assert found[-1][0] == 1.0
    assert metrics.curve(np.zeros(5, int), np.zeros(5)) == []


def test_bins_have_equal_mass():
    found = metrics.reliability(np.zeros(150), np.linspace(0, 1, 150) ** 3)
    assert [rows for _, _, rows in found] == [10] * 15


def test_calibration_error_is_the_gap_between_said_and_found():
    truth = np.tile([1, 0, 0, 0], 150)
    assert metrics.calibration_error(truth, np.full(600, 0.75)) == pytest.approx(0.5, abs=0.03)


def test_macro_recall_gives_each_class_the_same_weight():
    assert metrics.macro_recall(np.array([0] * 9 + [1]), np.zeros(10, int), 2) == 0.5


def test_platt_finds_the_scale_and_bias_that_made_the_labels():
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 3, 20_000).astype(np.float32)
    truth = (rng.random(20_000) < 1 / (1 + np.exp(-(0.5 * scores - 1)))).astype(np.int8)
    assert platt(scores, truth, (1.0, 0.0), 1.0) == pytest.approx((0.5, -1.0), abs=0.06)


def test_the_bend_finds_other_scales_on_either_side_of_zero():
    rng = np.random.default_rng(0)
    scores, bend = rng.normal(0, 3, 40_000).astype(np.float32), np.array([[2.0, 0.5, -0.3]], np.float32)
    truth = (rng.random(40_000) < 1 / (1 + np.exp(-bent(scores[:, None], bend)[:, 0]))).astype(np.int8)
    assert beta(scores, truth) == pytest.approx(bend[0].tolist(), abs=0.12)
    assert beta(scores, np.ones_like(truth)) == (1.0, 1.0, 0.0)
    unbent = bent(scores[:, None], np.array([[1, 1, 0]], np.float32))[:, 0]
    np.testing.assert_allclose(unbent, scores, atol=1e-5)


def test_platt_keeps_the_start_where_only_one_class_is_known():
    assert platt(np.zeros(5, np.float32), np.zeros(5, np.int8), (0.7, 0.2), 10.0) == (0.7, 0.2)


def test_temperature_finds_how_overconfident_logits_are():
    rng = np.random.default_rng(1)
    honest = rng.normal(0, 1.5, (20_000, 3))
    chances = np.exp(honest) / np.exp(honest).sum(axis=1, keepdims=True)
    truth = (rng.random((20_000, 1)) > chances.cumsum(axis=1)).sum(axis=1).clip(0, 2)
    assert np.exp(temperature((honest * 4).astype(np.float32), truth, 0.0, PULL)) == pytest.approx(
        4, rel=0.05
    )
