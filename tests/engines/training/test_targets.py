"""Targets: what nobody annotated weighs nothing, rare classes weigh more, a teacher is mixed in."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from engines.training import targets  # noqa: E402

pytestmark = pytest.mark.train


def made(sentiment, labels, weigh=True):
    sentiment, labels = np.array(sentiment), np.array(labels)
    return targets.hard(sentiment, labels, np.ones(len(sentiment), bool), weigh)


def test_what_nobody_annotated_costs_nothing():
    aims = made([-1, -1], [[-1, 1], [-1, 0]])
    logits = torch.randn(2, 2)
    other = logits.clone()
    other[:, 0] += 5
    none = torch.zeros(2, 3)
    assert targets.loss(none, logits, aims) == targets.loss(none, other, aims)
    assert targets.loss(torch.randn(2, 3), logits, aims) == targets.loss(none, logits, aims)


def test_a_rare_class_weighs_more_and_the_mean_stays_one():
    aims = made([0] * 9 + [2], [[0]] * 9 + [[1]])
    assert aims.label_weight[9] == pytest.approx(3 * aims.label_weight[0], rel=1e-4)
    assert aims.label_weight.mean() == pytest.approx(1, rel=1e-4)
    assert aims.sentiment_weight.tolist() == [1.0] * 10  # a class is missing: nothing to balance


def test_without_class_weights_all_count_alike():
    assert set(made([0, 1, 2, 2], [[0], [0], [0], [1]], weigh=False).label_weight.flatten().tolist()) == {1.0}


def test_a_teacher_moves_targets_and_speaks_where_people_did_not():
    nan = float("nan")
    aims = made([0, -1, 1], [[1], [-1], [0]])
    said = np.array([[0.2, 0.2, 0.6], [0.1, 0.1, 0.8], [nan] * 3]), np.array([[0.5], [0.9], [nan]])
    mixed = targets.taught_by(aims, *said, 0.5)
    assert mixed.sentiment[0, 2] == pytest.approx(0.5 * 0.01 + 0.5 * 0.6, abs=1e-3)
    assert mixed.sentiment[1].tolist() == pytest.approx([0.1, 0.1, 0.8])
    assert mixed.sentiment_weight[1] == 0.5
    assert mixed.labels[1, 0] == pytest.approx(0.9)
    assert mixed.labels[2, 0] == aims.labels[2, 0]
    assert mixed.label_weight[2, 0] == aims.label_weight[2, 0]
