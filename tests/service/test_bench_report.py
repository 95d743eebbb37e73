"""The arithmetic between what a bench measures and what it says."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from service.bench.report import Bound, EndToEnd, Idle, Latency, Machine, Report, Stage
from service.bench.table import show

STAGES = (
    Stage("consume", 1000, 50_000.0, 10e-6, 2e-6),
    Stage("prepare", 1000, 20_000.0, 40e-6, 0.0),
    Stage("infer", 1000, 8_000.0, 120e-6, 0.0),
    Stage("publish", 1000, 12_000.0, 60e-6, 18e-6),
)
REPORT = Report(
    kind="text",
    machine=Machine(2, "a processor", 0.1),
    engine={"bundle": "b", "version": "1", "backend": "x", "precision": "fp32"},
    stages=STAGES,
    end_to_end=EndToEnd(9000, 1.5, 6000.0, 270e-6, 30e-6, 900.0),
    naive_events_per_second=500.0,
    idle=Idle(20.0, Latency(400, 5, 7, 9, 12), Latency(400, 4, 6, 8, 30)),
)


def test_the_bound_is_all_cores_where_the_stages_together_need_more_than_the_slowest_alone() -> None:
    bound = Bound.of(STAGES, cores=1)
    assert bound.limited_by == "cpu"
    assert bound.events_per_second == pytest.approx(1 / 250e-6)


def test_the_bound_is_the_slowest_stage_where_the_cores_would_allow_more() -> None:
    assert Bound.of(STAGES, cores=16) == Bound(8_000.0, "infer")


def test_the_figure_is_the_daemons_rate_over_the_bound() -> None:
    assert REPORT.bound.events_per_second == pytest.approx(8000.0)
    assert REPORT.of_bound == pytest.approx(0.75)


def test_cores_busy_are_cpu_seconds_of_daemon_and_broker_in_a_second() -> None:
    assert REPORT.end_to_end.cores_busy == pytest.approx(300e-6 * 6000)


def test_other_programs_at_work_are_told_of() -> None:
    text = io.StringIO()
    busy = replace(REPORT, end_to_end=replace(REPORT.end_to_end, others_busy=1.2))
    show(busy, Console(file=text, width=140))
    assert "other programs kept 1.2 cores busy" in text.getvalue()


def test_the_ratio_to_the_naive_loop_is_of_rates() -> None:
    assert REPORT.to_naive == pytest.approx(12.0)


def test_shares_of_cpu_sum_to_one_and_name_what_no_stage_explains() -> None:
    shares = REPORT.cpu_shares
    assert sum(shares.values()) == pytest.approx(1.0)
    assert shares["infer"] == pytest.approx(120 / 300)
    assert shares["other"] == pytest.approx(50 / 300)


def test_stages_that_need_more_alone_than_together_leave_nothing_for_other() -> None:
    cheap = replace(REPORT, end_to_end=replace(REPORT.end_to_end, cpu_seconds=100e-6))
    assert cheap.cpu_shares["other"] == 0
    assert sum(cheap.cpu_shares.values()) == pytest.approx(1.0)


def test_percentiles_are_in_milliseconds() -> None:
    found = Latency.of([k / 1000 for k in range(1, 102)])
    assert (found.events, found.p50, found.p90, found.p99, found.max) == (101, 51, 91, 100, 101)


def test_the_document_is_one_json_line_with_every_figure() -> None:
    document = json.loads(json.dumps(REPORT.document()))
    assert document["schema"] == "tidegate.bench/1"
    assert [stage["stage"] for stage in document["stages"]] == ["consume", "prepare", "infer", "publish"]
    assert document["bound"] == {"events_per_second": 8000.0, "limited_by": "infer"}
    assert document["end_to_end"]["of_bound"] == 0.75
    assert document["naive"] == {"events_per_second": 500.0, "ratio": 12.0}
    assert document["latency_ms"]["p99_over_bare"] == 1


def test_without_an_idle_stream_the_document_says_so() -> None:
    assert replace(REPORT, idle=None).document()["latency_ms"] is None


def test_the_table_shows_the_figure_and_its_bound() -> None:
    text = io.StringIO()
    show(REPORT, Console(file=text, width=140))
    assert "machine's bound 8,000 events/s (infer alone); end to end is 0.75 of it" in text.getvalue()
    assert "12.0×" in text.getvalue()
