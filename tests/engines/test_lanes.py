"""Micro-batches side by side give what they give one after the other."""

from __future__ import annotations

import threading

import pytest

from engines.errors import EngineError
from engines.lanes import SMALL_BYTES, Lanes, lanes_for


@pytest.mark.parametrize("count", [1, 2, 4])
def test_answers_come_in_the_items_order(count):
    lanes = Lanes(count)
    assert lanes.map(lambda k: k * k, range(50)) == [k * k for k in range(50)]
    lanes.close()


def test_two_lanes_work_at_the_same_time():
    lanes = Lanes(2)
    together = threading.Barrier(2, timeout=10)
    lanes.map(lambda _: together.wait(), range(2))
    lanes.close()


def test_an_error_is_raised_after_all_others_have_ended():
    ended = []

    def work(k: int) -> None:
        if k == 0:
            raise EngineError("no")
        ended.append(k)

    lanes = Lanes(3)
    with pytest.raises(EngineError, match="no"):
        lanes.map(work, range(9))
    assert sorted(ended) == list(range(1, 9))
    lanes.close()


def test_a_large_model_keeps_all_threads_for_one_run():
    assert lanes_for(SMALL_BYTES + 1, 8) == 1
    assert lanes_for(SMALL_BYTES, 8) == 8
