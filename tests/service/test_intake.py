import base64
import hashlib
import io
import json
import random

import numpy as np
import pytest
import soundfile
from PIL import Image

from engines.preprocess.spec import AudioSpec, ImageSpec, TextSpec
from engines.preprocess.words import HashWords
from service.config import Limits
from service.intake.intake import Intake
from service.intake.pool import DecodePool
from service.record import Stored

IMAGE, AUDIO, TEXT = ImageSpec(32, 32), AudioSpec(1.0), TextSpec(1_000, 8)


@pytest.fixture(scope="module")
def pool():
    made = DecodePool(IMAGE, AUDIO, Limits(), 1)
    made.start()
    yield made
    made.close()


@pytest.fixture
def prepare(pool):
    def prepare(value, content_type=None, *, clock=lambda: 1000.0, headers=(), timestamp=0, **limits):
        if isinstance(value, dict):
            value = json.dumps(value).encode()
        names = [*headers, *([("content-type", content_type.encode())] if content_type else [])]
        intake = Intake(HashWords(TEXT), pool, Limits(**limits), clock)
        return intake.finish(intake.begin(Stored("t", 0, 7, timestamp, None, value, names)))

    return prepare


def png(colour=(9, 9, 9)):
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40), colour).save(buffer, "PNG")
    return buffer.getvalue()


def wav(seconds=0.5):
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(int(16_000 * seconds)), 16_000, format="WAV")
    return buffer.getvalue()


def media(data):
    return {"bytes": base64.b64encode(data).decode()}


def statuses(prepared):
    return [(i.modality, i.index, i.status, i.reason) for i in prepared.inputs]


def test_all_three_modalities_become_an_example(prepare):
    got = prepare(
        {"id": "a", "text": "good day", "image": [media(png()), media(png())], "audio": media(wav())}
    )
    assert got.event_id == "a"
    assert got.failure is None
    assert got.example.presence == 7
    assert [row.shape for row in got.example.images] == [(32, 32, 3)] * 2
    assert [row.shape for row in got.example.audio] == [(8_000,)]
    assert statuses(got) == [
        ("text", 0, "scored", None),
        ("image", 0, "scored", None),
        ("image", 1, "scored", None),
        ("audio", 0, "scored", None),
    ]


def test_digest_and_size_are_of_the_raw_bytes(prepare):
    got = prepare({"text": "naïve", "image": media(png())})
    text, image, audio = got.inputs
    assert (text.sha256, text.size) == (hashlib.sha256("naïve".encode()).hexdigest(), 6)
    assert (image.sha256, image.size) == (hashlib.sha256(png()).hexdigest(), len(png()))
    assert (audio.index, audio.status, audio.sha256, audio.size) == (None, "absent", None, None)


def test_a_broken_image_costs_only_itself(prepare):
    got = prepare({"text": "hi", "image": [media(png()[:60]), media(png()), {"url": "https://x"}]})
    assert got.example.presence == 3
    assert statuses(got)[1:4] == [
        ("image", 0, "failed", "undecodable"),
        ("image", 1, "scored", None),
        ("image", 2, "failed", "url_not_allowed"),
    ]
    assert got.inputs[3].sha256 is None


def test_when_nothing_is_left_the_first_reason_is_the_dead_letters(prepare):
    got = prepare({"image": [{"url": "https://x"}, media(png()[:60])]})
    assert got.example is None
    assert (got.failure.kind, got.failure.reason) == ("media", "url_not_allowed")


def test_long_text_and_sound_are_truncated_and_say_so(prepare):
    got = prepare({"text": "a b c d e f g h i j", "audio": media(wav(2.0))})
    assert len(got.example.text[0]) == 8
    assert [i.status for i in got.inputs] == ["truncated", "absent", "truncated"]
    assert prepare({"text": "abcdef"}, text_chars=3).inputs[0].status == "truncated"
    assert prepare({"text": "abc"}, text_chars=3).inputs[0].status == "scored"


def test_an_image_labelled_as_sound_is_seen(prepare):
    got = prepare({"audio": media(png())})
    assert statuses(got) == [
        ("text", None, "absent", None),
        ("image", 0, "scored", None),
        ("audio", None, "absent", None),
    ]


@pytest.mark.parametrize(
    ("action", "failure", "drop"),
    [("score", None, False), ("deadletter", "too_old", False), ("drop", "too_old", True)],
)
def test_old_events_are_scored_refused_or_dropped(prepare, action, failure, drop):
    got = prepare({"id": "a", "text": "hi"}, timestamp=800_000, event_age=100, event_age_action=action)
    assert (got.failure and got.failure.reason, got.drop, got.event_id) == (failure, drop, "a")
    assert (got.example is None) == (failure is not None)


def test_an_event_within_its_age_is_scored(prepare):
    assert prepare({"text": "hi"}, timestamp=950_000, event_age=100, event_age_action="drop").example


def test_an_unreadable_record_is_named_by_its_header_or_its_place(prepare):
    assert prepare(b"{").event_id == "t/0/7"
    assert prepare(b"{", headers=[("tidegate-event-id", b"a")]).event_id == "a"
    assert prepare(b"{", headers=[("tidegate-event-id", b"\xff")]).event_id == "t/0/7"
    assert prepare(b"{", headers=[("tidegate-event-id", b"x" * 300)]).event_id == "t/0/7"


CE = [("ce_id", b"1"), ("ce_source", b"/s")]
STRUCTURED = "application/cloudevents+json"


@pytest.mark.parametrize(
    ("value", "kind", "headers", "expected"),
    [
        ({"id": "a"}, None, (), "a"),
        ({"id": "a", "text": 5}, None, CE, "a"),
        ({"id": "a", "text": "x", "image": [{"url": "https://x/y"}] * 9}, None, (), "a"),
        ({"id": "a"}, None, [("tidegate-event-id", b"given")], "given"),
        ({"id": "x" * 257, "text": "x"}, None, (), "t/0/7"),
        ({"id": 5, "text": "x"}, None, CE, "/s#1"),
        ([], None, CE, "/s#1"),
        (b"{", None, CE, "/s#1"),
        (b"", None, CE, "/s#1"),
        (b"\xff", "text/plain", CE, "/s#1"),
        (b"<a/>", "text/html", CE, "/s#1"),
        ({"id": "1", "source": "/s"}, STRUCTURED, (), "/s#1"),
        ({"id": "1", "source": "/s", "data": {"id": "a"}}, STRUCTURED, (), "a"),
        ({"id": 1, "source": "/s", "data": 5}, STRUCTURED, (), "t/0/7"),
        (
            {"id": "1", "source": "s" * 256, "data": 5},
            STRUCTURED,
            (),
            hashlib.sha256(b"s" * 256 + b"#1").hexdigest(),
        ),
    ],
)
def test_what_cannot_be_scored_still_has_the_id_it_names(prepare, value, kind, headers, expected):
    value = value if isinstance(value, bytes) else json.dumps(value).encode()
    got = prepare(value, kind, headers=headers)
    assert got.failure is not None
    assert got.event_id == expected


def test_a_record_over_the_limit_is_not_read_for_its_id(prepare):
    assert prepare({"id": "a", "text": "x" * 99}, record_bytes=50).event_id == "t/0/7"
    assert prepare({"id": "a", "text": "x" * 99}, headers=CE, record_bytes=50).event_id == "/s#1"


def mutated(rng):
    """A record grown from a good one by random damage to its value, headers and structure."""
    seeds = [
        {"text": "hi", "image": media(png()), "topics": ["a"], "reach": 1, "time": "2026-01-01T00:00:00Z"},
        {"specversion": "1.0", "id": "1", "source": "/", "type": "x", "data": {"text": "hi"}},
        {"text": "hi", "audio": [media(wav(0.01)), {"url": "x"}]},
    ]
    junk = [
        None,
        5,
        -1,
        1e308,
        True,
        "",
        "x" * 300,
        [],
        {},
        [[]],
        {"bytes": "?"},
        "\ud800",
        "\0",
        float("nan"),
    ]
    tree = rng.choice(seeds)
    for _ in range(rng.randrange(3)):
        tree = tree | {rng.choice([*tree, "text", "image", "id", "data_base64"]): rng.choice(junk)}
    value = bytearray(json.dumps(tree).encode())
    for _ in range(rng.choice([0, 0, 1, 4])):
        value[rng.randrange(len(value))] = rng.randrange(256)
    kinds = [
        *[b"application/json", b"application/cloudevents+json", b"text/plain", b"image/png", b"audio/wav"],
        *[b"text/plain;charset=gbk", b"text/plain;charset=x", b";;charset==", b"\xff/\xfe", b"", None],
    ]
    names = [
        "content-type",
        "ce_id",
        "ce_source",
        "ce_time",
        "traceparent",
        "tidegate-event-id",
        "Content-Type",
    ]
    values = [*kinds, b"x" * 300, b"2026-01-01T00:00:00Z", rng.randbytes(6)]
    headers = [(rng.choice(names), rng.choice(values)) for _ in range(rng.randrange(3))]
    headers += [("content-type", rng.choice(kinds))] * rng.randrange(2)
    return bytes(value[: rng.choice([len(value)] * 4 + [rng.randrange(len(value))])]), headers


@pytest.mark.parametrize("seed", range(20))
def test_whatever_comes_is_scored_or_classified(prepare, seed):
    rng = random.Random(seed)
    for _ in range(100):
        value, headers = mutated(rng)
        got = prepare(value, headers=headers)
        assert (got.example is None) == (got.failure is not None)
        if got.failure is None:
            assert {i.modality for i in got.inputs} == {"text", "image", "audio"}
        else:
            assert got.failure.kind in {"invalid", "media"}
        assert 0 < len(got.event_id) <= 256
