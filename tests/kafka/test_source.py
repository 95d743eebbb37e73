"""The source on a real broker: every record once per owner, nothing committed early, no start that sticks."""

from __future__ import annotations

import time
from collections.abc import Mapping

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import CorruptRecordError, KafkaTimeoutError
from kafka.record.default_records import DefaultRecordBatch
from kafka.structs import TopicPartition

from service.config import Kafka
from service.errors import DataError, UnreachableError
from service.kafka import odd
from service.kafka.admin import create_topics
from service.kafka.broker import EmbeddedBroker
from service.kafka.checkpoint import Commit, Marker
from service.kafka.commits import Committer
from service.kafka.sink import Sink
from service.record import Outgoing, Partition
from tests.kafka.conftest import Topics, fresh_topic, kafka_for
from tests.members import Member, committed, member, produce, same_group

pytestmark = pytest.mark.kafka


def test_a_new_group_starts_at_the_earliest_record_and_commits_what_is_acknowledged(kafka, topic):
    name = topic(2)
    produce(kafka, name, 100)
    with member(kafka, name) as one:
        one.take(10, lambda: one.total() == 100)
        assert one.total() == 100
        assert all(not start.committed and start.offset == 0 for start in one.told.starts.values())
    assert sum((committed(kafka, name, p) or (0, ""))[0] for p in (0, 1)) == 100


def test_nothing_unacknowledged_is_ever_committed(kafka, topic):
    name = topic()
    produce(kafka, name, 10)
    with member(kafka, name, drain=0.3) as one:
        one.take(3, lambda: one.total() == 10, ack=False)
        one.take(1.2)
    assert committed(kafka, name) is None


def test_start_latest_skips_what_was_there_and_pins_the_position_at_once(kafka, topic):
    name = topic()
    produce(kafka, name, 10)
    with member(kafka, name, start="latest") as one:
        one.take(10, lambda: bool(one.told.starts))
        assert one.told.starts[Partition(name, 0)].offset == 10
        assert committed(kafka, name) == (10, "")


def test_start_latest_takes_nothing_until_the_position_is_pinned_and_then_skips_nothing(
    kafka, topic, monkeypatch
):
    name = topic(2)
    produce(kafka, name, 10)
    away, asked, now = [True], [], Committer.now

    def failing(committer: Committer, commits: Mapping[Partition, Commit], timeout: float) -> bool:
        asked.append(set(commits))
        return not away and now(committer, commits, timeout)

    monkeypatch.setattr(Committer, "now", failing)
    with member(kafka, name, start="latest") as one:
        one.take(10, lambda: bool(asked))
        produce(kafka, name, 6)
        one.take(1)
        assert not one.told.starts
        assert one.source.reason == "rebalancing"
        assert all(each == {Partition(name, 0), Partition(name, 1)} for each in asked), "one request for all"
        away.clear()
        one.take(10, lambda: one.total() == 6)
        assert one.total() == 6


def test_a_marker_survives_the_crash_it_is_for(kafka, topic):
    name = topic()
    produce(kafka, name, 5)
    partition = Partition(name, 0)
    with member(kafka, name, drain=0.3) as one:
        one.told.on_assigned = lambda starts: one.source.mark(partition, 0, Marker(attempts=1, end=5)) or None
        one.take(10, lambda: one.total() == 5, ack=False)
    with member(same_group(kafka), name) as two:
        two.take(15, lambda: bool(two.told.starts))
        assert two.told.starts[partition].marker == Marker(attempts=1, end=5)
        assert two.told.starts[partition].committed
        two.take(5, lambda: committed(kafka, name) == (5, ""))
    assert committed(kafka, name) == (5, "")


def test_giving_up_an_idle_partition_in_good_order_leaves_no_crash_marker(kafka, topic):
    name = topic()
    partition = Partition(name, 0)
    with member(kafka, name) as one:
        one.told.on_assigned = lambda starts: one.source.mark(partition, 0, Marker(attempts=3)) or None
        one.take(10, lambda: bool(one.told.starts))
        assert committed(kafka, name) == (0, '{"a":3}')
    assert committed(kafka, name) == (0, "")


def test_ten_starts_in_a_row_all_read_within_seconds(kafka, topic):
    name = topic(3)
    produce(kafka, name, 30)
    for _ in range(10):
        fresh = kafka_for_same(kafka)
        with member(fresh, name) as one:
            began = time.monotonic()
            one.take(8, lambda: one.total() == 30)
            assert one.total() == 30
            assert time.monotonic() - began < 5


def kafka_for_same(kafka: Kafka) -> Kafka:
    return kafka.model_copy(update={"group": f"{kafka.group}-{time.monotonic_ns()}"})


def test_a_paused_source_delivers_nothing_and_resumes_at_the_next_record(kafka, topic):
    name = topic(2)
    produce(kafka, name, 20)
    with member(kafka, name) as one:
        one.take(10, lambda: one.total() == 20)
        one.source.pause()
        assert one.source.paused == 2
        produce(kafka, name, 20)
        one.take(1.0)
        assert one.total() == 20
        one.source.resume()
        one.take(5, lambda: one.total() == 40)
        assert one.total() == 40


def test_a_missing_input_topic_is_refused_with_its_name_and_remedy(kafka):
    with pytest.raises(UnreachableError, match=r"no-such-topic.*tidegate topics create"):
        Member(kafka, "no-such-topic").source.open()


def test_retention_that_overtook_the_group_stops_it_by_default(kafka, topic):
    name = overtaken(kafka, topic)
    made = Member(kafka, name)
    made.source.open()
    with pytest.raises(DataError, match="6 records were removed by retention"):
        made.take(10)
    made.source.close()


def test_retention_that_overtook_the_group_is_counted_where_configured(kafka, topic):
    name = overtaken(kafka, topic)
    with member(kafka, name, retention="count") as one:
        one.take(10, lambda: one.total() == 2)
        assert one.told.gaps == {Partition(name, 0): 6}
        assert one.read[Partition(name, 0)] == [8, 9]


def overtaken(kafka: Kafka, topic: Topics) -> str:
    """Ten records, two of them committed, eight deleted."""
    name = topic()
    produce(kafka, name, 10)
    consumer = KafkaConsumer(
        bootstrap_servers=kafka.bootstrap_servers, group_id=kafka.group, enable_auto_commit=False
    )
    from kafka.structs import OffsetAndMetadata

    consumer.commit({TopicPartition(name, 0): OffsetAndMetadata(2, "", -1)}, timeout_ms=5000)
    consumer.close()
    delete_until(kafka, name, 8)
    return name


def delete_until(kafka: Kafka, name: str, offset: int) -> None:
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    admin.delete_records({TopicPartition(name, 0): offset})
    admin.close()


def test_records_deleted_under_a_paused_reader_are_counted(kafka, topic):
    name = topic()
    produce(kafka, name, 3)
    with member(kafka, name, retention="count") as one:
        one.take(10, lambda: one.total() == 3)
        one.source.pause()
        one.source._member.consumer.seek(TopicPartition(name, 0), 3)
        produce(kafka, name, 5)
        delete_until(kafka, name, 6)
        one.source.resume()
        one.take(10, lambda: one.total() == 5)
        assert one.read[Partition(name, 0)][3:] in ([6, 7], [3, 4, 5, 6, 7])


def test_a_topic_made_anew_is_read_from_its_beginning(kafka, topic):
    name = topic()
    produce(kafka, name, 5)
    with member(kafka, name) as one:
        one.take(10, lambda: one.total() == 5)
        admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
        admin.delete_topics([name])
        time.sleep(0.3)
        create_topics(kafka, [name])
        admin.close()
        produce(kafka, name, 9)
        read = one.read[Partition(name, 0)]
        # What came at the old position before the change was seen may come twice; nothing is left out.
        one.take(20, lambda: read[-9:] == list(range(9)))
        assert read[:5] + read[-9:] == [*range(5), *range(9)]


def test_the_start_of_a_topic_made_anew_is_committed_at_once(kafka, topic):
    name = topic()
    produce(kafka, name, 5)
    with member(kafka, name) as one:
        one.take(10, lambda: committed(kafka, name) == (5, ""))
        one.source.pause()
        one.source._start_anew(one.source._member, name, {})
        one.take(5, lambda: committed(kafka, name) == (0, ""))
        assert committed(kafka, name) == (0, "")


def test_a_broken_consumer_is_replaced_and_goes_on_where_it_was(kafka, topic):
    name = topic()
    produce(kafka, name, 5)
    with member(kafka, name) as one:
        one.take(10, lambda: one.total() == 5)

        def broken(timeout_ms: int) -> None:
            raise CorruptRecordError("made up")

        one.source._member.consumer.poll = broken
        produce(kafka, name, 5)
        one.take(15, lambda: one.total() == 10)
        assert one.told.recoveries == ["replaced"]
        assert one.read[Partition(name, 0)] == list(range(10))


def test_a_header_name_that_is_not_utf8_stops_nothing(kafka, topic):
    name = topic()
    no_text = b"\xff\xfe-latin".decode("utf-8", "surrogateescape")
    records = [Outgoing(name, b"k", b"v", [(no_text, b"x")], Partition(name, 0), 0)] * 3
    sink = Sink(kafka)
    sink.publish(records)
    sink.close()
    produce(kafka, name, 3)
    with member(kafka, name) as one:
        one.take(10, lambda: one.total() == 6)
        assert one.read[Partition(name, 0)] == list(range(6))
        assert one.told.recoveries == []


def test_a_commit_on_a_consumer_that_is_being_replaced_is_only_late(kafka, topic):
    name = topic()
    produce(kafka, name, 3)
    partition = Partition(name, 0)
    with member(kafka, name) as one:
        one.take(10, lambda: one.total() == 3)
        one.source._member.consumer.close()
        one.checkpoint.opened({partition: 3})
        position = {partition: (one.checkpoint.epoch(partition), 4)}
        one.checkpoint.begin(position)
        one.checkpoint.acked(position)
        one.source.commit_soon()
        assert not one.source.commit(1)
        assert not one.source.mark(partition, 3, Marker(1), 1)


def test_a_new_consumer_that_cannot_join_yet_is_tried_again(kafka, topic, monkeypatch):
    name = topic()
    produce(kafka, name, 3)
    errors = [KafkaTimeoutError("made up"), RuntimeError("NetworkSelector closed!")]
    with member(kafka, name) as one:
        one.take(10, lambda: one.total() == 3)
        join = one.source._join

        def failing() -> object:
            if errors:
                raise errors.pop()
            return join()

        monkeypatch.setattr(one.source, "_join", failing)
        one.source._replace(one.source._member, RuntimeError("made up"))
        produce(kafka, name, 3)
        one.take(15, lambda: one.total() == 6)
        assert one.told.recoveries == ["replaced"]
        assert one.total() == 6


def test_a_record_that_cannot_be_read_is_told_until_reading_is_past_it(kafka, topic, monkeypatch, caplog):
    name = topic()
    produce(kafka, name, 5)
    broken, read = [True], odd._read

    def poisoned(batch: object) -> object:
        record = read(batch)
        if broken and record.value == b"v3":
            raise CorruptRecordError("made up")
        return record

    monkeypatch.setattr(DefaultRecordBatch, "_read_msg", poisoned)
    with member(kafka, name) as one:
        reasons = set()
        started = time.monotonic()
        one.take(6, lambda: reasons.add(one.source.reason) or len(one.told.recoveries) > 2)
        assert time.monotonic() - started > 1.4  # 0.5 s, 1 s, …: nothing advanced in between
        assert one.source.reason == "record_unreadable"
        assert reasons <= {None, "not_assigned", "rebalancing", "record_unreadable"}
        assert caplog.text.count(f"{name}/0@3 cannot be read") == 1
        broken.clear()
        one.take(15, lambda: one.total() == 5 and one.source.reason is None)
        assert one.source.reason is None
        assert one.read[Partition(name, 0)] == list(range(5))


def test_lag_counts_from_what_is_acknowledged(kafka, topic):
    name = topic()
    produce(kafka, name, 12)
    with member(kafka, name) as one:
        one.take(10, lambda: one.total() == 12, ack=False)
        one.take(8, lambda: one.source.lag() == {Partition(name, 0): 12})
        assert one.source.lag() == {Partition(name, 0): 12}


def test_marks_of_transactions_are_no_lag(kafka, topic):
    name = topic()
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap_servers, transactional_id=name)
    producer.init_transactions()
    for _ in range(3):
        producer.begin_transaction()
        producer.send(name, b"v").get(10)
        producer.commit_transaction()
    producer.close()
    with member(kafka, name) as one:
        one.take(8, lambda: one.source.lag() == {Partition(name, 0): 0})
        assert one.source.lag() == {Partition(name, 0): 0}
        assert one.read[Partition(name, 0)] == [0, 2, 4]


def test_a_killed_broker_makes_the_source_unready_and_nothing_is_lost(own_broker: EmbeddedBroker):
    kafka = kafka_for(own_broker)
    name = fresh_topic(kafka, 2)
    produce(kafka, name, 50)
    with member(kafka, name) as one:
        one.take(10, lambda: one.total() == 50)
        one.take(2, lambda: one.source.reason is None)
        assert one.source.reason is None
        own_broker.kill()
        one.take(6, lambda: one.source.reason == "broker_unreachable")
        assert one.source.reason == "broker_unreachable"
        own_broker.start()
        produce(kafka, name, 50)
        one.take(30, lambda: one.total() == 100)
        one.take(10, lambda: one.source.reason is None)
        assert one.total() == 100
        assert one.source.reason is None


def test_closing_while_the_broker_is_down_ends_within_seconds(own_broker: EmbeddedBroker):
    kafka = kafka_for(own_broker)
    name = fresh_topic(kafka)
    produce(kafka, name, 5)
    one = Member(kafka, name)
    one.source.open()
    one.take(10, lambda: one.total() == 5)
    own_broker.kill()
    produce_nothing_then = time.monotonic()
    one.source.close()
    assert time.monotonic() - produce_nothing_then < 10
