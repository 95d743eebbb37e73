"""Doctor against a real broker."""

from __future__ import annotations

import json
import re

import pytest

from service.cli.main import run
from service.errors import Exit

pytestmark = pytest.mark.kafka


@pytest.fixture
def doctor(broker, tiny, capfdbinary):
    """Run the command; its exit code and its results."""

    def run_it(*settings):
        options = [f"kafka.bootstrap_servers={broker.bootstrap}", f"bundle={tiny}", "http.port=0", *settings]
        code = run(["doctor", "--json", *(word for one in options for word in ("--set", one))])
        return code, [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]

    return run_it


def test_a_sound_configuration_passes(doctor, topic):
    topics = topic(partitions=3), topic(), topic()
    code, results = doctor(
        f"input.topics=[{topics[0]}]", f"output.topic={topics[1]}", f"deadletter.topic={topics[2]}"
    )
    assert code == Exit.OK, results
    assert "FAIL" not in {result["state"] for result in results}
    named = {result["name"]: result["detail"] for result in results}
    assert f"{topics[0]} (3 partitions)" in named["topics"]


def test_a_missing_topic_exits_69_and_says_how_to_make_it(doctor, topic):
    code, results = doctor(f"input.topics=[{topic()}]", "output.topic=nowhere", f"deadletter.topic={topic()}")
    failed = [result for result in results if result["state"] == "FAIL"]
    assert code == Exit.UNREACHABLE
    assert ["nowhere" in result["detail"] for result in failed] == [True]
    assert "tidegate topics create -c FILE" in failed[0]["remedy"]


def test_topics_that_take_too_little_are_a_warning(doctor, topic):
    small = {"max.message.bytes": "9000", "cleanup.policy": "compact"}
    code, results = doctor(
        f"input.topics=[{topic()}]",
        f"output.topic={topic(configs=small)}",
        f"deadletter.topic={topic(configs={'max.message.bytes': '9000'})}",
    )
    warned = [result["name"] for result in results if result["state"] == "WARN"]
    assert code == Exit.OK
    assert warned.count("output") == 2
    assert "deadletter" in warned
    remedies = " ".join(result["remedy"] for result in results)
    assert re.search(r"kafka-configs\.sh --bootstrap-server \S+ --alter .*max\.message\.bytes=\d+", remedies)
