"""`tidegate topics` on a real broker."""

from __future__ import annotations

import json
import uuid

import pytest

from service.config import Settings
from service.errors import Exit
from tests.harness import tidegate

pytestmark = pytest.mark.kafka


@pytest.fixture
def settings(broker):
    """Options that name three topics nobody has made."""
    name = uuid.uuid4().hex[:8]
    values = {
        "kafka.bootstrap_servers": broker.bootstrap,
        "input.topics": f"in-{name}",
        "output.topic": f"out-{name}",
        "deadletter.topic": f"dead-{name}",
    }
    return [part for key, value in values.items() for part in ("--set", f"{key}={value}")]


def rows(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_check_exits_69_while_a_topic_is_missing_and_says_what_to_do(settings):
    done = tidegate("topics", "check", *settings)
    assert done.returncode == Exit.UNREACHABLE
    assert "topics create" in done.stderr


def test_create_makes_what_is_missing_once_and_check_describes_it(settings):
    first = tidegate(
        "topics", "create", "--partitions", "3", "--topic-config", "retention.ms=60000", "--json", *settings
    )
    assert first.returncode == 0, first.stderr
    assert [(row["role"], row["state"]) for row in rows(first)] == [
        ("input", "created"),
        ("output", "created"),
        ("deadletter", "created"),
    ]
    again = tidegate("topics", "create", "--json", *settings)
    assert {row["state"] for row in rows(again)} == {"exists"}
    checked = tidegate("topics", "check", "--json", *settings)
    assert checked.returncode == 0, checked.stderr
    assert [(row["role"], row["partitions"]) for row in rows(checked)] == [
        ("input", 3),
        ("output", 3),
        ("deadletter", 3),
    ]


def test_a_new_dead_letter_topic_holds_any_record_within_the_limit(settings):
    made = tidegate("topics", "create", "--json", *settings)
    assert made.returncode == 0, made.stderr
    sizes = {r["role"]: r["max_bytes"] for r in rows(tidegate("topics", "check", "--json", *settings))}
    assert sizes["deadletter"] > Settings().limits.record_bytes
    assert sizes["output"] < Settings().limits.record_bytes


def test_a_size_that_was_asked_for_counts(settings):
    tidegate("topics", "create", "--topic-config", "max.message.bytes=70000", *settings)
    checked = rows(tidegate("topics", "check", "--json", *settings))
    assert {row["max_bytes"] for row in checked} == {70000}
    assert {row["schema"] for row in checked} == {"tidegate.topic/1"}


def test_more_replicas_than_brokers_are_refused_with_what_to_change(settings):
    done = tidegate("topics", "create", "--replicas", "3", *settings)
    assert done.returncode == Exit.CONFIG, done.stderr
    assert "--replicas" in done.stderr


def test_an_output_that_is_also_an_input_is_refused_before_anything_is_made(settings, cluster):
    loop = settings[settings.index("--set", 4) + 1].replace("output.topic", "input.topics")
    done = tidegate("topics", "create", *settings, "--set", loop)
    assert done.returncode == Exit.CONFIG
    assert "read again" in done.stderr


def test_a_broker_that_is_not_there_exits_69(settings):
    done = tidegate("topics", "check", *settings, "--set", "kafka.bootstrap_servers=127.0.0.1:1")
    assert done.returncode == Exit.UNREACHABLE
    assert "127.0.0.1:1" in done.stderr
