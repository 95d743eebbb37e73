"""The sink on a real broker: every record arrives, whatever happens to its neighbours or to the broker."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import defaultdict

import pytest
from kafka import KafkaAdminClient, KafkaConsumer
from kafka.structs import TopicPartition

from service.config import Kafka
from service.errors import ConfigError
from service.kafka.admin import create_topics
from service.kafka.broker import EmbeddedBroker
from service.kafka.sink import Abandoned, Sink
from service.record import Outgoing, Partition
from tests.kafka.conftest import fresh_topic, kafka_for

pytestmark = pytest.mark.kafka
ORIGIN = Partition("in", 0)


def outgoing(topic: str, number: int, size: int = 0, key: bytes | None = None, epoch: int = 1) -> Outgoing:
    value = b"%d" % number + b"." * size
    return Outgoing(topic, key if key is not None else b"k%d" % (number % 7), value, (), ORIGIN, epoch)


def batch(topic: str, count: int, first: int = 0) -> list[Outgoing]:
    return [outgoing(topic, number) for number in range(first, first + count)]


def read(kafka: Kafka, topic: str) -> list[tuple[bytes | None, bytes | None]]:
    consumer = KafkaConsumer(bootstrap_servers=kafka.bootstrap_servers, auto_offset_reset="earliest")
    partitions = [TopicPartition(topic, each) for each in consumer.partitions_for_topic(topic)]
    consumer.assign(partitions)
    ends = consumer.end_offsets(partitions)
    found = []
    while any(consumer.position(each) < ends[each] for each in partitions):
        for records in consumer.poll(timeout_ms=500).values():
            found.extend((record.key, record.value) for record in records)
    consumer.close()
    return found


def numbers(found: list[tuple[bytes | None, bytes | None]]) -> list[int]:
    return [int((value or b"").rstrip(b".")) for _, value in found]


def assert_ordered(found: list[tuple[bytes | None, bytes | None]]) -> None:
    """First arrivals of each key rise."""
    by_key: dict[bytes | None, list[int]] = defaultdict(list)
    for (key, _), number in zip(found, numbers(found), strict=True):
        if number not in by_key[key]:
            by_key[key].append(number)
    for arrived in by_key.values():
        assert arrived == sorted(arrived)


@pytest.fixture
def sink(kafka):
    made = Sink(kafka)
    yield made
    made.close()


def test_everything_is_acknowledged_in_order_per_key(kafka, topic, sink):
    name = topic(3)
    assert sink.publish(batch(name, 3000)) == []
    found = read(kafka, name)
    assert sorted(numbers(found)) == list(range(3000))
    assert_ordered(found)


def test_one_record_does_not_wait_for_company(topic, sink):
    name = topic()
    sink.publish(batch(name, 1))
    seconds = []
    for number in range(20):
        began = time.monotonic()
        sink.publish(batch(name, 1, number))
        seconds.append(time.monotonic() - began)
    assert sorted(seconds)[10] < 0.05


def test_a_rejected_record_does_not_poison_its_neighbours(kafka, topic):
    replaced: list[str] = []
    sink = Sink(kafka, on_replaced=replaced.append)
    name = topic(2, {"max.message.bytes": "20000"})
    records = batch(name, 200)
    records[60] = outgoing(name, 60, size=30000)
    records[61] = outgoing(name, 61, size=30000)
    rejected = sink.publish(records)
    assert [each.index for each in rejected] == [60, 61]
    assert all("MessageSizeTooLarge" in each.why for each in rejected)
    assert sink.publish(batch(name, 10, 200)) == []
    sink.close()
    found = read(kafka, name)
    assert sorted(set(numbers(found))) == [n for n in range(210) if n not in (60, 61)]
    assert_ordered(found)
    assert "rejected" in replaced


def test_a_null_key_on_a_compacted_topic_is_rejected_alone(kafka, topic, sink):
    name = topic(1, {"cleanup.policy": "compact"})
    records = batch(name, 20)
    records[5] = Outgoing(name, None, b"5", (), ORIGIN, 1)
    rejected = sink.publish(records)
    assert [each.index for each in rejected] == [5]
    assert sorted(set(numbers(read(kafka, name)))) == [n for n in range(20) if n != 5]


def test_a_record_that_grew_too_old_on_its_way_is_sent_anew(kafka, topic, sink, broker):
    name = topic(1, {"message.timestamp.before.max.ms": "1200"})
    sink.publish(batch(name, 1))
    rejected: list[object] = []
    os.kill(broker.pid, signal.SIGSTOP)
    try:
        done = in_background(lambda: rejected.append(sink.publish(batch(name, 1, 1))))
        time.sleep(2)
    finally:
        os.kill(broker.pid, signal.SIGCONT)
    done.join(10)
    assert rejected == [[]]
    assert numbers(read(kafka, name)) == [0, 1]


def test_a_record_beyond_the_clients_own_limit_is_refused_alone(kafka, topic):
    small = kafka.model_copy(update={"producer": {"max_request_size": 1000}})
    sink, name = Sink(small), topic()
    records = batch(name, 10)
    records[3] = outgoing(name, 3, size=5000)
    assert [each.index for each in sink.publish(records)] == [3]
    sink.close()
    assert sorted(numbers(read(kafka, name))) == [0, 1, 2, *range(4, 10)]


def test_odd_records_arrive_byte_for_byte(kafka, topic, sink):
    name = topic()
    no_text = b"\xff\xfe".decode("utf-8", "surrogateescape")
    headers = [("a", None), ("b", b""), (no_text, b"x"), ("ümläut", b"nothing")]
    records = [Outgoing(name, key, None, headers, ORIGIN, 1) for key in (None, b"k")]
    assert sink.publish(records) == []
    consumer = KafkaConsumer(name, bootstrap_servers=kafka.bootstrap_servers, auto_offset_reset="earliest")
    found = next(iter(consumer.poll(timeout_ms=5000).values()))
    consumer.close()
    assert [(each.key, each.value) for each in found] == [(None, None), (b"k", None)]
    assert [list(each.headers) for each in found] == [headers, headers]
    # What was read can be sent on.
    again = [Outgoing(name, each.key, each.value, each.headers, ORIGIN, 1) for each in found]
    assert sink.publish(again) == []


def test_records_of_a_lost_ownership_are_not_sent(kafka, topic, sink):
    name = topic()
    records = [outgoing(name, 0), outgoing(name, 1, epoch=2), outgoing(name, 2)]
    assert sink.publish(records, owned=lambda each: each.epoch == 1) == []
    assert numbers(read(kafka, name)) == [0, 2]


def test_what_was_lost_while_waiting_for_a_producer_is_not_sent(kafka, topic, sink, monkeypatch):
    name, back, connect = topic(), threading.Event(), sink._connect

    def away() -> object:
        back.wait(10)
        return connect()

    monkeypatch.setattr(sink, "_connect", away)
    epoch = [1]
    records = [outgoing(name, 0), outgoing(name, 1, epoch=2)]
    done = in_background(lambda: sink.publish(records, owned=lambda each: each.epoch >= epoch[0]))
    time.sleep(0.3)
    epoch[0] = 2
    sink.kill()
    back.set()
    done.join(10)
    assert numbers(read(kafka, name)) == [1]


def test_a_killed_sink_publishes_the_rest_with_a_new_producer(kafka, topic):
    replaced: list[str] = []
    sink, name = Sink(kafka, on_replaced=replaced.append), topic()
    sink.publish(batch(name, 10))
    sink.kill()
    assert sink.publish(batch(name, 10, 10)) == []
    sink.close()
    assert replaced == ["killed"]
    assert sorted(set(numbers(read(kafka, name)))) == list(range(20))


def test_a_missing_topic_is_waited_for_with_a_reason(kafka):
    sink, name = Sink(kafka), f"late-{time.monotonic_ns()}"
    done = in_background(lambda: sink.publish(batch(name, 50)))
    until(lambda: sink.reason == "output_unavailable", 10)
    create_topics(kafka, [name])
    done.join(25)
    assert not done.is_alive()
    assert sink.healthy
    sink.close()
    assert sorted(set(numbers(read(kafka, name)))) == list(range(50))


def test_an_output_topic_deleted_and_made_again_is_written_again(kafka, topic):
    sink, name = Sink(kafka), topic()
    sink.publish(batch(name, 10))
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    admin.delete_topics([name])
    admin.close()
    done = in_background(lambda: sink.publish(batch(name, 10, 10)))
    until(lambda: sink.reason is not None, 15)
    create_topics(kafka, [name])
    done.join(25)
    assert not done.is_alive()
    sink.close()
    assert sorted(set(numbers(read(kafka, name)))) == list(range(10, 20))


def test_stopping_abandons_what_cannot_be_delivered(kafka):
    sink = Sink(kafka)
    stop = threading.Event()
    raised: list[BaseException] = []

    def work() -> None:
        try:
            sink.publish(batch("never-there", 5), stopping=stop.is_set)
        except Abandoned as error:
            raised.append(error)

    done = in_background(work)
    time.sleep(1)
    began = time.monotonic()
    stop.set()
    done.join(10)
    assert raised
    assert time.monotonic() - began < 7
    sink.close()


@pytest.mark.parametrize("down", [1.0, 9.0], ids=["less than the delivery timeout", "longer"])
def test_a_killed_broker_costs_no_record(own_broker: EmbeddedBroker, down: float):
    quick = {"delivery_timeout_ms": 6000, "request_timeout_ms": 2000}
    kafka = kafka_for(own_broker, producer=quick)
    name = fresh_topic(kafka, 2)
    sink = Sink(kafka)
    stop, published = threading.Event(), [0]

    def work() -> None:
        while not stop.is_set():
            assert sink.publish(batch(name, 40, published[0])) == []
            published[0] += 40
            time.sleep(0.05)

    done = in_background(work)
    until(lambda: published[0] > 200, 10)
    own_broker.kill()
    time.sleep(down)
    if down > 6:
        assert sink.reason == "broker_unreachable"
    before = published[0]
    own_broker.start()
    until(lambda: published[0] > before + 400, 40)
    stop.set()
    done.join(20)
    assert not done.is_alive()
    assert sink.healthy
    sink.close()
    found = read(kafka, name)
    assert set(numbers(found)) == set(range(published[0]))
    assert_ordered(found)


def test_closing_while_the_broker_is_down_leaves_no_thread(own_broker: EmbeddedBroker):
    kafka = kafka_for(own_broker)
    name = fresh_topic(kafka)
    sink = Sink(kafka)
    sink.publish(batch(name, 5))
    before = threading.active_count()
    own_broker.kill()
    done = in_background(lambda: publish_until(sink, name))
    time.sleep(1)
    sink.kill()
    done.join(15)
    sink.close(1)
    assert not done.is_alive()
    assert threading.active_count() < before


def test_closing_takes_no_longer_than_it_may(topic, sink, monkeypatch):
    sink.publish(batch(topic(), 10))
    stuck = threading.Event()
    monkeypatch.setattr(sink._producer._sender, "run_once", lambda: stuck.wait(3))
    time.sleep(0.2)
    began = time.monotonic()
    sink.close(1)
    assert time.monotonic() - began < 1.3
    stuck.set()


def publish_until(sink: Sink, name: str) -> None:
    end = time.monotonic() + 2
    with pytest.raises(Abandoned):
        sink.publish(batch(name, 5), stopping=lambda: time.monotonic() > end)


def test_a_setting_that_could_lose_records_is_refused(kafka):
    with pytest.raises(ConfigError, match=r"kafka\.producer\.acks"):
        Sink(kafka.model_copy(update={"producer": {"acks": 1}}))


def in_background(work) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def until(condition, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
