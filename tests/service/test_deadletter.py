"""Dead letters: the record untouched, the reason beside it, and the way back."""

from __future__ import annotations

import pytest

from service.cli.letters import headers
from service.deadletter import Letter, dead_letter, our_version, parse, redrive, replays_of
from service.errors import DataError, RecordError
from service.record import Stored
from service.wire import size_of

ERROR = RecordError("invalid", "invalid_json", "not UTF-8")
TRACE = ("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")


def record(value=b"\xff\x00raw", key=b"k", headers=(("h", b"1"), ("h", b"2"), ("empty", None))):
    return Stored("posts", 3, 77, 1_700_000_000_123, key, value, tuple(headers))


def lay(letter: Letter, offset=5):
    return Stored("posts.dead", 0, offset, 1, letter.key, letter.value, tuple(letter.headers))


def letter_of(source=None, error=ERROR, **more):
    more = {"event_id": "e1", "group": "g", **more}
    return dead_letter(source or record(), error, **more)


def test_a_header_name_that_is_no_text_is_kept_and_shown_escaped():
    no_text = b"\xff-x".decode("utf-8", "surrogateescape")
    letter = letter_of(record(headers=[(no_text, b"1")]), fits=10_000)
    assert letter.headers[0] == (no_text, b"1")
    assert headers(parse(lay(letter)))["\\xff-x"] == "1"


def test_the_record_is_untouched_and_the_headers_are_added():
    letter = letter_of(attempts=2)
    assert (letter.key, letter.value) == (b"k", b"\xff\x00raw")
    assert list(letter.headers) == [
        ("h", b"1"),
        ("h", b"2"),
        ("empty", None),
        ("tidegate-event-id", b"e1"),
        ("tidegate-dlq-topic", b"posts"),
        ("tidegate-dlq-partition", b"3"),
        ("tidegate-dlq-offset", b"77"),
        ("tidegate-dlq-timestamp", b"1700000000123"),
        ("tidegate-dlq-stage", b"prepare"),
        ("tidegate-dlq-class", b"invalid"),
        ("tidegate-dlq-reason", b"invalid_json"),
        ("tidegate-dlq-attempts", b"2"),
        ("tidegate-dlq-group", b"g"),
        ("tidegate-dlq-version", our_version().encode()),
        ("tidegate-dlq-replays", b"0"),
        ("tidegate-dlq-mode", b"content"),
    ]


@pytest.mark.parametrize(("key", "value"), [(None, None), (None, b""), (b"", b"x"), (b"k", None)])
def test_tombstones_and_records_without_key_stay_what_they_are(key, value):
    letter = letter_of(record(value, key))
    assert (letter.key, letter.value) == (key, value)


def test_names_of_groups_and_topics_are_utf_8():
    headers = dict(letter_of(group="审核").headers)
    assert headers["tidegate-dlq-group"].decode() == "审核"


def test_a_reference_says_where_the_record_lies_and_no_more():
    letter = letter_of(record(headers=[("secret", b"s"), TRACE]), mode="reference")
    assert (letter.key, letter.value) == (b"posts/3/77", b"")
    names = [name for name, _ in letter.headers]
    assert "secret" not in names
    assert names[:2] == ["traceparent", "tidegate-event-id"]
    assert dict(letter.headers)["tidegate-dlq-mode"] == b"reference"


@pytest.mark.parametrize("slack", [0, -1])
def test_what_does_not_fit_goes_by_reference(slack):
    whole = letter_of()
    fits = size_of(whole.key, whole.value, whole.headers) + slack
    letter = letter_of(fits=fits)
    assert dict(letter.headers)["tidegate-dlq-mode"] == (b"content" if slack == 0 else b"reference")


def test_a_record_over_the_limit_goes_by_reference_and_a_score_over_it_by_content():
    record_too_large = RecordError("invalid", "too_large", stage="prepare")
    score_too_large = RecordError("invalid", "too_large", stage="publish")
    assert dict(letter_of(error=record_too_large).headers)["tidegate-dlq-mode"] == b"reference"
    assert dict(letter_of(error=score_too_large).headers)["tidegate-dlq-mode"] == b"content"


def test_a_reference_fits_whatever_the_record_carries():
    monster = record(b"x" * 10_000, b"k" * 10_000, [("traceparent", b"t" * 10_000), ("h", b"h" * 10_000)])
    letter = letter_of(monster, fits=2000)
    assert size_of(letter.key, letter.value, letter.headers) <= 2000


def test_a_dead_letter_reads_back():
    dead = parse(lay(letter_of(attempts=2)))
    assert (dead.topic, dead.partition, dead.offset, dead.timestamp) == ("posts", 3, 77, 1_700_000_000_123)
    assert (dead.stage, dead.kind, dead.reason) == ("prepare", "invalid", "invalid_json")
    assert (dead.attempts, dead.group, dead.replays) == (2, "g", 0)
    assert (dead.mode, dead.event_id) == ("content", "e1")
    assert dead.record.value == b"\xff\x00raw"


@pytest.mark.parametrize(
    "headers",
    [(), (("tidegate-dlq-topic", b"x"),), tuple((n, b"\xff") for n, _ in letter_of().headers)],
)
def test_other_records_are_not_taken_for_dead_letters(headers):
    with pytest.raises(DataError, match="not a dead letter"):
        parse(Stored("posts.dead", 0, 1, 1, b"k", b"v", headers))


def test_redrive_gives_the_record_back_under_its_id():
    again = redrive(parse(lay(letter_of())))
    assert (again.key, again.value) == (b"k", b"\xff\x00raw")
    assert list(again.headers) == [
        ("h", b"1"),
        ("h", b"2"),
        ("empty", None),
        ("tidegate-event-id", b"e1"),
        ("tidegate-dlq-replays", b"1"),
    ]


@pytest.mark.parametrize("bad", [b"x" * 257, b"\xff", b""])
def test_an_id_that_made_the_event_invalid_does_not_come_back(bad):
    letter = letter_of(record(headers=[("tidegate-event-id", bad)]))
    assert ("tidegate-event-id", bad) in letter.headers, "untouched in the dead letter"
    again = redrive(parse(lay(letter)))
    assert [v for n, v in again.headers if n == "tidegate-event-id"] == [b"e1"]


def test_a_dead_letter_without_a_usable_id_is_named_by_its_place():
    letter = letter_of()
    headers = [(n, b"\xff" if n == "tidegate-event-id" else v) for n, v in letter.headers]
    assert (
        parse(Stored("posts.dead", 0, 5, 1, letter.key, letter.value, tuple(headers))).event_id
        == "posts/3/77"
    )


def test_replays_are_counted_around_the_circle():
    source = record()
    for round_ in range(3):
        letter = letter_of(source)
        assert parse(lay(letter)).replays == round_
        again = redrive(parse(lay(letter)))
        source = Stored("posts", 3, 100 + round_, 5, again.key, again.value, tuple(again.headers))
        assert [n for n, _ in source.headers].count("tidegate-event-id") == 1
    assert replays_of(source.headers) == 3


def test_a_reference_needs_the_very_record_it_points_to():
    dead = parse(lay(letter_of(mode="reference")))
    with pytest.raises(DataError, match="only a reference"):
        redrive(dead)
    with pytest.raises(DataError, match="not the record"):
        redrive(dead, Stored("posts", 3, 78, 0, b"k", b"v"))
    assert redrive(dead, record()).value == b"\xff\x00raw"


def test_headers_of_ours_that_a_producer_forged_do_not_count():
    forged = record(headers=[("tidegate-dlq-topic", b"evil"), ("tidegate-dlq-replays", b"-1; drop")])
    dead = parse(lay(letter_of(forged)))
    assert (dead.topic, dead.replays) == ("posts", 0)


def test_an_id_that_the_record_brought_is_kept():
    letter = letter_of(record(headers=[("tidegate-event-id", b"own")]), event_id="own")
    assert [v for n, v in letter.headers if n == "tidegate-event-id"] == [b"own"]
