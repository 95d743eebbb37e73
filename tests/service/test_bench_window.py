"""Which scores count towards the steady rate."""

from __future__ import annotations

import pytest

from service.bench.cpu import Meter, Point
from service.bench.endtoend import Mark, cycles, window
from service.bench.latency import BLOCK_SECONDS, plan
from service.errors import InternalError


def test_scores_with_equal_timings_are_one_cycle_that_ends_with_its_last() -> None:
    scores = [(10.0, (1.0, 2.0)), (10.2, (1.0, 2.0)), (10.1, (3.0, 4.0)), (10.9, (3.0, 4.0))]
    assert cycles(scores) == [Mark(10.2, 2), Mark(10.9, 2)]


def test_the_window_opens_where_the_cycle_with_the_first_tenth_ends() -> None:
    marks = [Mark(1.0, 5), Mark(2.0, 20), Mark(3.0, 75), Mark(4.0, 100)]
    assert window(marks) == (2.0, 4.0, 175)


def test_one_cycle_shows_no_steady_state() -> None:
    with pytest.raises(InternalError, match="too few events"):
        window([Mark(1.0, 100)])


def test_cpu_between_two_looks_is_interpolated() -> None:
    meter = Meter([])
    meter.points = [Point(0.0, (1.0, 0.0)), Point(1.0, (2.0, 10.0)), Point(2.0, (2.5, 30.0))]
    assert meter.between(0.5, 1.5) == (pytest.approx(0.75), pytest.approx(15.0))


def test_an_idle_stream_takes_turns_in_blocks_and_keeps_its_rate() -> None:
    schedule = plan(rate=20.0, seconds=50.0)
    assert len(schedule) == 2000
    assert schedule[-1][0] == pytest.approx(100.0, rel=0.1)
    assert all(side == int(due / BLOCK_SECONDS) % 2 for due, side in schedule)
    assert {side for _, side in schedule} == {0, 1}
