"""A cycle knows its records, where they end, and how to go on in two parts."""

from __future__ import annotations

from service.cycle import Cycle
from service.record import Partition, Run, Stored
from service.scoring import Preparation

P, Q = Partition("in", 0), Partition("in", 1)


def run(partition: Partition, *offsets: int) -> Run:
    return Run(partition, 1, [Stored(*partition, k, 0, None, b"x" * 10) for k in offsets])


def cycle(*runs: Run) -> Cycle:
    made = Cycle(7, list(runs), sum(10 * len(each.records) for each in runs), polled=1.0)
    made.preparation = Preparation(made.records, [object()] * len(made.records), 0.5)  # type: ignore[list-item]
    return made


def offsets(made: Cycle) -> list[tuple[int, int]]:
    return [(record.partition, record.offset) for record in made.records]


def test_its_positions_end_after_the_last_record_of_each_partition():
    assert cycle(run(P, 3, 4), run(Q, 8), run(P, 5)).positions == {P: (1, 6), Q: (1, 9)}


def test_split_keeps_order_sizes_and_the_work_already_done():
    head, tail = cycle(run(P, 3, 4), run(Q, 8), run(P, 5)).split(3)
    assert offsets(head) == [(0, 3), (0, 4), (1, 8)]
    assert offsets(tail) == [(0, 5)]
    assert (head.size, tail.size) == (30, 10)
    assert [len(part.preparation.pendings) for part in (head, tail)] == [3, 1]
    assert (head.polled, tail.polled) == (1.0, 1.0)


def test_split_inside_a_run():
    head, tail = cycle(run(P, 3, 4, 5)).split(1)
    assert (head.positions, tail.positions) == ({P: (1, 4)}, {P: (1, 6)})
