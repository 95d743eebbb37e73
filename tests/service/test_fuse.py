"""The fuse trips on feeds that are mostly broken, and on nothing else."""

from __future__ import annotations

from service.fuse import Fuse
from service.record import Partition

P, Q = Partition("in", 0), Partition("in", 1)
GOOD = None


def test_fifty_broken_records_in_a_row_trip_it():
    fuse = Fuse()
    assert not fuse.feed(P, ["invalid"] * 49)
    assert fuse.feed(P, ["invalid"])
    assert fuse.tripped == P


def test_a_good_record_ends_a_row():
    fuse = Fuse()
    assert not fuse.feed(P, ["invalid"] * 49 + [GOOD] + ["invalid"] * 1)


def test_more_than_half_of_the_last_hundred_trip_it():
    fuse = Fuse()
    assert not fuse.feed(P, ["invalid", GOOD] * 50)
    assert not fuse.feed(P, ["invalid", GOOD] * 50), "half is not more than half"
    assert fuse.feed(P, ["invalid", "invalid"])


def test_crashes_count_as_broken_but_media_and_expiry_do_not():
    assert Fuse().feed(P, ["crash"] * 50)
    assert not Fuse().feed(P, ["media", "expired"] * 500)


def test_each_partition_has_a_window_of_its_own():
    fuse = Fuse()
    assert not fuse.feed(P, ["invalid"] * 40)
    assert not fuse.feed(Q, ["invalid"] * 40)


def test_history_ends_when_the_partition_goes():
    fuse = Fuse()
    fuse.feed(P, ["invalid"] * 49)
    fuse.forget(P)
    assert not fuse.feed(P, ["invalid"] * 49)


def test_accepted_records_pass_uncounted_and_the_next_ones_count():
    fuse = Fuse(accept=100)
    assert not fuse.feed(P, ["invalid"] * 100)
    assert not fuse.feed(P, ["invalid"] * 49)
    assert fuse.feed(P, ["invalid"])


def test_it_may_be_off():
    assert not Fuse(enabled=False).feed(P, ["invalid"] * 1000)
