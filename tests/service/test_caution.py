"""After a crash: smaller cycles, then single records, then the one to blame is condemned, and nobody else."""

from __future__ import annotations

from service.caution import SMALL, Caution
from service.kafka.checkpoint import Marker
from service.record import Partition

P = Partition("in", 0)
WINDOW = 300


def restarted(offset: int, marker: Marker) -> tuple[Caution, Marker]:
    caution = Caution(WINDOW)
    return caution, caution.assigned(P, offset, marker)


def test_the_first_start_notes_that_a_try_begins_and_suspects_nothing():
    caution, marker = restarted(5, Marker())
    assert marker == Marker(1, 0, None)
    assert caution.cap(P, 5) is None
    assert caution.attempt(P, 5) == 1
    assert not caution.condemned(P, 5)


def test_after_one_crash_the_window_is_read_in_small_cycles_and_then_freely():
    caution, _ = restarted(5, Marker(1))
    assert caution.cap(P, 5) == SMALL
    assert caution.attempt(P, 5) == 2
    assert caution.cap(P, 5 + WINDOW - 10) == 10, "not beyond the window"
    assert caution.cap(P, 5 + WINDOW) is None
    assert caution.cap(P, 5) is None, "once past it, the suspicion is over"


def test_a_second_crash_narrows_to_the_cycle_that_crashed_record_by_record():
    caution, _ = restarted(5, Marker(1))
    before = caution.marker(P, 5, 5 + SMALL)
    caution, _ = restarted(5, before)
    assert caution.cap(P, 5) == 1
    assert caution.cap(P, 5 + SMALL) is None


def test_a_record_alone_in_two_crashes_is_condemned():
    caution, _ = restarted(5, Marker(2, 0, 69))
    for crashes in (1, 2):
        assert not caution.condemned(P, 5)
        before = caution.marker(P, 5, 6)
        assert before.solo == crashes
        caution, _ = restarted(5, before)
    assert caution.condemned(P, 5)
    assert not caution.condemned(P, 6), "its neighbour is not"
    assert caution.cap(P, 5) == 1


def test_a_neighbour_that_crashes_next_starts_its_own_count():
    caution, _ = restarted(5, Marker(3, 1, 69))
    assert caution.marker(P, 6, 7).solo == 1


def test_the_whole_way_from_the_first_crash_takes_four():
    """One crash in the open, one in a small cycle, two alone: the fifth start condemns."""
    marker, offset, crashes = Marker(), 7, 0
    while True:
        caution, at_start = restarted(offset, marker)
        if caution.condemned(P, offset):
            break
        cap = caution.cap(P, offset)
        marker = at_start if cap is None else caution.marker(P, offset, offset + cap)
        crashes += 1
    assert crashes == 4


def test_suspicion_ends_with_ownership():
    caution, _ = restarted(5, Marker(2, 0, 69))
    caution.forget(P)
    assert caution.cap(P, 5) is None
