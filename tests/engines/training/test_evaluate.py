"""The report tells what the bundle really does, in slices; the card says it to people, in one small page."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import orjson
import pytest

from engines.batch import Batch
from engines.bundle import Bundle
from engines.engine import EngineChoice, FusedEngine
from engines.errors import EngineError
from engines.training import card, metrics
from engines.training.card import About, SourceFact, tables, write_card
from engines.training.document import markdown
from engines.training.evaluate import answers, evaluate
from engines.training.intervals import NONE
from engines.training.invariance import invariance
from engines.training.recalibrate import recalibrate
from engines.training.report import Slice, SplitReport
from engines.training.thresholds import Goals
from tests.engines.training.labelled import made
from tests.tiny_bundle import LABELS

ABOUT = About(
    sources=(SourceFact("forum posts", "CC0-1.0", "ab" * 32, "a <forum>", 1234, "sentiment"),),
    facts={"seed": 7, "generator version": "9"},
    synthetic={"image": "drawn by code"},
)


@pytest.fixture(scope="module")
def fitted(tiny, tmp_path_factory):
    """The tiny bundle, calibrated, with events that its own logits labelled."""
    engine = FusedEngine(Bundle.load(tiny), EngineChoice("onnxruntime", "fp32"), threads=1)
    data, inputs = made(engine, 4_200)
    engine.close()
    folder = tmp_path_factory.mktemp("calibrated")
    out = folder / "bundle"
    with pytest.MonkeyPatch.context() as patch:  # the parts have no real media behind them
        patch.setattr("engines.training.recalibrate.decode", lambda data, spec: inputs)
        bundle, _ = recalibrate(tiny, data, out, goals=Goals(0.8, 0.8), precisions=("fp32",), threads=1)
    engine = FusedEngine(bundle, EngineChoice("onnxruntime", "fp32"), threads=1)
    yield engine, data, inputs
    engine.close()


@pytest.fixture(scope="module")
def report(fitted):
    engine, data, inputs = fitted
    return evaluate(engine, data, inputs=inputs)


def test_a_label_is_measured_on_the_events_that_annotate_it_and_have_its_evidence(fitted, report):
    engine, data, inputs = fitted
    events = data.events.of("test")
    said = answers(engine, inputs, events).moderation[:, 2]
    known = (events.labels[:, 2] >= 0) & ~np.isnan(said)
    found = report.splits["test"].whole.labels["hate"]
    assert found.rows == known.sum() < len(events)
    assert found.auroc.value == metrics.auroc(events.labels[known, 2], said[known])
    assert found.auroc.low < found.auroc.value < found.auroc.high


def test_held_out_calibration_error_is_small(report):
    whole = report.splits["test"].whole
    assert max(each.ece for each in whole.labels.values()) <= 0.06
    assert sum(rows for _, _, rows in whole.labels["spam/ads"].bins) == whole.labels["spam/ads"].rows


def test_calibrated_thresholds_are_measured_where_they_stand(fitted, report):
    bar = fitted[0].thresholds["spam/ads"].block
    found = report.splits["test"].whole.labels["spam/ads"].block
    assert found.threshold == bar
    assert found.precision.value >= 0.75
    assert found.taken > 0


def test_slices_are_languages_patterns_and_sources(report):
    part = report.splits["test"]
    assert set(part.languages) == {"en", "zh"}
    assert list(part.sources) == ["forum"]
    assert len(part.patterns) == 7
    assert sum(each.events for each in part.patterns.values()) == part.whole.events
    assert part.patterns["text"].labels["violence/graphic"].rows == 0
    assert np.isnan(part.patterns["text"].labels["violence/graphic"].auroc.value)


def test_sentiment_has_recalls_confusion_and_the_error_of_polarity(report):
    felt = report.splits["test"].whole.sentiment
    assert sum(map(sum, felt.confusion)) == felt.rows
    assert felt.macro_recall.value == pytest.approx(np.mean(felt.recalls))
    assert 0 < felt.polarity_error < 1.5
    assert felt.graded == felt.rows


def test_a_label_that_needs_two_inputs_is_measured_with_each_alone(fitted):
    engine, data, inputs = fitted
    both = (data.events.presence & 3 == 3) & (data.events.rows[:, 2] < 0)
    picked = replace(data, events=replace(data.events, crossed=both))
    (found,) = evaluate(engine, picked, ("test",), inputs).splits["test"].crossed
    assert found.label == "hate"
    assert set(found.alone) == {"text", "image"}


def test_answers_are_the_same_alone_and_in_company(report):
    found = report.invariance
    assert found.holds
    assert found.events == 70
    assert found.largest <= 1e-3
    assert found.flipped == 0


def test_an_engine_that_depends_on_its_batch_is_found(fitted):
    engine, data, inputs = fitted

    class Leaky:
        """Adds to every answer what its batch weighs."""

        info, labels, thresholds = engine.info, engine.labels, engine.thresholds

        def infer(self, batch: Batch):
            outputs = engine.infer(batch)
            outputs.moderation[:] += len(batch) / 1000
            return outputs

    assert not invariance(Leaky(), inputs, data.events).holds


def test_a_split_without_events_is_noted(report):
    assert list(report.splits) == ["test"]
    assert "no event is in the split ood" in report.notes


def test_no_event_at_all_is_refused_with_what_there_is(fitted):
    engine, data, inputs = fitted
    with pytest.raises(EngineError, match="2100 in calibrate, 2100 in test, 0 in ood") as caught:
        evaluate(engine, data, ("ood",), inputs)
    assert "--split" in caught.value.remedy


def test_the_report_is_json(report):
    tree = json.loads(orjson.dumps(report.to_dict(), option=orjson.OPT_SERIALIZE_NUMPY))
    assert tree["splits"]["test"]["whole"]["labels"]["hate"]["auroc"]["low"] > 0


class Page(HTMLParser):
    """Tags that must not be there, and whether all are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag != "meta":
            self.open.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]

    def handle_startendtag(self, tag, attrs):
        """Closed as it opens."""

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def cards(report, tmp_path_factory):
    folder = tmp_path_factory.mktemp("card")
    write_card(folder, report, ABOUT)
    return tuple((folder / name).read_text("utf-8") for name in card.NAMES)


def test_the_card_names_sources_licences_digests_and_versions(cards, report):
    for text in cards:
        for needed in (
            "forum posts",
            "CC0-1.0",
            "ab" * 32,
            report.dataset,
            report.digest,
            "onnxruntime",
            "seed",
        ):
            assert needed in text
        assert "drawn by code" in text
        assert "Known failures" in text
        assert "Intended use" in text


def test_a_bundle_of_generated_data_is_called_that_first(cards):
    for text in cards:
        assert "Trained only on generated data" in text[:4_000]
        assert "no validity on real posts" in text


def test_one_that_is_partly_synthetic_says_which_part(report):
    text = "\n".join(map(str, card.card(replace(report, synthetic=("image",)), ABOUT)))
    assert "Synthetic: image" in text
    assert "Trained only on generated data" not in text


def test_an_uncalibrated_bundle_says_so(report):
    assert "Not calibrated for fp32" in str(card.card(replace(report, calibrated=False), ABOUT))


def test_the_page_stands_alone_and_is_small(cards):
    html = cards[1]
    found = Page(html)
    assert found.open == []
    assert found.links == []
    assert "<script" not in html
    assert "a &lt;forum&gt;" in html
    assert len(html.encode()) <= card.LARGEST


def test_the_page_has_a_curve_and_a_reliability_diagram_for_each_label(cards):
    titles = re.findall(r'aria-label="([^"]*)"', cards[1])
    assert all(titles.count(name) == 2 for name in LABELS.names)
    assert "sentiment: truth → answer" in titles


def test_a_page_that_grows_too_large_is_refused(report, tmp_path, monkeypatch):
    monkeypatch.setattr(card, "LARGEST", 1_000)
    with pytest.raises(EngineError, match="too large"):
        write_card(tmp_path, report, ABOUT)
    assert not list(tmp_path.iterdir())


def with_whole(report, **changes):
    """The report with another whole of its split `test`."""
    part = report.splits["test"]
    return replace(report, splits={"test": replace(part, whole=replace(part.whole, **changes))})


def without_labels(part: Slice) -> Slice:
    return replace(part, labels={}, any_rule=replace(part.any_rule, rows=0, positives=0, auroc=NONE))


@pytest.mark.parametrize(("positives", "why"), [(60, "is 0 for every label"), (0, "is 1 for any label")])
def test_what_breaks_any_rule_is_left_out_where_all_events_are_of_one_class(report, positives, why):
    found = replace(report.splits["test"].whole.any_rule, rows=60, positives=positives)
    text = markdown(card.card(with_whole(report, any_rule=found), ABOUT))
    assert "| breaks any rule |" not in text
    assert "Breaks any rule: events" not in text
    assert f"“Breaks any rule” is left out: no event {why}" in text


def test_the_average_precision_of_one_class_is_not_defined(fitted):
    engine, data, inputs = fitted
    events = data.events.where((data.events.labels[:, 3] == 1) & (data.events.split == 2))
    few = replace(data, events=events.where(np.arange(len(events)) < 60))
    found = evaluate(engine, few, ("test",), inputs).splits["test"].whole.labels["spam/ads"]
    assert found.rows == found.positives
    assert np.isnan(found.auprc)


def test_a_label_without_thresholds_is_told_from_rows_that_cannot_show_them(report):
    spam = report.splits["test"].whole.labels["spam/ads"]
    labels = {
        "one": replace(spam, positives=0),
        "two": replace(spam, review=None, block=None),
        "three": replace(spam, rows=0, positives=0),
    }
    text = "\n".join(tables(with_whole(report, labels=labels)))
    assert "No event is positive to show what the thresholds find: `one`." in text
    assert "The bundle has no thresholds for `two`." in text
    assert "`three`" not in text
    assert "At the calibrated thresholds" not in text


def test_the_card_names_labels_that_are_not_calibrated(report):
    text = markdown(card.card(replace(report, calibrated=False, uncalibrated=("hate", "sentiment")), ABOUT))
    assert "**Not calibrated: `hate`, `sentiment`.**" in text
    assert "Not calibrated for fp32" not in text


def test_the_card_of_sentiment_alone_speaks_of_no_rule(report):
    part = report.splits["test"]
    bare = SplitReport(
        without_labels(part.whole),
        *({name: without_labels(x) for name, x in parts.items()}
          for parts in (part.languages, part.patterns, part.sources)),
    )  # fmt: skip
    about = About(sources=(SourceFact("posts", "as its owner says", "", rows=3),))
    text = markdown(card.card(replace(report, splits={"test": bare}), about))
    for strange in ("scam", "`block`", "AUROC", "breaks any rule", "reaks any rule", "used for", "SHA-256 |"):
        assert strange not in text
    assert "To follow the mood of many posts" in text
    assert "| source | rows | licence |" in text


def test_tables_for_the_terminal_are_the_cards(report, cards):
    assert "\n".join(tables(report)) in cards[0]
