"""Scores of flagged events say which words carried them, where that is wanted; and no score hangs on it."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager

import orjson
import pytest
from jsonschema import Draft202012Validator

from engines.errors import EngineError
from service import explain
from service.assembly import open_scoring
from service.buffer import Pace
from service.config import Settings
from service.cycle import Cycle
from service.failpoint import FailPoints
from service.health import Health
from service.inference import Inference
from service.kafka.checkpoint import Checkpoint
from service.metrics import Metrics
from service.record import Partition, Run, Stored
from service.schema import schema_of
from service.score import Scored
from service.score_model import ScoreModel
from tests import worded_bundle

VALIDATOR = Draft202012Validator(schema_of("score"))
BAD, GOOD = "you are an idiot \U0001f602", "you are a friend"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return worded_bundle.build(tmp_path_factory.mktemp("worded"))


@contextmanager
def scoring(folder, limits=None, **engine):
    wanted = {"backend": "onnxruntime", "precision": "fp32", "threads": 1} | engine
    limits = {"decode_workers": 1} | (limits or {})
    with open_scoring(
        Settings.model_validate({"bundle": str(folder), "engine": wanted, "limits": limits})
    ) as opened:
        yield opened


def scores(opened, *texts):
    records = [Stored("in", 0, k, 1, None, orjson.dumps({"text": text})) for k, text in enumerate(texts)]
    found = list(opened.score(records))
    assert all(isinstance(each, Scored) for each in found)
    made = [orjson.loads(each.value) for each in found]
    for score in made:
        VALIDATOR.validate(score)
        assert ScoreModel.model_validate(score).model_dump(by_alias=True, mode="json") == score
    return made


def told(score):
    return [reason["spans"] for reason in score["decision"]["reasons"]]


@pytest.fixture(scope="module")
def explaining(folder):
    with scoring(folder, spans=True) as opened:
        yield opened


def test_it_is_off_by_default(folder):
    assert Settings().engine.spans is False
    with scoring(folder) as opened:
        (score,) = scores(opened, BAD)
    assert score["decision"]["action"] != "allow"
    assert set(map(type, told(score))) == {type(None)}


def test_the_reason_that_decided_names_the_word_in_code_points(explaining):
    good, bad = scores(explaining, GOOD, BAD)
    assert told(good) == []
    (reason, *others) = bad["decision"]["reasons"]
    (span,) = reason["spans"]
    assert BAD[span["start"] : span["end"]] == "idiot"
    assert span["share"] == pytest.approx(1)
    assert all(other["spans"] is None for other in others)


def test_every_reason_says_which_modalities_carried_its_label(explaining):
    (bad,) = scores(explaining, BAD)
    for reason in bad["decision"]["reasons"]:
        assert reason["contributions"] == {"text": 1.0, "image": None, "audio": None}


def test_only_flagged_events_cost_anything(explaining, monkeypatch):
    asked = []
    real = explaining.engine.logits
    monkeypatch.setattr(explaining.engine, "logits", lambda batch: asked.append(len(batch)) or real(batch))
    scores(explaining, *[GOOD] * 5, BAD, BAD)
    assert asked == [2]


def test_many_are_asked_about_in_runs_of_bounded_size(explaining, monkeypatch):
    monkeypatch.setattr(explain, "TEXTS", 70)  # two texts of at most 33 at a time
    sizes = []
    real = explaining.engine.logits
    monkeypatch.setattr(
        explaining.engine, "logits", lambda batch: sizes.append(len(batch.text)) or real(batch)
    )
    found = scores(explaining, *[BAD] * 5)
    assert all(told(score)[0] for score in found)
    assert len(sizes) == 3
    assert max(sizes) <= 70


def test_words_beyond_the_limit_are_left_out_in_runs(folder):
    text = f"{'word ' * 20}idiot{' word' * 20}"
    with scoring(folder, spans=True, spans_words=5) as opened:
        (score,) = scores(opened, text)
    (span,) = told(score)[0]
    assert "idiot" in text[span["start"] : span["end"]]
    assert span["end"] - span["start"] > len("idiot")


def test_a_cut_text_is_asked_about_as_far_as_it_was_read(folder):
    text = f"an idiot {'x' * 40} idiot"
    with scoring(folder, {"text_chars": 20}, spans=True) as opened:
        (score,) = scores(opened, text)
    assert [span["end"] for span in told(score)[0]] == [8]


@pytest.mark.parametrize("bound", [0, 129])
def test_the_number_of_words_is_bounded(bound):
    with pytest.raises(ValueError, match="spans_words"):
        Settings.model_validate({"engine": {"spans_words": bound}})


@pytest.mark.parametrize(
    "error", [EngineError("it stumbled over idiot"), RuntimeError("it stumbled over idiot")]
)
def test_a_failure_costs_the_spans_and_never_the_score_nor_shows_the_text(
    explaining, monkeypatch, caplog, error
):
    def failing(batch):
        raise error

    monkeypatch.setattr(explaining.engine, "logits", failing)
    with caplog.at_level(logging.DEBUG):
        found = scores(explaining, GOOD, BAD)
    assert [score["decision"]["action"] == "allow" for score in found] == [True, False]
    assert told(found[1])[0] is None
    assert type(error).__name__ in caplog.text
    assert "idiot" not in caplog.text


def test_one_text_that_fails_costs_no_other_its_spans(explaining, monkeypatch):
    real = explaining.engine.logits

    def failing(batch):
        if any(len(ids) == 9 for (ids,) in batch.text):
            raise EngineError("it stumbled")
        return real(batch)

    monkeypatch.setattr(explaining.engine, "logits", failing)
    found = scores(explaining, BAD, "idiot " + "word " * 8, BAD)
    assert [told(score)[0] is None for score in found] == [False, True, False]


def test_faults_are_counted_for_the_metrics(explaining, monkeypatch):
    monkeypatch.setattr(explaining.engine, "logits", lambda batch: 1 / 0)
    records = [Stored("in", 0, 0, 1, None, orjson.dumps({"text": BAD}))]
    inferred = explaining.infer(explaining.finish(explaining.prepare(records)))
    assert inferred.explained.faults == ["ZeroDivisionError"]
    calm = explaining.infer(explaining.finish(explaining.prepare(records)), explain=False)
    assert calm.explained.faults == []


def through_the_stage(explaining, careful):
    """One flagged record through the daemon's infer stage; the metrics' count of errors there."""
    partition, records = Partition("in", 0), [Stored("in", 0, 0, 1, None, orjson.dumps({"text": BAD}))]
    checkpoint, metrics = Checkpoint(), Metrics()
    checkpoint.opened({partition: 0})
    run = Run(partition, checkpoint.epoch(partition), records)
    cycle = Cycle(1, [run], 100, time.monotonic(), careful=careful)
    checkpoint.begin(cycle.positions)
    cycle.preparation = explaining.prepare(records)
    stage = Inference(explaining, checkpoint, Pace(), metrics, Health(), FailPoints())
    (part,) = stage.answer(cycle, threading.Event())
    return part, metrics.errors.labels("infer", "ZeroDivisionError")._value.get()


def test_the_daemon_counts_what_could_not_be_explained_and_goes_on(explaining, monkeypatch):
    part, errors = through_the_stage(explaining, careful=False)
    assert (list(part.inferred.explained.spans), errors) == ([0], 0)
    monkeypatch.setattr(explaining.engine, "logits", lambda batch: 1 / 0)
    part, errors = through_the_stage(explaining, careful=False)
    assert (part.inferred.rows, part.inferred.explained.spans, errors) == ([0], {}, 1)


def test_what_may_have_crashed_the_process_is_not_explained_again(explaining, monkeypatch):
    monkeypatch.setattr(explaining.engine, "logits", lambda batch: 1 / 0)
    part, errors = through_the_stage(explaining, careful=True)
    assert (part.inferred.rows, part.inferred.explained.faults, errors) == ([0], [], 0)
