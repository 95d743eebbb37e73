"""Moments on the command line."""

from __future__ import annotations

import time

import click
import pytest

from service.cli.moments import MOMENT, WHEN, Bound


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1970-01-01T00:00:01Z", 1000),
        ("1970-01-01T00:00:01", 1000),
        ("1970-01-01T01:00+01:00", 0),
        ("1970-01-02", 86_400_000),
    ],
)
def test_a_time_without_a_zone_is_utc(text, milliseconds):
    assert MOMENT.convert(text, None, None) == milliseconds


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("15m", 900), ("2h", 7200), ("3d", 259_200)])
def test_an_age_counts_back_from_now(text, seconds):
    assert abs(MOMENT.convert(text, None, None) - (time.time() - seconds) * 1000) < 5000


@pytest.mark.parametrize("text", ["yesterday", "5 minutes", "", "-3h"])
def test_anything_else_is_refused_with_an_example(text):
    with pytest.raises(click.BadParameter, match="2026-01-31"):
        MOMENT.convert(text, None, None)


def test_a_plain_number_is_an_offset_where_ranges_are_asked_for():
    assert WHEN.convert("1200", None, None) == Bound("offset", 1200)
    assert WHEN.convert("1970-01-02", None, None) == Bound("time", 86_400_000)
