"""The source while the group changes: drains, hand-overs, stuck members, new partitions and topics."""

from __future__ import annotations

import threading
import time

import pytest
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import NewPartitions

from service.kafka.admin import create_topics
from service.record import Partition
from tests.members import Member, committed, member, produce, same_group, wait_for

pytestmark = pytest.mark.kafka


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


def test_a_revoke_drains_what_is_in_flight_commits_it_and_repeats_nothing(kafka, topic):
    name = topic(4)
    produce(kafka, name, 400)
    seen: list[tuple[str, Partition, int]] = []
    with member(kafka, name) as one, member(same_group(kafka), name) as two:
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
    with member(kafka, name, drain=0.5) as one, member(same_group(kafka), name) as two:
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
        with member(same_group(kafka), name) as two:
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
