"""What a score says, field by field, and that what is written is what the schema promises."""

from __future__ import annotations

import hashlib
from itertools import product

import numpy as np
import orjson
import pytest
from jsonschema import Draft202012Validator

from engines.batch import Example, Outputs
from engines.engine import EngineInfo
from engines.labels import Label, Labels
from engines.shapley import shares
from engines.spans import Span
from service.errors import RecordError
from service.event import Event
from service.intake.intake import InputReport, Prepared
from service.policy import Policy
from service.record import Stored
from service.schema import schema_of
from service.score import Scorer, Timings
from service.score_model import ScoreModel

TEXT, IMAGE, AUDIO = 1, 2, 4
NAMES = ("harassment", "violence/graphic", "spam/ads", "speech")
LABELS = Labels(
    (
        Label("harassment"),
        Label("violence/graphic", (frozenset({"image"}),), severity=True),
        Label("spam/ads", (frozenset({"text", "image"}), frozenset({"text"}))),
        Label("speech", (frozenset({"audio"}),)),
    )
)
VALIDATOR = Draft202012Validator(schema_of("score"), format_checker=Draft202012Validator.FORMAT_CHECKER)


INFO = EngineInfo("starter", "1", "ab" * 32, "onnxruntime", "fp32", "cpu", ("text", "image"))
SHA = hashlib.sha256(b"x").hexdigest()


def item(modality, index=0, status="scored", reason=None):
    return InputReport(modality, index, status, reason, SHA, 1)


def absent(modality):
    return InputReport(modality, None, "absent")


def prepared(presence=TEXT, extra=(), **fields):
    example = Example(
        (np.zeros(3, np.int32),) if presence & TEXT else None,
        [np.zeros((2, 2, 3), np.uint8)] if presence & IMAGE else [],
        [np.zeros(4, np.int16)] if presence & AUDIO else [],
    )
    names = {"text": TEXT, "image": IMAGE, "audio": AUDIO}
    extra_modalities = {item.modality for item in extra}
    items = [
        item(name) if presence & bit else absent(name)
        for name, bit in names.items()
        if presence & bit or name not in extra_modalities
    ]
    event = Event(id=fields.pop("id", "e1"), **fields)
    return Prepared(event, event.id, [*items, *extra], example, None)


def outputs(
    moderation=(0.1, 0.2, 0.3, 0.4), sentiment=(0.2, 0.3, 0.5), presence=TEXT, severity=None, patterns=None
):
    full = np.tile(np.array([0.0, 0.5, 0.25, 0.25]), (8, 1))
    moderation = [
        p if known else np.nan
        for p, known in zip(moderation, LABELS.evaluable(np.array([presence], np.uint8))[0], strict=True)
    ]
    if patterns is None:
        patterns = np.arange(8.0)[:, None] * np.ones(5)
    return Outputs(
        np.array([sentiment], np.float32),
        np.tile(np.array([0.1, 0.2, 0.7], np.float32), (1, 3, 1)),
        np.array([moderation], np.float32),
        np.full((1, 4), np.nan, np.float32) if severity is None else np.array([severity], np.float32),
        np.array([patterns if patterns is not None else full], np.float32),
    )


RECORD = Stored("posts", 3, 77, 1_700_000_000_123, b"author-1", b"{}")
TIMES = Timings(1.23456, 2.0, 3.0, 6.5)


@pytest.fixture
def scorer():
    return Scorer(LABELS, INFO, Policy.load(None))


def score_of(scorer, ready, out, record=RECORD, **more):
    made = scorer.encode(record, ready, out, 0, TIMES, now=1_700_000_001.5, **more)
    return orjson.loads(made.value)


def check(score):
    problems = [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(score)]
    assert not problems, problems


@pytest.mark.parametrize("presence", range(1, 8))
def test_every_mixture_of_modalities_is_valid_and_complete(scorer, presence):
    score = score_of(scorer, prepared(presence), outputs(presence=presence))
    check(score)
    expected = {field.alias or name for name, field in ScoreModel.model_fields.items()}
    assert set(score) == expected
    assert set(score["moderation"]) == set(NAMES)


def test_the_nested_parts_hold_exactly_the_fields_of_the_schema(scorer):
    score = score_of(scorer, prepared(7), outputs((0.99, 0.99, 0.99, 0.99), presence=7))
    again = ScoreModel.model_validate(score).model_dump(by_alias=True, mode="json")
    assert again == score


def test_the_validator_would_notice_a_wrong_score(scorer):
    score = score_of(scorer, prepared(), outputs())
    for path, wrong in product(["id", "origin", "decision", "attempt", "moderation"], [None, -1, []]):
        assert list(VALIDATOR.iter_errors(score | {path: wrong})), path
        assert list(VALIDATOR.iter_errors({k: v for k, v in score.items() if k != path}))


def test_origin_and_times_are_those_of_the_record(scorer):
    score = score_of(scorer, prepared(), outputs())
    assert score["origin"] == {"topic": "posts", "partition": 3, "offset": 77, "timestamp": 1_700_000_000_123}
    assert score["time"] == {"event": "2023-11-14T22:13:20.123Z", "scored": "2023-11-14T22:13:21.500Z"}


def test_the_events_own_time_wins_over_the_records(scorer):
    assert score_of(scorer, prepared(time=0.5), outputs())["time"]["event"] == "1970-01-01T00:00:00.500Z"


@pytest.mark.parametrize("timestamp", [-1, 10**17, 2**62])
def test_a_timestamp_outside_any_calendar_gives_a_null_time(scorer, timestamp):
    score = score_of(scorer, prepared(), outputs(), Stored("posts", 0, 0, timestamp, None, b""))
    assert score["time"]["event"] is None
    check(score)


def test_a_label_without_evidence_is_not_evaluated_and_never_zero(scorer):
    score = score_of(scorer, prepared(TEXT), outputs(presence=TEXT))
    assert score["moderation"]["violence/graphic"] == {
        "probability": None,
        "severity": None,
        "status": "not_evaluated",
        "inputs": [],
    }


def test_a_label_names_the_items_it_rests_on(scorer):
    second = item("image", 1)
    broken = item("image", 2, "failed", "undecodable")
    score = score_of(scorer, prepared(TEXT | IMAGE, [second, broken]), outputs(presence=3))
    images = [{"modality": "image", "index": 0}, {"modality": "image", "index": 1}]
    assert score["moderation"]["violence/graphic"]["inputs"] == images
    assert score["moderation"]["spam/ads"]["inputs"] == [{"modality": "text", "index": 0}, *images]
    assert score["inputs"][-1]["reason"] == "undecodable"
    check(score)


def test_a_failed_image_leaves_the_text_its_score(scorer):
    failed = item("image", 0, "failed", "bomb")
    score = score_of(scorer, prepared(TEXT, [failed]), outputs(presence=TEXT))
    assert score["moderation"]["harassment"]["status"] == "scored"
    assert score["decision"]["action"] == "review"
    nulls = dict.fromkeys(("probability", "threshold", "contributions", "spans"))
    assert score["decision"]["reasons"] == [{"label": "violence/graphic", "action": "review"} | nulls]
    check(score)


def test_sentiment_says_its_strongest_class_and_its_polarity(scorer):
    sentiment = score_of(scorer, prepared(TEXT), outputs(sentiment=(0.7, 0.1, 0.2)))["sentiment"]
    assert sentiment["label"] == "negative"
    assert sentiment["polarity"] == -0.5
    assert sentiment["probabilities"] == {"negative": 0.7, "neutral": 0.1, "positive": 0.2}
    assert sentiment["per_modality"]["text"] == {"negative": 0.1, "neutral": 0.2, "positive": 0.7}
    assert sentiment["per_modality"]["image"] is None


def test_sentiment_without_evidence_is_all_null(scorer):
    score = score_of(scorer, prepared(), outputs(sentiment=(np.nan,) * 3))
    assert score["sentiment"]["status"] == "not_evaluated"
    assert set(map(str, list(score["sentiment"].values())[1:])) == {"None"}
    check(score)


def test_nothing_evaluated_is_still_a_valid_score(scorer):
    out = outputs((np.nan,) * 4, (np.nan,) * 3)
    check(score_of(scorer, prepared(), out))


def test_probabilities_are_rounded_to_six_digits_and_clipped(scorer):
    score = score_of(scorer, prepared(), outputs((0.123456789, 0, 1.0000001, 0)))
    assert score["moderation"]["harassment"]["probability"] == 0.123457
    assert score["moderation"]["spam/ads"]["probability"] == 1.0


def test_the_decision_is_made_on_the_numbers_that_are_published(scorer):
    score = score_of(scorer, prepared(), outputs((0.6999999, 0, 0, 0)))
    assert score["moderation"]["harassment"]["probability"] == 0.7
    assert score["decision"]["reasons"][0]["threshold"] == 0.7


def test_severity_is_a_whole_number_where_the_bundle_grades(scorer):
    out = outputs(presence=3, severity=(np.nan, 4.6, np.nan, np.nan))
    score = score_of(scorer, prepared(3), out)
    assert score["moderation"]["violence/graphic"]["severity"] == 5
    assert score["moderation"]["harassment"]["severity"] is None
    check(score)


def test_one_modality_contributes_everything(scorer):
    shares = score_of(scorer, prepared(IMAGE), outputs(presence=IMAGE))["contributions"]
    assert shares == {"text": None, "image": 1.0, "audio": None}


def test_shares_are_of_the_label_that_decided_else_of_sentiment(scorer):
    patterns = np.zeros((8, 5))
    patterns[:, 0] = [0, 1, 0, 1, 0, 1, 0, 1]  # sentiment hangs on the text
    patterns[:, 1] = [0, 0, 1, 1, 0, 0, 1, 1]  # harassment on the image
    calm = outputs((0.1,) * 4, presence=3, patterns=patterns)
    angry = outputs((0.99, 0.1, 0.1, 0.1), presence=3, patterns=patterns)
    assert score_of(scorer, prepared(3), calm)["contributions"] == {"text": 1.0, "image": 0.0, "audio": None}
    assert score_of(scorer, prepared(3), angry)["contributions"] == {"text": 0.0, "image": 1.0, "audio": None}


def test_shares_sum_to_one_after_rounding(scorer):
    patterns = np.random.default_rng(5).normal(size=(8, 5))
    shares = score_of(scorer, prepared(7), outputs(presence=7, patterns=patterns))["contributions"]
    assert abs(sum(shares.values()) - 1) < 1e-9
    equal = score_of(scorer, prepared(7), outputs(presence=7, patterns=np.zeros((8, 5))))["contributions"]
    assert sorted(equal.values()) == pytest.approx([1 / 3] * 3, abs=2e-6)


@pytest.mark.parametrize("presence", range(1, 8))
def test_each_label_that_flagged_an_event_has_shares_of_its_own(scorer, presence):
    patterns = np.random.default_rng(presence).normal(size=(8, 5)).astype(np.float32)
    patterns[[p for p in range(8) if p & ~presence]] = np.nan  # the engine does not run these
    out = outputs((0.99, 0.97, 0.99, 0.1), presence=presence, patterns=patterns)
    score = score_of(scorer, prepared(presence), out)
    check(score)
    flagged = [reason for reason in score["decision"]["reasons"] if reason["probability"] is not None]
    evaluated = {name for name, said in score["moderation"].items() if (said["probability"] or 0) > 0.9}
    assert {reason["label"] for reason in flagged} == evaluated
    for reason in flagged:
        found = list(reason["contributions"].values())
        assert abs(sum(share or 0 for share in found) - 1) < 1e-9
        expected = shares(patterns[:, 1 + NAMES.index(reason["label"])], presence)
        assert [share is None for share in found] == [share is None for share in expected]
        assert [share or 0 for share in found] == pytest.approx([s or 0 for s in expected], abs=3e-6)
    if flagged:
        assert score["contributions"] == flagged[0]["contributions"]


def test_spans_stand_in_the_reason_that_decided_and_nowhere_else(scorer):
    out = outputs((0.99, 0.99, 0.99, 0.1), presence=3)
    score = score_of(scorer, prepared(3), out, spans=[Span(2, 7, 0.8), Span(9, 12, 0.1)])
    check(score)
    first, *others = score["decision"]["reasons"]
    assert first["spans"] == [{"start": 2, "end": 7, "share": 0.8}, {"start": 9, "end": 12, "share": 0.1}]
    assert others
    assert {reason["spans"] for reason in others} == {None}


@pytest.mark.parametrize("presence", [3, 5, 6, 7])
def test_shares_are_the_shapley_values_of_the_engine(scorer, presence):
    patterns = np.random.default_rng(presence).normal(size=(8, 5)).astype(np.float32)
    patterns[[p for p in range(8) if p & ~presence]] = np.nan  # the engine does not run these
    out = outputs((0.1,) * 4, presence=presence, patterns=patterns)
    found = score_of(scorer, prepared(presence), out)["contributions"]
    expected = shares(patterns[:, 0], presence)
    assert len({s for s in expected if s}) > 1
    assert [s is None for s in expected] == [s is None for s in found.values()]
    assert [s or 0 for s in found.values()] == pytest.approx([s or 0 for s in expected], abs=3e-6)


def test_patterns_that_were_not_run_give_equal_shares(scorer):
    out = outputs(presence=3, patterns=np.full((8, 5), np.nan))
    assert score_of(scorer, prepared(3), out)["contributions"] == {"text": 0.5, "image": 0.5, "audio": None}


def test_shares_are_null_where_they_are_switched_off():
    scorer = Scorer(LABELS, INFO, Policy.load(None), contributions=False)
    score = score_of(scorer, prepared(7), outputs((0.99,) * 4, presence=7))
    assert set(score["contributions"].values()) == {None}
    assert {reason["contributions"] for reason in score["decision"]["reasons"]} == {None}
    check(score)


def test_the_key_is_the_records_own_else_the_event_id(scorer):
    keyless = Stored("posts", 0, 0, 0, None, b"")
    assert scorer.encode(RECORD, prepared(), outputs(), 0, TIMES).key == b"author-1"
    assert scorer.encode(keyless, prepared(id="帖子"), outputs(), 0, TIMES).key == "帖子".encode()


def test_headers_carry_the_id_and_the_trace(scorer):
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    made = scorer.encode(RECORD, prepared(traceparent=trace), outputs(), 0, TIMES)
    assert made.headers == [
        ("tidegate-event-id", b"e1"),
        ("content-type", b"application/json"),
        ("traceparent", trace.encode()),
    ]


def test_metadata_is_carried_over(scorer):
    fields = {
        "source": "s",
        "lang": "zh",
        "author": "a",
        "thread": "t",
        "tenant": "x",
        "reach": 12,
        "topics": ["q"],
    }
    score = score_of(scorer, prepared(**fields), outputs(), attempt=3)
    assert {name: score[name] for name in fields} == fields
    assert score["attempt"] == 3
    check(score)


@pytest.mark.parametrize("reach", [2**70, 10**400, 1.5])
def test_any_reach_that_an_event_may_have_can_be_written(scorer, reach):
    check(score_of(scorer, prepared(reach=reach), outputs()))


def test_a_score_that_the_topic_cannot_hold_is_refused_alone():
    scorer = Scorer(LABELS, INFO, Policy.load(None), fits=800)
    with pytest.raises(RecordError) as caught:
        scorer.encode(RECORD, prepared(), outputs(), 0, TIMES)
    assert (caught.value.kind, caught.value.reason, caught.value.stage) == ("invalid", "too_large", "publish")


def test_a_lone_surrogate_costs_its_own_record_only(scorer):
    with pytest.raises(RecordError, match="invalid_event"):
        scorer.encode(RECORD, prepared(author="\ud800"), outputs(), 0, TIMES)


def test_rows_of_one_cycle_do_not_mix(scorer):
    one, two = outputs((0.1, 0, 0.1, 0)), outputs((0.2, 0, 0.2, 0))
    both = Outputs(*(np.concatenate((getattr(one, f), getattr(two, f))) for f in Outputs.__slots__))
    values = [
        orjson.loads(scorer.encode(RECORD, prepared(), both, row, TIMES).value)["moderation"]["harassment"]
        for row in (0, 1, 0)
    ]
    assert [v["probability"] for v in values] == [0.1, 0.2, 0.1]
    assert score_of(scorer, prepared(), two)["moderation"]["harassment"]["probability"] == 0.2
