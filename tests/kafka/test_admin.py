"""The check of the topics before the first record: what is wrong is named, with its remedy, in time."""

from __future__ import annotations

import time

import pytest

from service.config import DeadLetter, Input, Kafka, Output, Settings
from service.errors import ConfigError, TidegateError, UnreachableError
from service.kafka.admin import BATCH_OVERHEAD, check_loops, create_topics, describe, matching, preflight
from service.kafka.broker import EmbeddedBroker
from service.kafka.sink import Sink
from service.record import Outgoing, Partition

pytestmark = pytest.mark.kafka


def settings(kafka: Kafka, source: list[str] | str, output: str, deadletter: str) -> Settings:
    return Settings(
        kafka=kafka,
        input=Input(topics=source),
        output=Output(topic=output),
        deadletter=DeadLetter(topic=deadletter),
    )


def test_what_is_there_is_described(kafka, topic):
    source, output = topic(3), topic(1, {"max.message.bytes": "5000"})
    facts = preflight(settings(kafka, [source], output, topic()))
    assert facts.inputs[source].partitions == 3
    assert facts.output_max_bytes == 5000 - BATCH_OVERHEAD
    assert facts.deadletter_max_bytes == 1_048_588 - BATCH_OVERHEAD


def test_a_record_of_the_promised_size_fits(kafka, topic):
    output = topic(1, {"max.message.bytes": "5000"})
    facts = preflight(settings(kafka, [topic()], output, topic()))
    sink = Sink(kafka)
    record = Outgoing(output, b"key", b"." * (facts.output_max_bytes - 3), (), Partition("in", 0), 1)
    assert sink.publish([record]) == []
    sink.close()


@pytest.mark.parametrize("missing", ["input", "output", "deadletter", "pattern"])
def test_a_missing_topic_is_unreachable_with_its_name_and_remedy(kafka, topic, missing):
    names = {role: topic() for role in ("input", "output", "deadletter")}
    if missing == "pattern":
        made = settings(kafka, "^nothing-like-it", names["output"], names["deadletter"])
    else:
        names[missing] = "nowhere"
        made = settings(kafka, [names["input"]], names["output"], names["deadletter"])
    with pytest.raises(
        UnreachableError, match="nothing-like-it" if missing == "pattern" else "nowhere"
    ) as caught:
        preflight(made)
    assert "tidegate topics create" in caught.value.remedy


def test_an_output_that_is_also_an_input_is_refused_without_the_network():
    for source in (["a", "b"], "^[ab]$"):
        for output, deadletter in (("a", "x"), ("x", "b")):
            with pytest.raises(ConfigError, match="also an input"):
                check_loops(settings(Kafka(), source, output, deadletter))
    with pytest.raises(ConfigError, match="share one topic"):
        check_loops(settings(Kafka(), ["a"], "x", "x"))


def test_a_compacted_dead_letter_topic_is_refused(kafka, topic):
    made = settings(kafka, [topic()], topic(), topic(1, {"cleanup.policy": "compact"}))
    with pytest.raises(ConfigError, match="compacted"):
        preflight(made)


def test_a_bad_pattern_is_named():
    with pytest.raises(ConfigError, match=r"input\.topics"):
        matching("^(", ["a"])


def test_a_pattern_never_means_internal_topics():
    assert matching(".*", ["a", "__consumer_offsets"]) == ["a"]


def test_creating_twice_makes_it_once(kafka):
    name = f"once-{time.monotonic_ns()}"
    assert create_topics(kafka, [name, name], partitions=2) == [name]
    assert create_topics(kafka, [name]) == []
    assert describe(kafka, [name, "nowhere"]).keys() == {name}


def test_an_advertised_address_that_leads_nowhere_is_told_in_time():
    with EmbeddedBroker(properties={"advertised.listeners": "PLAINTEXT://127.0.0.1:1"}) as lost:
        began = time.monotonic()
        with pytest.raises(TidegateError, match="advertised") as caught:
            preflight(settings(Kafka(bootstrap_servers=[lost.bootstrap]), ["a"], "b", "c"))
        assert time.monotonic() - began < 15
        assert isinstance(caught.value, UnreachableError)
