"""Cycles hold whatever has arrived, in order, within bounds."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from service.buffer import FIRST_RECORDS, Buffer
from service.caution import SMALL, Caution
from service.config import Limits
from service.cycle import Cycle
from service.kafka.checkpoint import Checkpoint, Marker
from service.record import Partition, Run, Stored

P, Q = Partition("in", 0), Partition("in", 1)
SIZE = 100


class Desk:
    """A buffer on two owned partitions, with its neighbours at hand."""

    def __init__(self, **limits: float) -> None:
        self.checkpoint, self.caution = Checkpoint(), Caution(100)
        self.checkpoint.opened({P: 0, Q: 0})
        self.buffer = Buffer(Limits.model_validate(limits), self.checkpoint, self.caution)

    def put(self, partition: Partition, offsets: Iterable[int], size: int = SIZE) -> None:
        records = [Stored(*partition, k, 0, None, b"x" * size) for k in offsets]
        self.buffer.put([Run(partition, self.checkpoint.epoch(partition) or 0, records)])

    def cut(self) -> Cycle:
        cycle = self.buffer.cut()
        assert cycle is not None
        return cycle


def offsets(cycle: Cycle) -> list[tuple[int, int]]:
    return [(record.partition, record.offset) for record in cycle.records]


def test_one_record_when_idle_and_all_that_waits_under_backlog():
    desk = Desk()
    desk.put(P, [0])
    assert offsets(desk.cut()) == [(0, 0)]
    desk.put(P, range(1, 4))
    desk.put(Q, range(2))
    assert offsets(desk.cut()) == [(0, 1), (0, 2), (0, 3), (1, 0), (1, 1)]


def test_cycles_are_bounded_by_records():
    desk = Desk(cycle_records=3)
    desk.put(P, range(7))
    assert [len(desk.cut().records) for _ in range(3)] == [3, 3, 1]


def test_cycles_are_bounded_by_bytes_but_one_large_record_is_a_cycle_of_its_own():
    desk = Desk(cycle_bytes=250)
    desk.put(P, range(5))
    desk.put(Q, [0], size=1000)
    assert [len(desk.cut().records) for _ in range(4)] == [2, 2, 1, 1]


def test_until_the_pace_is_known_cycles_are_small():
    desk = Desk()
    desk.put(P, range(FIRST_RECORDS + 10))
    assert len(desk.cut().records) == FIRST_RECORDS


def test_cycles_are_bounded_by_expected_seconds_of_work():
    desk = Desk(cycle_seconds=1.0)
    desk.buffer.pace.learn(10, 10 * SIZE, 0.5)  # 20 such records take a second
    desk.put(P, range(50))
    assert len(desk.cut().records) == 20


def test_a_slow_record_still_goes_alone():
    desk = Desk(cycle_seconds=1.0)
    desk.buffer.pace.learn(1, SIZE, 5.0)
    desk.put(P, range(3))
    assert len(desk.cut().records) == 1


def test_a_full_buffer_says_so_and_is_low_again_at_half():
    desk = Desk(buffer_records=10, cycle_records=4)
    desk.put(P, range(9))
    assert desk.buffer.full() is None
    desk.put(P, [9])
    assert desk.buffer.full() == "records"
    desk.cut()
    assert not desk.buffer.low()
    desk.cut()
    assert desk.buffer.low()


def test_bytes_fill_it_too():
    desk = Desk(buffer_bytes=1000)
    desk.put(P, range(10))
    assert desk.buffer.full() == "bytes"


def test_counts_of_what_is_held_return_to_nothing():
    desk = Desk(cycle_records=2)
    desk.put(P, range(5))
    assert (desk.buffer.records, desk.buffer.bytes) == (5, 5 * SIZE)
    for _ in range(3):
        desk.cut()
    assert (desk.buffer.records, desk.buffer.bytes) == (0, 0)


def test_records_of_a_partition_that_went_away_are_forgotten():
    desk = Desk()
    desk.put(P, range(3))
    desk.put(Q, range(2))
    desk.checkpoint.fence([P])
    assert offsets(desk.cut()) == [(1, 0), (1, 1)]
    assert desk.buffer.records == 0


def test_records_of_an_earlier_ownership_are_forgotten():
    desk = Desk()
    desk.put(P, range(3))
    desk.checkpoint.fence([P])
    desk.checkpoint.opened({P: 0})
    desk.put(P, [0])
    assert offsets(desk.cut()) == [(0, 0)]


def test_after_a_crash_cycles_are_careful_and_of_one_partition():
    desk = Desk()
    desk.caution.assigned(P, 0, Marker(1))
    desk.put(P, range(SMALL + 50))
    desk.put(Q, [0])
    first, second, third = desk.cut(), desk.cut(), desk.cut()
    assert first.careful
    assert (len(first.records), first.attempts) == (SMALL, {P: 2})
    assert (second.careful, len(second.records)) == (True, 100 - SMALL)
    assert not third.careful, "past the window"
    assert offsets(third) == [(0, k) for k in range(100, SMALL + 50)] + [(1, 0)]


def test_what_is_not_suspected_is_not_held_up_in_a_careful_cycle():
    desk = Desk()
    desk.caution.assigned(Q, 0, Marker(1))
    desk.put(P, range(3))
    desk.put(Q, range(3))
    free, careful = desk.cut(), desk.cut()
    assert (free.careful, offsets(free)) == (False, [(0, 0), (0, 1), (0, 2)])
    assert (careful.careful, offsets(careful)) == (True, [(1, 0), (1, 1), (1, 2)])


def test_a_condemned_record_is_a_cycle_of_its_own():
    desk = Desk()
    desk.caution.assigned(P, 0, Marker(4, 2, 50))
    desk.put(P, range(3))
    condemned, careful = desk.cut(), desk.cut()
    assert (condemned.condemned, offsets(condemned)) == (True, [(0, 0)])
    assert (careful.condemned, offsets(careful)) == (False, [(0, 1)])


def test_closing_wakes_who_waits_and_forgets_the_rest():
    desk = Desk()
    found: list[Cycle | None] = []
    waiter = threading.Thread(target=lambda: found.append(desk.buffer.cut()))
    waiter.start()
    desk.buffer.close()
    waiter.join(5)
    assert found == [None]
    desk.put(P, range(3))
    assert desk.buffer.cut() is None
