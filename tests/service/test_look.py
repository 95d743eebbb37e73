"""How scores look: what a person reads off the bars and letters."""

from __future__ import annotations

import pytest

from service.cli import look


@pytest.mark.parametrize(
    ("polarity", "drawn"),
    [(0.0, "│"), (1.0, "│█████"), (0.5, "│██▌"), (-1.0, "█████│"), (-0.4, "██│"), (7.0, "│█████")],
)
def test_a_bar_grows_from_the_middle(polarity, drawn):
    assert look.bar(polarity).rstrip() == drawn


def test_each_modality_shows_the_worst_that_happened_to_it():
    inputs = [("text", "scored"), ("image", "scored"), ("image", "failed"), ("audio", "absent")]
    score = {"inputs": [{"modality": modality, "status": status} for modality, status in inputs]}
    assert look.modalities(score).plain == "T ✗ ·"


def test_labels_are_strongest_first_and_unevaluated_ones_are_no_zero():
    probabilities = {"spam/ads": 0.3, "hate": None, "violence": 0.9, "profanity": 0.1}
    score = {"moderation": {name: {"probability": p} for name, p in probabilities.items()}}
    assert look.labels(score).plain == "violence 0.90  spam/ads 0.30"


def test_sentiment_that_was_not_evaluated_says_so():
    assert look.sentiment({"sentiment": {"polarity": None, "label": None}}).plain == "not evaluated"
