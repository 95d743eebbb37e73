"""A small model trained from generated events really fuses; and the measures that say so are right."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from engines.training.gates import Gate, table
from engines.training.gates.fusing import additive, additive_gap, flips, probe, shares, shown, within
from engines.training.metrics import auroc

RANDOM = np.random.default_rng(0)
LEFT, RIGHT = RANDOM.choice([-1.0, 1.0], (2, 60))  # what 60 texts and 60 images say
PAIRS = np.stack([np.arange(60), np.arange(60), np.full(60, -1)], axis=1).astype(np.int32)


def said(rows, of, m):
    return np.where(rows[:, m] >= 0, of[rows[:, m]], 0.0)


def adding(rows):
    """A model whose modalities only add up."""
    return (said(rows, LEFT, 0) + 2 * said(rows, RIGHT, 1)).astype(np.float32)


def crossing(rows):
    """A model of their product: XOR."""
    return (said(rows, LEFT, 0) * said(rows, RIGHT, 1)).astype(np.float32)


def test_the_additive_projection_of_what_adds_up_is_the_same():
    np.testing.assert_allclose(additive(adding, PAIRS), adding(PAIRS), atol=1e-6)


def test_the_additive_projection_of_a_product_has_lost_it():
    truth = (crossing(PAIRS) > 0).astype(int)
    assert auroc(truth, crossing(PAIRS)) == 1
    assert additive_gap(crossing, PAIRS, truth) >= 0.3
    assert additive_gap(adding, PAIRS, (RIGHT > 0).astype(int)) == pytest.approx(0, abs=1e-6)


def test_swapping_images_flips_what_needs_them_and_nothing_else():
    families = (RIGHT > 0).astype(int)
    assert flips(crossing, PAIRS, families) == 1
    assert flips(lambda rows: said(rows, LEFT, 0), PAIRS, families) == 0


def test_shapley_shares_are_halves_of_a_product_and_all_of_what_one_says():
    np.testing.assert_allclose(shares(crossing, PAIRS), np.tile([0.5, 0.5, 0], (60, 1)))
    np.testing.assert_allclose(
        shares(lambda rows: said(rows, LEFT, 0), PAIRS), np.tile([1, 0, 0], (60, 1)), atol=1e-12
    )


def test_hiding_a_modality_leaves_the_others():
    assert shown(PAIRS, 2)[5].tolist() == [-1, 5, -1]


def test_a_reader_finds_what_tokens_hold_and_only_that():
    tokens = RANDOM.normal(0, 1, (2000, 8)).astype(np.float32)
    truth = (tokens[:, 0] > 0).astype(int)
    assert auroc(truth[1000:], probe(tokens[:1000], truth[:1000], tokens[1000:])) >= 0.95
    dealt = RANDOM.permutation(truth)
    assert 0.4 <= auroc(dealt[1000:], probe(tokens[:1000], dealt[:1000], tokens[1000:])) <= 0.6


def test_which_modalities_an_event_has_is_no_knowledge_of_what_they_hold():
    presence = np.repeat(np.array([1, 5], np.uint8), 200)
    truth = (RANDOM.random(400) < np.where(presence == 1, 0.1, 0.6)).astype(int)
    habit = presence.astype(np.float32)  # says yes to every event with a sound, whatever sounds
    assert auroc(truth, habit) > 0.7
    assert within(truth, habit, presence) == 0.5
    assert within(truth, truth.astype(np.float32), presence) == 1
    assert np.isnan(within(np.zeros(400, int), habit, presence))


def test_a_gate_without_a_figure_fails_and_says_so():
    gates = [Gate("a", "m", 0.97, 0.95), Gate("b", "m", float("nan"), 0.95), Gate("c", "m", 0.6, 0.45, 0.55)]
    assert [gate.passed for gate in gates] == [True, False, False]
    lines = table(gates).splitlines()
    assert [line[:4] for line in lines] == ["ok  ", "FAIL", "FAIL", "2 of"]
    assert lines[2].endswith(">= 0.45, <= 0.55")


@pytest.fixture(scope="module")
def gates() -> list[Gate]:
    """All gates of the small model: three seeds, three fusions, two backends, a control. Minutes."""
    from engines.training.gates.running import run

    return run()


@pytest.mark.train
@pytest.mark.skipif(find_spec("torch") is None, reason="needs the training extra (torch)")
@pytest.mark.parametrize(
    ("what", "least"),
    [
        ("XOR: AUROC fused", 7),
        ("XOR: AUROC of a reader of", 6),
        ("XOR: AUROC lost when modalities only add up", 3),
        ("XOR: decisions that an image swap flips", 3),
        ("XOR: Shapley share of", 6),
        (": Shapley share of who shows it", 24),
        ("mean AUROC over the labels", 4),
        ("logits off from torch's", 2),
        ("alone, in a batch, in any order", 2),
        ("answers without evidence", 2),
    ],
)
def test_the_small_model_passes_its_gates(gates, what, least):
    found = [gate for gate in gates if what in gate.what]
    assert len(found) >= least
    assert all(gate.passed for gate in found), f"\n{table(found)}"
