import base64
import hashlib
import json
import time

import pytest

from service.config import Limits
from service.errors import RecordError
from service.intake.forms import parse
from service.record import Stored

LIMITS = Limits()
PNG = b"\x89PNG\r\n\x1a\n" + bytes(30)
WAV = b"RIFF\0\0\0\0WAVE" + bytes(30)
NOON = "2026-11-22T12:00:00Z"
NOON_S = 1795348800.0


def record(value, content_type=None, timestamp=5_000, **headers):
    names = [(name.replace("__", "-"), text.encode()) for name, text in headers.items()]
    if content_type is not None:
        names.append(("content-type", content_type.encode()))
    if isinstance(value, dict | list):
        value = json.dumps(value).encode()
    return Stored("posts", 3, 42, timestamp, None, value, tuple(names))


def event(value, content_type=None, *, limits=LIMITS, **headers):
    return parse(record(value, content_type, **headers), limits)


def fault(value, content_type=None, *, limits=LIMITS, **headers):
    with pytest.raises(RecordError) as caught:
        event(value, content_type, limits=limits, **headers)
    return f"{caught.value.kind}/{caught.value.reason}"


def b64(data):
    return base64.b64encode(data).decode()


# --- JSON


def test_a_json_event_keeps_every_field():
    got = event(
        {
            "id": "a",
            "text": "hi",
            "time": NOON,
            "source": "forum",
            "lang": "en",
            "author": "x",
            "thread": "t",
            "tenant": "acme",
            "reach": 12,
            "topics": ["brand"],
            "image": {"bytes": b64(PNG), "media_type": "image/png"},
            "audio": [{"bytes": b64(WAV)}],
        }
    )
    assert (got.id, got.text, got.time, got.source, got.lang) == ("a", "hi", NOON_S, "forum", "en")
    assert (got.author, got.thread, got.tenant, got.reach, got.topics) == ("x", "t", "acme", 12, ["brand"])
    assert [(m.modality, m.media_type, m.data, m.index) for m in got.media] == [
        ("image", "image/png", PNG, 0),
        ("audio", "audio/wav", WAV, 0),
    ]


@pytest.mark.parametrize(
    "content_type",
    [None, "", "application/json", "Application/JSON; charset=UTF-8", "application/vnd.acme.post+json"],
)
def test_json_is_known_by_content_type_or_by_its_absence(content_type):
    assert event({"text": "hi"}, content_type).text == "hi"


def test_json_in_another_charset_is_read():
    assert event('{"text":"naïve"}'.encode("latin-1"), "application/json; charset=latin-1").text == "naïve"
    assert event('{"text":"好"}'.encode("utf-16"), "application/json; charset=utf-16").text == "好"
    assert fault(b'{"text":"\xff"}', "application/json; charset=us-ascii") == "invalid/invalid_json"


@pytest.mark.parametrize(
    "value",
    [
        b"{",
        b"   ",
        b"hello",
        b'{"text":NaN}',
        b'{"text":"a","reach":Infinity}',
        b'{"text":"\xff"}',
        b'{"text":"\\ud800"}',
        b'{"text":"a","x":1e400,"y":"\\udc00"}',
        b'{"text":"a","x":1e400,"y":NaN}',
        b'{"x":1e400,"y":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        b"[" * 10_000 + b"]" * 10_000,
        b'{"a":' * 10_000,
        b"\xef\xbb\xbf" * 2_000 + b"{}",
        '{"text":"a"}'.encode("utf-16"),
        b'{"text":"a",}',
        b'{"text":"a"} x',
    ],
    ids=lambda value: repr(value[:24]),
)
def test_what_is_not_json_is_invalid_json(value):
    assert fault(value) == "invalid/invalid_json"


def test_deep_nesting_costs_little():
    start = time.perf_counter()
    assert fault(b"[" * 15_000_000) == "invalid/invalid_json"
    assert time.perf_counter() - start < 1.0


@pytest.mark.parametrize(
    "change",
    [
        {"text": 5},
        {"text": ["a"]},
        {"id": 5},
        {"id": "x" * 257},
        {"reach": "7"},
        {"reach": True},
        {"reach": -1},
        {"topics": "brand"},
        {"topics": [1]},
        {"topics": ["t"] * 17},
        {"image": "abc"},
        {"image": {}},
        {"image": {"bytes": 5}},
        {"image": [[]]},
        {"audio": {"url": 5}},
        {"image": [{"bytes": ""}] * 9},
        {"image": [{"bytes": ""}] * 5, "audio": [{"bytes": ""}] * 4},
        {"time": 5},
        {"time": "yesterday"},
        {"time": "2026-11-22T12:00:00"},
        {"time": "2026-13-22T12:00:00Z"},
        {"lang": 1},
    ],
    ids=str,
)
def test_a_field_of_the_wrong_type_or_range_is_invalid_event(change):
    assert fault({"text": "a"} | change) == "invalid/invalid_event"


def test_a_number_out_of_range_matters_only_in_a_known_field():
    assert fault(b'{"text":"a","reach":1e400}') == "invalid/invalid_event"
    assert event(b'{"text":"a","other":[1e400,-1e999,' + b"9" * 6_000 + b"]}").text == "a"
    assert event(b'{"text":"a","reach":123456789012345678901234567890}').reach == pytest.approx(
        1.2e29, rel=0.1
    )


@pytest.mark.parametrize("value", [b"[]", b"null", b'"text"', b"5"])
def test_json_that_is_no_object_is_invalid_event(value):
    assert fault(value) == "invalid/invalid_event"


@pytest.mark.parametrize(
    "value", [None, b"", b"{}", b'{"text":""}', b'{"text":" \\n\\u3000"}', b'{"image":[]}']
)
def test_nothing_to_score_is_no_content(value):
    assert fault(value) == "invalid/no_content"


def test_null_is_absent_and_unknown_fields_and_a_bom_are_ignored_and_the_last_duplicate_wins():
    got = event(b'\xef\xbb\xbf{"text":"a","text":"b","image":null,"id":null,"colour":{"deep":[1]}}')
    assert (got.text, got.media, got.id) == ("b", [], "posts/3/42")


def test_a_fault_names_the_field_and_never_its_value():
    with pytest.raises(RecordError) as caught:
        event({"text": "a", "topics": ["ok", {"secret": 1}]})
    assert "topics" in caught.value.detail
    assert "secret" not in caught.value.detail


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"text": 5}, "text must be a text"),
        ({"reach": -1}, "reach must be a number of at least 0"),
        ({"reach": "many"}, "reach must be a number of at least 0"),
        ({"image": 5}, "image must be an object with bytes, or a list of at most 8"),
        ({"image": [{"bytes": 5}]}, "image.0.bytes must be a text in base64"),
        ({"topics": "one"}, "topics must be a list of at most 16 texts"),
        ({"id": "x" * 300}, "id must be a text of at most 256 characters"),
    ],
)
def test_a_fault_says_what_belongs_there(fields, detail):
    with pytest.raises(RecordError) as caught:
        event({"text": "a"} | fields)
    assert caught.value.detail == detail


def test_a_record_over_the_limit_is_too_large_before_anything_else():
    assert fault(b"[" * 200, limits=Limits(record_bytes=100)) == "invalid/too_large"


# --- ids and times


def test_the_id_comes_from_the_first_that_has_one():
    ce = {"ce_id": "1", "ce_source": "/app"}
    assert event({"text": "a", "id": "field"}, tidegate__event__id="header", **ce).id == "header"
    assert event({"text": "a", "id": "field"}, **ce).id == "field"
    assert event({"text": "a"}, **ce).id == "/app#1"
    assert event({"text": "a"}, ce_id="1").id == "1"
    assert event({"text": "a"}).id == "posts/3/42"


def test_a_joined_id_that_is_too_long_becomes_its_digest():
    source = "s" * 250
    expected = hashlib.sha256(f"{source}#1234567".encode()).hexdigest()
    assert event({"text": "a"}, ce_id="1234567", ce_source=source).id == expected
    assert fault({"text": "a"}, tidegate__event__id="x" * 257) == "invalid/invalid_event"
    assert len(event({"text": "a", "id": "界" * 256}).id) == 256


def test_time_and_source_follow_the_same_order():
    got = event(
        {"text": "a", "time": NOON, "source": "mine"}, ce_time="2020-01-01T00:00:00Z", ce_source="/app"
    )
    assert (got.time, got.source) == (NOON_S, "mine")
    got = event({"text": "a"}, ce_time=NOON, ce_source="/app")
    assert (got.time, got.source) == (NOON_S, "/app")
    assert event({"text": "a"}).time == 5.0
    assert event({"text": "a"}, timestamp=-1).time is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-22t12:00:00z", NOON_S),
        ("2026-11-22T13:30:00+01:30", NOON_S),
        ("2026-11-22T12:00:00.5Z", NOON_S + 0.5),
        ("2026-11-22T12:00:00.123456789012Z", NOON_S + 0.123456789),
        ("2016-12-31T23:59:60Z", 1483228800.0),
    ],
)
def test_times_are_rfc_3339(text, seconds):
    assert event({"text": "a", "time": text}).time == pytest.approx(seconds, abs=1e-6)


def test_the_trace_is_carried_and_a_garbled_one_dropped():
    assert event({"text": "a"}, traceparent="00-ab-cd-01").traceparent == "00-ab-cd-01"
    assert event({"text": "a"}, ce_traceparent="00-ce").traceparent == "00-ce"
    assert event({"text": "a"}, traceparent="00\nx").traceparent is None


# --- CloudEvents structured


def structured(content_type="application/cloudevents+json", **envelope):
    return event({"specversion": "1.0", "id": "7", "source": "/s", "type": "post", **envelope}, content_type)


def test_structured_data_may_be_an_object_a_string_or_base64():
    assert structured(data={"text": "a"}).text == "a"
    assert structured(data='{"text":"a"}').text == "a"
    assert structured(data="a", datacontenttype="text/plain").text == "a"
    assert structured(data_base64=b64(b'{"text":"a"}')).text == "a"
    assert structured(
        data_base64=b64("ä".encode("latin-1")), datacontenttype="text/plain;charset=latin-1"
    ).text
    assert structured(data_base64=b64(PNG), datacontenttype="image/png").media[0].data == PNG


def test_structured_attributes_name_the_event():
    got = structured(
        "application/CloudEvents+json; charset=utf-8", data={"text": "a"}, time=NOON, traceparent="00"
    )
    assert (got.id, got.source, got.time, got.traceparent) == ("/s#7", "/s", NOON_S, "00")


@pytest.mark.parametrize(
    ("envelope", "expected"),
    [
        ({}, "invalid/no_content"),
        ({"data": None}, "invalid/no_content"),
        ({"data": 5}, "invalid/invalid_event"),
        ({"data": {"text": 5}}, "invalid/invalid_event"),
        ({"data": "{"}, "invalid/invalid_json"),
        ({"data": {"text": "a"}, "id": 5}, "invalid/invalid_event"),
        ({"data": {"text": "a"}, "time": "now"}, "invalid/invalid_event"),
        ({"data_base64": "!!"}, "invalid/invalid_event"),
        ({"data_base64": "!!", "datacontenttype": "image/png"}, "media/undecodable"),
        ({"data_base64": "AAAA", "datacontenttype": "text/html"}, "media/unsupported_media_type"),
        ({"data": "<p>", "datacontenttype": "text/html"}, "media/unsupported_media_type"),
    ],
)
def test_a_structured_event_that_cannot_be_read_says_why(envelope, expected):
    with pytest.raises(RecordError) as caught:
        structured(**envelope)
    assert f"{caught.value.kind}/{caught.value.reason}" == expected


# --- raw forms


def test_plain_text_honours_its_charset():
    assert event("好".encode(), "text/plain").text == "好"
    assert event("好".encode("gb18030"), 'Text/Plain; charset="GB18030"').text == "好"
    assert event(b"\xef\xbb\xbfhi", "text/plain;charset=utf-8").text == "hi"
    assert fault("好".encode("gbk"), "text/plain") == "invalid/invalid_event"
    assert fault(b" \n", "text/plain") == "invalid/no_content"


@pytest.mark.parametrize("charset", ["klingon", "punycode", "zlib", "base64", "unicode_escape", "idna", "\0"])
def test_a_charset_that_is_none_is_invalid_event(charset):
    assert fault(b"abc", f"text/plain; charset={charset}") == "invalid/invalid_event"


def test_raw_media_needs_no_cloudevents_headers():
    got = event(PNG, "image/png").media[0]
    assert (got.modality, got.data, got.fault) == ("image", PNG, None)
    assert event(WAV, "Audio/X-WAV", ce_id="1", ce_source="s").id == "s#1"


def test_a_charset_means_nothing_to_raw_media():
    assert event(PNG, "image/png; charset=binary").media[0].data == PNG
    assert event(WAV, "application/octet-stream; charset=klingon").media[0].data == WAV


def test_media_is_taken_for_what_its_bytes_show():
    assert event(PNG, "image/jpeg").media[0].media_type == "image/png"
    assert event(PNG, "application/octet-stream").media[0].modality == "image"
    got = event({"image": [{"bytes": b64(WAV), "media_type": "image/png"}, {"bytes": b64(PNG)}]}).media
    assert [(m.modality, m.index) for m in got] == [("audio", 0), ("image", 0)]


@pytest.mark.parametrize(
    "kind", ["video/mp4", "application/xml", "text/html", "nonsense", "application/avro"]
)
def test_an_unknown_content_type_is_unsupported(kind):
    assert fault(b"<a/>", kind) == "media/unsupported_media_type"


# --- media that fails alone


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ({"bytes": "***"}, "undecodable"),
        ({"bytes": "好"}, "undecodable"),
        ({"bytes": "A"}, "undecodable"),
        ({"bytes": ""}, "undecodable"),
        ({"bytes": b64(b"%PDF-1.7"), "media_type": "image/png"}, "undecodable"),
        ({"bytes": b64(b"%PDF-1.7")}, "undecodable"),
        ({"bytes": b64(b"II*\0rest"), "media_type": "image/tiff"}, "unsupported_media_type"),
        ({"bytes": b64(PNG + bytes(2_000))}, "media_too_large"),
        ({"url": "https://example.com/a.png"}, "url_not_allowed"),
    ],
)
def test_broken_media_never_costs_the_text(item, reason):
    got = event({"text": "a", "image": item}, limits=Limits(image_bytes=1_000))
    assert got.text == "a"
    assert (got.media[0].fault.kind, got.media[0].fault.reason) == ("media", reason)


@pytest.mark.parametrize(
    "text",
    [
        b64(PNG).rstrip("="),
        base64.urlsafe_b64encode(PNG).decode(),
        "\r\n".join([b64(PNG)[:20], b64(PNG)[20:]]),
    ],
)
def test_base64_may_be_unpadded_url_safe_or_wrapped(text):
    assert event({"image": {"bytes": text}}).media[0].data == PNG
