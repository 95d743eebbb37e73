"""`tidegate replay`: the same ids again, and nothing committed."""

from __future__ import annotations

import json

import pytest

from service.errors import Exit
from tests.cluster import Sent
from tests.harness import posts, tidegate

pytestmark = pytest.mark.kafka


@pytest.fixture
def filled(world):
    """Twelve events on two partitions, the last one broken; nobody has consumed them."""
    found = world(partitions=2)
    events = [*posts(11), Sent(b"{not json")]
    found.send([Sent(event.value, event.key, event.headers, k % 2) for k, event in enumerate(events)])
    return found


def replay(world, *args):
    return tidegate("replay", "-c", str(world.config()[0]), *args)


def test_every_record_of_the_range_gets_a_score_or_a_dead_letter_and_nothing_is_committed(filled):
    done = replay(filled, "--from", "0", "--json")
    assert done.returncode == Exit.OK, done.stderr
    assert json.loads(done.stdout) == {
        "schema": "tidegate.replay/1",
        "scored": 11,
        "dead_lettered": 1,
        "rejected": 0,
    }
    assert filled.open_places() == set()
    assert filled.committed() == {}


def test_scores_carry_the_ids_they_would_have_had(filled):
    replay(filled, "--from", "0")
    replay(filled, "--from", "0")
    ids = [json.loads(fact.value)["id"] for fact in filled.cluster.read(filled.output)]
    assert sorted(ids) == sorted(2 * [f"e{k}" for k in range(11)])


def test_a_range_of_offsets_in_one_partition(filled):
    done = replay(filled, "--partition", "0", "--from", "2", "--to", "4", "--json")
    assert json.loads(done.stdout)["scored"] == 2
    origins = [json.loads(fact.value)["origin"] for fact in filled.cluster.read(filled.output)]
    assert sorted((origin["partition"], origin["offset"]) for origin in origins) == [(0, 2), (0, 3)]


def test_a_dry_run_says_how_much_and_publishes_nothing(filled):
    done = replay(filled, "--from", "1h", "--dry-run", "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["partition"], row["first"], row["stop"]) for row in rows] == [(0, 0, 6), (1, 0, 6)]
    assert {row["schema"] for row in rows} == {"tidegate.range/1"}
    assert filled.cluster.read(filled.output) == []


def test_an_age_limit_is_for_the_stream_not_for_a_replay(filled):
    limits = ["--set", "limits.event_age=0.001", "--set", "limits.event_age_action=drop"]
    done = replay(filled, "--from", "0", "--json", *limits)
    assert json.loads(done.stdout)["scored"] == 11


def test_a_topic_that_is_no_input_is_a_usage_error(filled):
    done = replay(filled, "--from", "0", "--topic", filled.output)
    assert done.returncode == Exit.USAGE


@pytest.mark.parametrize("dry_run", [[], ["--dry-run"]])
@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--partition", "7", "--from", "0"], "There is no partition 7"),
        (["--from", "2099-01-01T00:00Z"], "2099-01-01 00:00:00.000 UTC is in the future"),
        (["--from", "1h", "--to", "2h"], "is not after --from"),
        (["--from", "4", "--to", "4"], "offset 4 is not after --from offset 4"),
        (["--from", "500"], "the next record gets offset 6"),
    ],
)
def test_a_range_that_cannot_hold_anything_is_a_usage_error(filled, options, says, dry_run):
    done = replay(filled, *options, *dry_run)
    assert done.returncode == Exit.USAGE, done.stderr
    assert says in " ".join(done.stderr.split())
    assert filled.cluster.read(filled.output) == []


def test_the_end_as_it_is_now_is_no_mistake(filled):
    done = replay(filled, "--from", "6", "--dry-run")
    assert done.returncode == Exit.OK
    assert "0 records" in done.stderr
