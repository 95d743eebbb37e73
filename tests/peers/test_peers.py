"""`make peers`: the tables it reads, the figures it gives, and the libraries it measures."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner

from engines.errors import EngineError
from engines.training import neighbours
from engines.training.text.rows import LABELS, NEGATIVE, NEUTRAL, POSITIVE, Row, table
from engines.training.text.sentences import own
from tests.peers import figures, functional, pairs, report
from tests.peers.__main__ import compare, main
from tests.peers.functional import Case
from tests.peers.pairs import Pair, judge
from tests.peers.scorers import Answers, Scorer, three_way

PAIRS = pairs.read()


def answers(polarity: float = 0.0, mood: int = 1, **chances: float) -> Answers:
    """Of one text."""
    columns = {name: np.array([chance]) for name, chance in chances.items()}
    return Answers(np.array([mood]), np.array([polarity]), columns)


def judged(holds: str, first: Answers, second: Answers) -> float:
    return judge([Pair("en", "any", "a", "b", holds)], first, second)[0]


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_there_are_many_pairs_of_every_kind_in_both_languages(lang):
    kinds = [pair.kind for pair in PAIRS if pair.lang == lang]
    assert len(kinds) >= 120
    many = {kind for kind in kinds if kinds.count(kind) >= 8}
    assert many >= {"negation", "intensifier", "contrast", "emoji", "full-width", "cloaked"}
    assert many >= {"irony-marker", "question", "scope", "target", "quotation"}


def test_no_pair_stands_twice_and_none_has_equal_sides():
    assert len({(pair.first, pair.second) for pair in PAIRS}) == len(PAIRS)
    assert all(pair.first != pair.second for pair in PAIRS)


def test_nothing_written_for_training_is_nearly_what_judges():
    judging = [text for pair in PAIRS for text in (pair.first, pair.second)]
    judging += [case.text for case in functional.read()]
    judging += [text for lang in report.LANGUAGES for text in figures.everyday(lang).texts]
    taught = [row.text for row in own()]
    alike = neighbours.pairs([*taught, *judging]).tolist()
    assert [(taught[a], judging[b - len(taught)]) for a, b in alike if a < len(taught) <= b] == []


@pytest.mark.parametrize(
    "line",
    ["en\tnegation\tgood\tbad", "fr\tnegation\tbon\tmal\tsame", "en\tquestion\ta\tb\tlabel:nonsense A>B"],
)
def test_a_broken_line_is_named(tmp_path, line):
    path = tmp_path / "pairs.tsv"
    path.write_text("\t".join(pairs.COLUMNS) + f"\nen\tnegation\tgood\tbad\tsentiment A>B\n{line}\n", "utf-8")
    with pytest.raises(EngineError) as caught:
        pairs.read(path)
    assert caught.value.where == f"{path}, line 3"


def test_a_pair_about_sentiment_holds_where_the_first_text_is_the_more_positive():
    assert judged("sentiment A>B", answers(0.2), answers(0.1)) == 1
    assert judged("sentiment A>B", answers(0.1), answers(0.1)) == 0


def test_a_pair_about_a_label_counts_only_for_scorers_that_know_it():
    assert judged("label:hate A>B", answers(hate=0.9), answers(hate=0.1)) == 1
    assert judged("label:hate A>B", answers(hate=0.1), answers(hate=0.9)) == 0
    assert np.isnan(judged("label:hate A>B", answers(violence=0.9), answers(violence=0.1)))


def test_another_spelling_keeps_the_class_and_the_order_of_labels_that_stand_apart():
    said = answers(hate=0.8, violence=0.3, profanity=0.31)
    assert judged("same", said, answers(hate=0.7, violence=0.31, profanity=0.3)) == 1
    assert judged("same", said, answers(hate=0.2, violence=0.3, profanity=0.3)) == 0
    assert judged("same", said, answers(mood=0, hate=0.8, violence=0.3, profanity=0.31)) == 0


def test_figures_of_a_scorer_that_is_always_right_are_one():
    moods = [NEGATIVE, NEUTRAL, POSITIVE] * 4
    lines = table(
        [Row(f"text {k}", "own", "en", mood, dict.fromkeys(LABELS, 0.0) | {LABELS[k % 8]: float(k > 3)})
         for k, mood in enumerate(moods)]
    )  # fmt: skip
    chances = {name: lines.labels[:, k] for k, name in enumerate(LABELS)}
    right = Answers(lines.sentiment.argmax(axis=1), None, chances, lines.labels.max(axis=1))
    found = figures.measure(right, lines, resamples=20)
    assert found.sentiment == found.breach == found.labels == figures.Figure(1.0, 1.0, 1.0)


def test_a_score_is_cut_into_three_classes():
    assert three_way(np.array([-1, -0.05, 0, 0.05, 1]), -0.05, 0.05).tolist() == [0, 0, 1, 2, 2]


def test_a_scorer_without_answers_has_dashes_in_every_table():
    silent = Scorer("silent", "says nothing", ("en", "zh"), lambda texts: Answers())
    text = report.markdown(compare([silent], resamples=1))
    assert "| silent | – | – | – | – |" in text
    assert "- silent: says nothing" in text


def test_every_kind_of_functional_test_is_hateful_or_not():
    cases = functional.read()
    kinds = {(case.lang, case.kind, case.hateful) for case in cases}
    assert len({(lang, kind) for lang, kind, _ in kinds}) == len(kinds)
    for suite in functional.SUITES:
        marks = [case.hateful for case in cases if case.suite == suite]
        assert min(sum(marks), len(marks) - sum(marks)) >= 70


def test_each_kind_of_functional_test_is_held_against_the_other_class():
    cases = [
        Case("en", kind, hateful, "")
        for kind, hateful in (("threat", True), ("opinion", True), ("news", False))
    ]
    said = Answers(chances={"hate": np.array([0.9, 0.1, 0.5])})
    found = functional.measure(cases, said, resamples=1)
    assert found is not None
    assert found.kinds == {"threat": 1.0, "opinion": 0.0, "news": 0.5}
    assert functional.measure(cases, Answers(), resamples=1) is None


@pytest.mark.parametrize("line", ["en\tthreat\t1", "fr\tthreat\t1\tbon", "en\tthreat\tyes\ttext"])
def test_a_broken_functional_test_is_named(tmp_path, line):
    path = tmp_path / "hate.tsv"
    path.write_text("\t".join(functional.COLUMNS) + f"\nen\tnews\t0\ttext\n{line}\n", "utf-8")
    with pytest.raises(EngineError) as caught:
        functional.read(path)
    assert caught.value.where == f"{path}, line 3"


def test_the_libraries_and_a_bundle_are_measured_in_one_run(tmp_path):
    for library in ("vaderSentiment", "snownlp", "profanity_check"):
        pytest.importorskip(library)
    out = tmp_path / "peers.md"
    result = CliRunner().invoke(main, ["starter", "--resamples", "2", "--out", str(out)])
    assert result.exit_code == 0, result.output
    rows = out.read_text("utf-8").splitlines()
    assert {row.split(" | ")[0].strip("| ") for row in rows} >= {"starter", "VADER", "SnowNLP", "negation"}


def test_a_bundle_that_is_not_there_is_named():
    result = CliRunner().invoke(main, ["no-such-bundle"])
    assert result.exit_code == 1
    assert "no-such-bundle" in result.output
