"""Reading a stretch of a topic: exactly what was asked for, and nothing committed."""

from __future__ import annotations

import time

import pytest
from kafka import KafkaAdminClient, KafkaProducer
from kafka.structs import TopicPartition

from service.errors import UnreachableError
from service.kafka.reader import Reader, Stretch
from service.record import Partition

START = int(time.time()) * 1000 - 60_000
pytestmark = pytest.mark.kafka


@pytest.fixture
def filled(kafka, topic):
    """Two partitions of ten records, one a second from START on."""
    name = topic(2)
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap_servers)
    for number in range(10):
        for partition in (0, 1):
            producer.send(name, b"%d" % number, partition=partition, timestamp_ms=START + number * 1000).get(
                10
            )
    producer.close()
    return name


def offsets(kafka, name, **limits):
    with Reader(kafka, name, Stretch(**limits)) as reader:
        found = {0: [], 1: []}
        for record in reader:
            found[record.partition].append(record.offset)
    return found[0], found[1]


def test_everything_up_to_the_end_at_the_start(kafka, filled):
    assert offsets(kafka, filled) == (list(range(10)), list(range(10)))


def test_a_range_of_offsets_in_one_partition(kafka, filled):
    assert offsets(kafka, filled, partitions=[1], first=3, stop=6) == ([], [3, 4, 5])


def test_a_range_of_times(kafka, filled):
    assert offsets(kafka, filled, since=START + 4000, until=START + 6500) == ([4, 5, 6], [4, 5, 6])


def test_nothing_since_a_time_after_the_last_record(kafka, filled):
    assert offsets(kafka, filled, since=START + 20_000) == ([], [])


def test_the_last_ones_of_each_partition(kafka, filled):
    assert offsets(kafka, filled, last=2) == ([8, 9], [8, 9])


def test_the_ranges_are_known_before_reading(kafka, filled):
    with Reader(kafka, filled, Stretch(first=4)) as reader:
        assert reader.ranges == {Partition(filled, 0): (4, 10), Partition(filled, 1): (4, 10)}
        assert reader.total == 12


def test_a_missing_topic_is_named(kafka):
    with pytest.raises(UnreachableError, match="no topic nowhere"), Reader(kafka, "nowhere"):
        pass


def test_records_that_retention_takes_meanwhile_are_passed_over(kafka, filled):
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    with Reader(kafka, filled, Stretch(partitions=[0])) as reader:
        admin.delete_records({TopicPartition(filled, 0): 7})
        assert [record.offset for record in reader] == [7, 8, 9]
    admin.close()
