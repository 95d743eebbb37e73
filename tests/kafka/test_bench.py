"""`tidegate bench` on a real broker: that its report is whole and its arithmetic right, not its speed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from service.bench.report import Bound, Machine, Report
from service.bench.run import One, Plan
from service.kafka.broker import EmbeddedBroker

EVENTS = 1500

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def report(broker: EmbeddedBroker, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    plan = Plan(str(tiny), EVENTS, idle_seconds=2.0, stage_seconds=0.2, naive_seconds=1.0)
    folder = tmp_path_factory.mktemp("bench")
    return One("mix", plan, Machine(2, "any", 0.0), broker, folder, print).report()


def test_each_stage_was_measured_alone(report: Report) -> None:
    assert [stage.name for stage in report.stages] == ["consume", "prepare", "infer", "publish"]
    assert all(stage.events_per_second > 0 and stage.cpu_seconds > 0 for stage in report.stages)


def test_the_brokers_time_counts_where_kafka_is_at_work(report: Report) -> None:
    assert [stage.broker_cpu_seconds > 0 for stage in report.stages] == [True, False, False, True]


def test_the_daemon_was_measured_between_the_first_tenth_and_the_last(report: Report) -> None:
    assert 0.3 * EVENTS <= report.end_to_end.events <= 0.9 * EVENTS
    assert report.end_to_end.events_per_second > 0
    assert report.end_to_end.cpu_seconds > 0


def test_the_figure_is_that_rate_over_the_bound_of_these_stages(report: Report) -> None:
    bound = Bound.of(report.stages, cores=2)
    document = report.document()
    assert document["end_to_end"]["of_bound"] == pytest.approx(
        report.end_to_end.events_per_second / bound.events_per_second, abs=1e-3
    )


def test_both_loops_saw_the_idle_stream(report: Report) -> None:
    assert report.idle is not None
    assert report.idle.daemon.events + report.idle.bare.events == 80
    assert 0 < report.idle.daemon.p50 <= report.idle.daemon.p99 <= report.idle.daemon.max


def test_the_command_prints_one_json_line_a_kind_and_nothing_else(tiny: Path) -> None:
    command = [sys.executable, "-m", "service.cli.main", "bench", "--kind", "text", "--events", "3000"]
    command += ["--no-latency", "--json", "--bundle", str(tiny)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["schema"] == "tidegate.bench/1"
