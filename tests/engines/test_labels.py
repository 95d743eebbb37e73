"""Labels say what they need, and files that say it wrongly are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines.errors import BundleError
from engines.labels import Label, Labels
from tests.tiny_bundle import LABELS


def test_a_label_is_evaluable_when_any_set_of_its_evidence_is_complete():
    both = Labels((Label("hate", (frozenset({"text", "image"}), frozenset({"audio"}))),))
    shown = both.evaluable(np.arange(8, dtype=np.uint8))[:, 0]
    assert shown.tolist() == [False, False, False, True, True, True, True, True]


def test_nothing_is_evaluable_in_an_empty_event():
    empty = np.zeros(1, np.uint8)
    assert not LABELS.evaluable(empty).any()
    assert not LABELS.sentiment_evaluable(empty).any()


def test_sentiment_has_evidence_of_its_own():
    labels = Labels((Label("spam"),), sentiment_evidence=(frozenset({"text"}),))
    assert labels.sentiment_evaluable(np.array([1, 2, 3], np.uint8)).tolist() == [True, False, True]


def test_what_is_written_is_read_back(tmp_path: Path):
    LABELS.dump(tmp_path / "labels.yaml")
    assert Labels.load(tmp_path / "labels.yaml") == LABELS


def test_labels_may_be_none_where_there_is_sentiment(tmp_path: Path):
    (tmp_path / "labels.yaml").write_text("{labels: [], sentiment: {evidence: [[text]]}}")
    labels = Labels.load(tmp_path / "labels.yaml")
    assert labels.names == ()
    assert labels.evaluable(np.arange(8, dtype=np.uint8)).shape == (8, 0)
    assert labels.sentiment_evaluable(np.array([0, 1, 2], np.uint8)).tolist() == [False, True, False]
    labels.dump(tmp_path / "again.yaml")
    assert Labels.load(tmp_path / "again.yaml") == labels


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("sentiment: {evidence: [[text]]}", "a list `labels`"),
        ("{labels: [], sentiment: {evidence: []}}", "nothing could be said"),
        ("[1, 2]", "mapping"),
        ("labels: [{evidence: [[text]]}]", "name"),
        ("labels: [{name: hate, evidence: [[smell]]}]", "smell"),
        ("labels: [{name: hate, evidence: []}]", "evidence of hate"),
        ("labels: [{name: hate}, {name: hate}]", "twice"),
        ("labels: [{name: hate, weight: 3}]", "weight"),
        ("labels: [{name: hate}]\nsentiment: 3", "sentiment"),
        ("labels: {", "not YAML"),
        ("!!python/object/apply:os.system [ls]", "not YAML"),
    ],
)
def test_a_wrong_file_is_refused_with_the_reason(text: str, why: str):
    with pytest.raises(BundleError, match=why):
        Labels.parse(text.encode())
