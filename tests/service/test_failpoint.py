"""Fail points kill this very process, so a child stands in for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from service.errors import ConfigError
from service.failpoint import FailPoints
from service.record import Stored

CHILD = """
from service.failpoint import FailPoints
from service.record import Stored
fail = FailPoints.of_environment()
for k in range(3):
    fail.reach("infer", [Stored("in", 0, k, 0, None, b"event %d" % k)])
    print("passed", k, flush=True)
"""


def passes(text: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        env={"TIDEGATE_FAIL": text},
        capture_output=True,
        text=True,
        check=False,
    )
    count = done.stdout.count("passed")
    assert done.returncode == (0 if count == 3 else -9), done.stderr
    return count


def test_it_kills_at_the_first_pass():
    assert passes("infer") == 0


def test_it_kills_at_the_nth_pass():
    assert passes("infer:3") == 2


def test_it_kills_at_the_record_that_holds_the_marker():
    assert passes("infer=event 1") == 1


def test_other_points_and_an_empty_variable_do_nothing():
    assert passes("") == 3
    assert passes("acked,infer=nowhere") == 3


def test_without_the_variable_it_does_nothing():
    FailPoints().reach("infer", [Stored("in", 0, 0, 0, None, b"x")])


@pytest.mark.parametrize("text", ["nowhere", "infer:x", "infer:-1"])
def test_an_unknown_point_or_count_is_refused(text: str):
    with pytest.raises(ConfigError, match="TIDEGATE_FAIL"):
        FailPoints(text)
