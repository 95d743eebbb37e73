"""The ledger of positions: in order, never too early, deaf to former owners."""

from __future__ import annotations

import threading

import pytest

from service.caution import Caution
from service.kafka.checkpoint import Checkpoint, Commit, Marker
from service.record import Partition

A, B = Partition("t", 0), Partition("t", 1)


def opened(*partitions: Partition) -> Checkpoint:
    checkpoint = Checkpoint()
    checkpoint.opened(dict.fromkeys(partitions, 0))
    return checkpoint


def test_what_is_acknowledged_is_committed_and_no_more():
    checkpoint = opened(A)
    checkpoint.begin({A: (1, 5)})
    checkpoint.begin({A: (1, 9)})
    assert checkpoint.to_commit() == {}
    checkpoint.acked({A: (1, 5)})
    assert {each: commit.offset for each, commit in checkpoint.to_commit().items()} == {A: 5}
    assert checkpoint.inflight(A) == 9


def test_a_commit_tells_the_next_owner_what_is_still_in_flight():
    checkpoint = opened(A)
    checkpoint.begin({A: (1, 5)})
    checkpoint.begin({A: (1, 9)})
    checkpoint.acked({A: (1, 5)})
    assert Marker.decode(checkpoint.to_commit()[A].metadata) == Marker(attempts=1, end=9)
    checkpoint.acked({A: (1, 9)})
    assert checkpoint.to_commit() == {A: Commit(9, "")}


def test_what_is_committed_is_not_committed_again():
    checkpoint = opened(A)
    checkpoint.begin({A: (1, 5)})
    checkpoint.acked({A: (1, 5)})
    checkpoint.committed({A: Commit(5)})
    assert checkpoint.to_commit() == {}


def test_a_closing_partition_takes_no_new_cycle_but_finishes_the_old():
    checkpoint = opened(A, B)
    checkpoint.begin({A: (1, 5)})
    checkpoint.closing([A])
    assert checkpoint.epoch(A) is None
    assert checkpoint.owns(A, 1)
    assert checkpoint.begin({A: (1, 7), B: (1, 7)}) == {A}
    assert checkpoint.busy([A])
    checkpoint.acked({A: (1, 5)})
    assert not checkpoint.busy([A])
    assert checkpoint.to_commit([A]) == {A: Commit(5)}


def test_a_fenced_owners_late_acknowledgement_is_void():
    checkpoint = opened(A)
    checkpoint.begin({A: (1, 5)})
    checkpoint.fence([A])
    assert not checkpoint.owns(A, 1)
    checkpoint.opened({A: 0})
    checkpoint.acked({A: (1, 5)})
    assert checkpoint.to_commit() == {}
    assert checkpoint.epoch(A) == 2


def test_an_older_epoch_cannot_begin():
    checkpoint = opened(A)
    checkpoint.fence([A])
    checkpoint.opened({A: 3})
    assert checkpoint.begin({A: (1, 5)}) == {A}
    assert checkpoint.begin({A: (2, 5)}) == set()


def test_cycles_that_leave_out_of_order_are_a_bug():
    checkpoint = opened(A)
    checkpoint.begin({A: (1, 5)})
    checkpoint.begin({A: (1, 9)})
    with pytest.raises(AssertionError, match="This is a bug"):
        checkpoint.acked({A: (1, 9)})


def test_positions_that_go_back_are_a_bug():
    checkpoint = opened(A)
    checkpoint.begin({A: (1, 5)})
    with pytest.raises(AssertionError, match="This is a bug"):
        checkpoint.begin({A: (1, 5)})


def test_a_topic_made_anew_may_start_lower():
    checkpoint = opened(A)
    checkpoint.begin({A: (1, 50)})
    checkpoint.acked({A: (1, 50)})
    checkpoint.committed({A: Commit(50)})
    checkpoint.rewound(A, 0)
    checkpoint.begin({A: (2, 3)})
    checkpoint.acked({A: (2, 3)})
    assert checkpoint.to_commit() == {A: Commit(3)}


def test_a_commit_of_before_says_nothing_about_a_topic_made_anew():
    checkpoint = opened(A)
    checkpoint.begin({A: (1, 5000)})
    checkpoint.acked({A: (1, 5000)})
    under_way = checkpoint.to_commit()
    checkpoint.rewound(A, 0)
    assert checkpoint.to_commit() == {A: Commit(0)}, "the new start is told at once"
    checkpoint.committed(under_way)
    checkpoint.begin({A: (2, 3000)})
    checkpoint.acked({A: (2, 3000)})
    assert checkpoint.to_commit() == {A: Commit(3000)}
    checkpoint.committed(checkpoint.to_commit())
    assert checkpoint.to_commit() == {}


def test_an_idle_partition_given_up_in_good_order_loses_its_marker():
    checkpoint = opened(A)
    checkpoint.committed({A: Commit(0, '{"a":2}')})
    assert checkpoint.to_commit() == {}
    assert checkpoint.to_settle([A]) == {A: Commit(0, "")}


def test_a_busy_partition_given_up_keeps_its_marker():
    checkpoint = opened(A)
    checkpoint.committed({A: Commit(0, '{"a":2}')})
    checkpoint.begin({A: (1, 5)})
    assert checkpoint.to_settle([A]) == {}


def test_a_busy_partition_given_up_alive_has_the_marker_of_before():
    checkpoint = opened(A)
    assert checkpoint.assigned(A, Commit(0, '{"a":2}')) == '{"a":2}'
    checkpoint.committed({A: Commit(0, '{"a":3}')})
    checkpoint.begin({A: (1, 5)})
    assert checkpoint.to_settle([A]) == {}
    assert checkpoint.to_settle([A], alive=True) == {A: Commit(0, '{"a":2}')}


def test_a_busy_partition_given_up_alive_has_a_fresh_marker_after_progress():
    checkpoint = opened(A)
    checkpoint.assigned(A, Commit(0, '{"a":2}'))
    checkpoint.committed({A: Commit(0, '{"a":3}')})
    checkpoint.begin({A: (1, 5)})
    checkpoint.begin({A: (1, 9)})
    checkpoint.acked({A: (1, 5)})
    assert checkpoint.to_settle([A], alive=True) == {A: Commit(5)}
    checkpoint.committed({A: Commit(5, '{"a":1,"e":9}')})
    assert checkpoint.to_settle([A], alive=True) == {A: Commit(5)}


def test_an_idle_partition_given_up_has_the_marker_of_before():
    checkpoint = opened(A)
    checkpoint.assigned(A, Commit(0, '{"a":2}'))
    checkpoint.committed({A: Commit(0, '{"a":3}')})
    assert checkpoint.to_settle([A]) == {A: Commit(0, '{"a":2}')}


def test_the_own_note_on_a_partition_that_was_lost_and_came_back_is_no_crash():
    checkpoint = opened(A)
    checkpoint.assigned(A, Commit(0, '{"a":1}'))
    checkpoint.committed({A: Commit(0, '{"a":2}')})
    checkpoint.fence([A])
    checkpoint.opened({A: 0})
    assert checkpoint.assigned(A, Commit(0, '{"a":2}')) == '{"a":1}'
    checkpoint.committed({A: Commit(0, '{"a":2}')})
    checkpoint.fence([A])
    checkpoint.opened({A: 0})
    assert checkpoint.assigned(A, Commit(0, '{"a":3}')) == '{"a":3}', "another owner was there meanwhile"


def test_an_outage_with_many_hand_overs_condemns_nothing():
    group = Commit(100)
    for _ in range(9):  # each time another process
        checkpoint, caution = Checkpoint(), Caution(window=12288)
        checkpoint.opened({A: 100})
        before = Marker.decode(checkpoint.assigned(A, group))
        group = Commit(100, caution.assigned(A, 100, before).encode())
        checkpoint.committed({A: group})
        assert not caution.condemned(A, 100)
        assert caution.cap(A, 100) is None
        checkpoint.begin({A: (1, 356)})
        checkpoint.closing([A])
        group = checkpoint.to_settle([A], alive=True)[A]
        checkpoint.fence([A])
    assert group == Commit(100)


def test_positions_start_where_the_partition_did():
    checkpoint = Checkpoint()
    checkpoint.opened({A: 40})
    assert checkpoint.positions() == {A: 40}
    checkpoint.begin({A: (1, 42)})
    checkpoint.acked({A: (1, 42)})
    assert checkpoint.positions() == {A: 42}


def test_threads_may_share_it():
    checkpoint = opened(A, B)

    def run(partition: Partition) -> None:
        for offset in range(1, 2000):
            checkpoint.begin({partition: (1, offset)})
            checkpoint.acked({partition: (1, offset)})
            checkpoint.to_commit()

    threads = [threading.Thread(target=run, args=(each,)) for each in (A, B)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert checkpoint.to_commit() == {A: Commit(1999), B: Commit(1999)}


def test_a_marker_comes_back_as_it_was_written():
    for marker in (Marker(), Marker(1), Marker(3, 2, 77)):
        assert Marker.decode(marker.encode()) == marker
    assert Marker().encode() == ""
    assert len(Marker(99, 99, 1 << 60).encode()) < 60


@pytest.mark.parametrize(
    "text",
    [None, "", "hello", "[]", '"a"', "17", '{"a":"1"}', '{"a":-1}', '{"a":true}', '{"a":1e400}', "[" * 10**5],
)
def test_what_another_tool_left_there_means_a_fresh_start(text):
    assert Marker.decode(text) == Marker()


def test_after_giving_up_nothing_is_busy_nothing_begins_and_late_acknowledgements_are_void():
    checkpoint = opened(A)
    checkpoint.begin({A: (1, 5)})
    checkpoint.begin({A: (1, 9)})
    checkpoint.acked({A: (1, 5)})
    checkpoint.abandon()
    assert not checkpoint.busy([A])
    assert checkpoint.begin({A: (1, 12)}) == {A}
    checkpoint.acked({A: (1, 9)})
    assert checkpoint.to_commit() == {A: Commit(5, "")}


def test_giving_up_is_no_crash():
    checkpoint = opened(A)
    checkpoint.committed({A: Commit(0, Marker(1).encode())})
    checkpoint.begin({A: (1, 5)})
    assert checkpoint.to_settle([A]) == {}
    checkpoint.abandon()
    assert checkpoint.to_settle([A]) == {A: Commit(0, "")}
