"""The source on a real broker: every record once per owner, nothing committed early, no start that sticks."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import NewPartitions
from kafka.errors import CorruptRecordError
from kafka.structs import TopicPartition

from service.config import Input, Kafka
from service.errors import DataError, UnreachableError
from service.kafka.admin import create_topics
from service.kafka.broker import EmbeddedBroker
from service.kafka.checkpoint import Checkpoint, Commit, Marker
from service.kafka.source import Silent, Source, Start
from service.record import Partition
from tests.kafka.conftest import Topics, fresh_topic, kafka_for

pytestmark = pytest.mark.kafka


class Told(Silent):
    """Remembers what the source said."""

    def __init__(self) -> None:
        self.starts: dict[Partition, Start] = {}
        self.gaps: dict[Partition, int] = {}
        self.revocations: list[tuple[set[Partition], bool, float]] = []
        self.gone: list[set[Partition]] = []
        self.new_topics: list[Partition] = []
        self.recoveries: list[str] = []
        self.commits: dict[Partition, Commit] = {}
        self.on_assigned: Callable[[Mapping[Partition, Start]], None] = lambda starts: None

    def assigned(self, starts: Mapping[Partition, Start]) -> None:
        self.starts.update(starts)
        self.on_assigned(starts)

    def revoked(self, partitions: Collection[Partition], drained: bool, seconds: float) -> None:
        self.revocations.append((set(partitions), drained, seconds))

    def lost(self, partitions: Collection[Partition]) -> None:
        self.gone.append(set(partitions))

    def recovered(self, reason: str) -> None:
        self.recoveries.append(reason)

    def retention_gap(self, partition: Partition, records: int) -> None:
        self.gaps[partition] = records

    def recreated(self, partition: Partition) -> None:
        self.new_topics.append(partition)

    def committed(self, commits: Mapping[Partition, Commit], seconds: float) -> None:
        self.commits.update(commits)


class Member:
    """A source with its checkpoint and what it read; `take` does the work of a whole daemon."""

    def __init__(self, kafka: Kafka, topic: str | list[str], drain: float = 5.0, **input_: object) -> None:
        topics = topic if isinstance(topic, list) or topic.startswith("^") else [topic]
        self.checkpoint, self.told = Checkpoint(), Told()
        settings = Input(topics=topics, **input_)  # type: ignore[arg-type]
        self.source = Source(kafka, settings, self.checkpoint, self.told, drain_seconds=drain)
        self.read: dict[Partition, list[int]] = defaultdict(list)
        self.when: list[float] = []

    def take(self, seconds: float, until: Callable[[], bool] = lambda: False, ack: bool = True) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not until():
            for run in self.source.poll():
                position = {run.partition: (run.epoch, run.records[-1].offset + 1)}
                if self.checkpoint.begin(position):
                    continue
                self.read[run.partition].extend(record.offset for record in run.records)
                self.when.append(time.monotonic())
                if ack:
                    self.checkpoint.acked(position)
                    self.source.commit_soon()

    def total(self) -> int:
        return sum(len(offsets) for offsets in self.read.values())


@contextmanager
def member(*arguments: object, **options: object) -> Iterator[Member]:
    made = Member(*arguments, **options)  # type: ignore[arg-type]
    made.source.open()
    try:
        yield made
    finally:
        made.source.close()


def produce(kafka: Kafka, topic: str, count: int, partition: int | None = None) -> None:
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap_servers, linger_ms=5)
    futures = [producer.send(topic, b"v%d" % n, key=b"k%d" % n, partition=partition) for n in range(count)]
    for future in futures:
        future.get(20)
    producer.close()


def committed(kafka: Kafka, topic: str, partition: int = 0) -> tuple[int, str] | None:
    consumer = KafkaConsumer(
        bootstrap_servers=kafka.bootstrap_servers, group_id=kafka.group, enable_auto_commit=False
    )
    found = consumer.committed(TopicPartition(topic, partition), metadata=True, timeout_ms=5000)
    consumer.close()
    return None if found is None else (found.offset, found.metadata)


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


def test_a_marker_survives_the_crash_it_is_for(kafka, topic):
    name = topic()
    produce(kafka, name, 5)
    partition = Partition(name, 0)
    with member(kafka, name, drain=0.3) as one:
        one.told.on_assigned = lambda starts: one.source.mark(partition, 0, Marker(attempts=1, end=5)) or None
        one.take(10, lambda: one.total() == 5, ack=False)
    with member(kafka_twin(kafka), name) as two:
        two.take(15, lambda: bool(two.told.starts))
        assert two.told.starts[partition].marker == Marker(attempts=1, end=5)
        assert two.told.starts[partition].committed
        two.take(5, lambda: committed(kafka, name) == (5, ""))
    assert committed(kafka, name) == (5, "")


def kafka_twin(kafka: Kafka) -> Kafka:
    return kafka.model_copy(update={"client_id": "twin"})


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


def test_partitions_that_come_while_paused_stay_paused(kafka, topic):
    name = topic()
    produce(kafka, name, 5)
    made = Member(kafka, name)
    made.source.open()
    made.source.pause()
    made.take(3)
    assert made.told.starts
    assert made.total() == 0
    made.source.resume()
    made.take(5, lambda: made.total() == 5)
    made.source.close()
    assert made.total() == 5


def test_a_partition_added_while_running_is_read_from_its_first_record(kafka, topic):
    name = topic(1)
    with member(kafka, name) as one:
        one.take(10, lambda: bool(one.told.starts))
        admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
        admin.create_partitions({name: NewPartitions(total_count=2)})
        admin.close()
        time.sleep(0.3)
        produce(kafka, name, 7, partition=1)
        one.take(12, lambda: len(one.read[Partition(name, 1)]) == 7)
        assert one.read[Partition(name, 1)] == list(range(7))


def test_a_pattern_finds_topics_made_later(kafka, topic):
    first = topic()
    pattern = f"^{first}.*"
    with member(kafka, pattern) as one:
        one.take(10, lambda: bool(one.told.starts))
        create_topics(kafka, [f"{first}-more"])
        produce(kafka, f"{first}-more", 3)
        one.take(12, lambda: one.total() == 3)
        assert one.read[Partition(f"{first}-more", 0)] == [0, 1, 2]


def test_a_missing_input_topic_is_refused_with_its_name_and_remedy(kafka):
    with pytest.raises(UnreachableError, match=r"no-such-topic.*tidegate topics create"):
        Member(kafka, "no-such-topic").source.open()


def test_a_revoke_drains_what_is_in_flight_commits_it_and_repeats_nothing(kafka, topic):
    name = topic(4)
    produce(kafka, name, 400)
    seen: list[tuple[str, Partition, int]] = []
    with member(kafka, name) as one, member(kafka_twin(kafka), name) as two:
        stop = threading.Event()
        worker = threading.Thread(target=_slow, args=(one, stop, "one", seen))
        worker.start()
        wait_for(lambda: len(seen) >= 400, 10)
        twin = threading.Thread(target=_slow, args=(two, stop, "two", seen))
        twin.start()
        produce(kafka, name, 200)
        wait_for(lambda: two.told.starts and len({(p, o) for _, p, o in seen}) == 600, 20)
        stop.set()
        worker.join()
        twin.join()
        assert len(seen) == len({(p, o) for _, p, o in seen}) == 600
        assert one.told.revocations
        assert all(drained for _, drained, _ in one.told.revocations)
        assert two.told.starts
        for start in two.told.starts.values():
            assert start.committed


def _slow(one: Member, stop: threading.Event, who: str, seen: list[tuple[str, Partition, int]]) -> None:
    # Acknowledges half a second after the poll, on a thread of its own, as the real pipeline does.
    def finish(position: dict[Partition, tuple[int, int]]) -> None:
        time.sleep(0.5)
        one.checkpoint.acked(position)

    while not stop.is_set():
        for run in one.source.poll():
            position = {run.partition: (run.epoch, run.records[-1].offset + 1)}
            if not one.checkpoint.begin(position):
                seen.extend((who, run.partition, record.offset) for record in run.records)
                threading.Thread(target=finish, args=(position,)).start()
                time.sleep(0.6)


def test_a_drain_that_takes_too_long_is_cut_off_and_its_late_acknowledgement_ignored(kafka, topic):
    name = topic(2)
    produce(kafka, name, 20)
    with member(kafka, name, drain=0.5) as one, member(kafka_twin(kafka), name) as two:
        one.take(10, lambda: one.total() == 20, ack=False)
        held = {p: (s.epoch, one.read[p][-1] + 1) for p, s in one.told.starts.items()}
        loop = threading.Thread(target=one.take, args=(12, lambda: two.total() > 0))
        loop.start()
        two.take(12, lambda: two.total() > 0)
        loop.join()
        (moved, drained, seconds) = next(each for each in one.told.revocations if each[0])
        assert not drained
        assert 0.4 < seconds < 2
        one.checkpoint.acked({p: held[p] for p in moved})
        assert not set(one.checkpoint.to_commit()) & moved


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
        one.take(20, lambda: one.total() == 14)
        assert one.read[Partition(name, 0)][5:] == list(range(9))


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


def test_a_member_stuck_in_a_rebalance_is_freed_by_the_watchdog(kafka, topic):
    name = topic()
    produce(kafka, name, 5)
    with member(kafka, name) as one:
        one.take(10, lambda: one.total() == 5)
        one.source._stuck_seconds = 0.5
        one.source._member.consumer.group_metadata = lambda: type("Stuck", (), {"state": "<rebalancing>"})()
        one.take(4, lambda: bool(one.told.recoveries))
        assert one.told.recoveries[:1] == ["stuck"]
        del one.source._member.consumer.group_metadata
        produce(kafka, name, 5)
        one.take(10, lambda: len(set(one.read[Partition(name, 0)])) == 10)
        assert sorted(set(one.read[Partition(name, 0)])) == list(range(10))


def test_a_member_that_was_away_too_long_loses_its_partitions_and_rereads_from_the_commit(kafka, topic):
    name = topic()
    produce(kafka, name, 5)
    partition = Partition(name, 0)
    impatient = {**kafka.consumer, "max_poll_interval_ms": 1500, "session_timeout_ms": 6000}
    with member(kafka.model_copy(update={"consumer": impatient}), name) as one:
        one.take(10, lambda: one.total() == 5)
        one.take(2, lambda: committed(kafka, name) == (5, ""))
        produce(kafka, name, 5)
        one.take(10, lambda: one.total() == 10, ack=False)
        epoch = one.told.starts[partition].epoch
        time.sleep(3)
        one.take(15, lambda: one.total() == 15)
        assert one.told.gone == [{partition}]
        assert one.told.starts[partition].epoch > epoch
        assert one.read[partition] == [*range(10), *range(5, 10)]


def test_a_member_that_joins_and_leaves_under_load_costs_nothing(kafka, topic):
    name = topic(4)
    stop = threading.Event()
    sent = [0]

    def feed() -> None:
        producer = KafkaProducer(bootstrap_servers=kafka.bootstrap_servers)
        while not stop.is_set():
            producer.send(name, b"v", partition=sent[0] % 4).get(10)
            sent[0] += 1
            time.sleep(0.002)
        producer.close()

    feeder = threading.Thread(target=feed)
    feeder.start()
    with member(kafka, name) as one:
        one.take(10, lambda: one.total() > 100)
        done = threading.Event()
        loop = threading.Thread(target=one.take, args=(60, done.is_set))
        loop.start()
        with member(kafka_twin(kafka), name) as two:
            two.take(15, lambda: two.total() > 200)
        left = one.total()
        wait_for(lambda: one.total() > left + 400, 15)
        stop.set()
        feeder.join()
        wait_for(lambda: one.total() + two.total() >= sent[0], 15)
        done.set()
        loop.join()
        assert two.total() > 200
        for number in range(4):
            partition = Partition(name, number)
            read = one.read[partition] + two.read[partition]
            assert sorted(read) == list(range(len(read)))
            assert one.read[partition] == sorted(one.read[partition])
            assert two.read[partition] == sorted(two.read[partition])
        assert max(after - before for before, after in zip(one.when, one.when[1:], strict=False)) < 8


def test_lag_counts_from_what_is_acknowledged(kafka, topic):
    name = topic()
    produce(kafka, name, 12)
    with member(kafka, name) as one:
        one.take(10, lambda: one.total() == 12, ack=False)
        one.take(8, lambda: one.source.lag() == {Partition(name, 0): 12})
        assert one.source.lag() == {Partition(name, 0): 12}


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


def wait_for(condition: Callable[[], object], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
