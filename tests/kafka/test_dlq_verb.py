"""`tidegate dlq` on dead letters that a real daemon wrote."""

from __future__ import annotations

import base64
import json
import re

import pytest

from service.errors import Exit
from service.schema import schema_of
from tests.cluster import Sent
from tests.harness import post, tidegate

pytestmark = pytest.mark.kafka


@pytest.fixture
def letters(world):
    """A world whose daemon has written three dead letters: two of invalid_json, one without content."""
    found = world()
    broken = Sent(b"{not json", b"key-1", (("traceparent", b"00-1-2-03"), ("mine", "är".encode())))
    with found.daemon() as daemon:
        daemon.wait_ready()
        found.send([broken, "good", Sent(b"[1,", b"key-2"), Sent(post(" "), b"key-3")])
        found.wait_answered(daemon=daemon)
        assert daemon.stop() == 0
    return found


@pytest.fixture
def dlq(letters):
    def run(*args):
        return tidegate("dlq", *args, "-c", str(letters.config()[0]))

    return run


def rows(done):
    assert done.returncode == Exit.OK, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_list_shows_each_with_its_reason_and_origin(dlq, letters):
    found = rows(dlq("list", "--json"))
    assert [row["reason"] for row in found] == ["invalid_json", "invalid_json", "no_content"]
    assert {row["topic"] for row in found} == {letters.input}
    assert [row["place"]["offset"] for row in found] == [0, 1, 2]


def test_its_lines_are_valid_against_the_published_schema(dlq):
    import jsonschema

    for row in rows(dlq("list", "--json")):
        jsonschema.Draft202012Validator(schema_of("deadletter")).validate(row)


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (["--reason", "no_content"], 1),
        (["--class", "media"], 0),
        (["--limit", "2"], 2),
        (["--since", "1h"], 3),
        (["--until", "1h"], 0),
    ],
)
def test_filters_choose(dlq, options, count):
    assert len(rows(dlq("list", "--json", *options))) == count


def test_the_table_counts_by_reason(dlq):
    done = dlq("list")
    assert "invalid/invalid_json" in done.stdout
    assert "2 invalid/invalid_json, 1 invalid/no_content" in done.stderr


def test_show_gives_headers_and_content_untouched(dlq):
    row = rows(dlq("show", "0/0", "--json"))[0]
    assert base64.b64decode(row["value"]) == b"{not json"
    assert row["headers"]["mine"] == "är"
    assert dlq("show", "0/0", "--raw").stdout == "{not json"
    assert "{not json" in dlq("show", "0/0").stdout


def test_show_of_a_place_where_nothing_lies_exits_65(dlq):
    done = dlq("show", "0/99")
    assert done.returncode == Exit.DATA
    assert "dlq list" in done.stderr


def test_a_dry_run_sends_nothing(dlq, letters):
    before = letters.cluster.ends([letters.input])
    assert {row["state"] for row in rows(dlq("redrive", "--dry-run", "--json"))} == {"would be redriven"}
    assert letters.cluster.ends([letters.input]) == before


def test_redrive_sends_the_record_back_under_its_event_id(dlq, letters):
    sent = rows(dlq("redrive", "--reason", "invalid_json", "--json"))
    assert [row["state"] for row in sent] == ["redriven", "redriven"]
    back = letters.cluster.read(letters.input)[4:]
    assert [(fact.key, fact.value) for fact in back] == [(b"key-1", b"{not json"), (b"key-2", b"[1,")]
    headers = dict(back[0].headers)
    assert headers["tidegate-event-id"].decode() == f"{letters.input}/0/0"
    assert headers["tidegate-dlq-replays"] == b"1"
    assert headers["traceparent"] == b"00-1-2-03"
    assert {name for name in headers if name.startswith("tidegate-dlq-")} == {"tidegate-dlq-replays"}


def test_a_second_redrive_sends_nothing_that_was_sent_before(dlq, letters):
    assert len(rows(dlq("redrive", "--json"))) == 3
    before = letters.cluster.ends([letters.input])
    again = dlq("redrive", "--json")
    assert rows(again) == []
    assert "3 letters redriven before" in again.stderr
    assert letters.cluster.ends([letters.input]) == before
    assert len(rows(dlq("redrive", "--all", "--dry-run", "--json"))) == 3


def test_what_a_filter_passed_over_stays_open(dlq):
    assert len(rows(dlq("redrive", "--reason", "no_content", "--json"))) == 1
    assert [row["id"][-2:] for row in rows(dlq("redrive", "--limit", "1", "--json"))] == ["/0"]
    assert [row["id"][-2:] for row in rows(dlq("redrive", "--json"))] == ["/2"]
    assert rows(dlq("redrive", "--json")) == []


def test_an_event_that_failed_again_and_again_is_sent_once_from_its_newest_letter(dlq, letters):
    def round_trip(*options):
        done = dlq("redrive", "--reason", "invalid_json", *options)
        assert done.returncode == Exit.OK, done.stderr
        with letters.daemon() as daemon:
            daemon.wait_ready()
            letters.wait_answered(daemon=daemon)
            assert daemon.stop() == 0
        return done.stderr

    assert "Redriven: 2 events (2 letters)." in round_trip()
    assert "Redriven: 2 events (2 letters)." in round_trip()
    assert "Redriven: 2 events (6 letters)." in round_trip("--all")
    back = letters.cluster.read(letters.input)[4:]
    assert [dict(fact.headers)["tidegate-dlq-replays"] for fact in back] == [
        b"1", b"1", b"2", b"2", b"3", b"3"
    ]  # fmt: skip


def test_show_tells_key_origin_and_time_to_the_millisecond(dlq, letters):
    row = rows(dlq("show", "0/0", "--json"))[0]
    assert base64.b64decode(row["key"]) == b"key-1"
    done = dlq("show", "0/0")
    assert f"from {letters.input}/0/0" in done.stderr
    assert "key-1" in done.stdout
    assert re.search(r"\d\d:\d\d:\d\d\.\d{3} UTC", done.stdout)


def test_an_empty_list_has_its_heading(dlq):
    done = dlq("list", "--class", "media")
    assert "origin" in done.stdout
    assert "No dead letters" in done.stderr


def test_a_reason_that_does_not_exist_is_a_usage_error(dlq):
    done = dlq("list", "--reason", "undecodeable")
    assert done.returncode == Exit.USAGE
    assert "Did you mean 'undecodable'?" in done.stderr


def test_redrive_of_a_reference_fetches_the_original(world):
    found = world(settings={"deadletter": {"mode": "reference"}})
    with found.daemon() as daemon:
        daemon.wait_ready()
        found.send([Sent(b"{not json", b"key-1")])
        found.wait_answered(daemon=daemon)
        daemon.stop()
    sent = rows(tidegate("dlq", "redrive", "--json", "-c", str(found.config()[0])))
    assert [row["state"] for row in sent] == ["redriven"]
    assert [(fact.key, fact.value) for fact in found.cluster.read(found.input)[1:]] == [
        (b"key-1", b"{not json")
    ]
