"""A report as a person reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table

from service.bench.report import CPU, Report

GOAL: Final = 0.8
GOAL_LATENCY_MS: Final = 10.0
DISTURBED: Final = 0.1
"""Cores."""


def show(report: Report, console: Console) -> None:
    """Print one kind: the stages, the figure, the naive loop, the latencies."""
    machine, engine = report.machine, report.engine
    console.print(f"[bold]{report.kind}[/bold]  {machine.cpu}, {machine.cores} cores, load {machine.load}")
    console.print(
        f"  {engine['bundle']} {engine['version']} on {engine['backend']}, {engine['precision']}", style="dim"
    )
    console.print(_stages(report))
    for line in (*_figures(report), *_latencies(report)):
        console.print(f"  {line}")
    console.print()


def _stages(report: Report) -> Table:
    rows = []
    shares = report.cpu_shares
    for stage in report.stages:
        cpu = (_us(stage.cpu_seconds), _us(stage.broker_cpu_seconds))
        rows.append((stage.name, _rate(stage.events_per_second), *cpu, f"{shares[stage.name]:.0%}"))
    end = report.end_to_end
    rows.append(("other", "", "", "", f"{shares['other']:.0%}"))
    whole = (_us(end.cpu_seconds), _us(end.broker_cpu_seconds))
    rows.append(("end to end", _rate(end.events_per_second), *whole, "100%"))
    return _grid(("stage alone", "events/s", "CPU µs/event", "broker's", "share of CPU"), rows)


def _figures(report: Report) -> list[str]:
    bound, end = report.bound, report.end_to_end
    limit = "all cores busy" if bound.limited_by == CPU else f"{bound.limited_by} alone"
    colour = "green" if report.of_bound >= GOAL else "yellow"
    return [
        f"machine's bound {_rate(bound.events_per_second)} events/s ({limit}); end to end is "
        f"[{colour}]{report.of_bound:.2f}[/{colour}] of it, over {end.events} events in {end.seconds:.1f} s, "
        f"{end.cycle_records:.0f} to a cycle, {end.cores_busy:.2f} of {report.machine.cores} cores busy",
        *_disturbed(end.others_busy),
        f"the loop that people write first: {_rate(report.naive_events_per_second)} events/s; "
        f"Tidegate is [bold]{report.to_naive:.1f}×[/bold] as fast",
    ]


def _disturbed(others: float) -> list[str]:
    if others < DISTURBED:
        return []
    return [f"[red]other programs kept {others:.1f} cores busy meanwhile: measure again without them[/red]"]


def _latencies(report: Report) -> list[str]:
    idle = report.idle
    if idle is None:
        return []
    lines = [f"idle stream, {idle.rate:.0f} events/s, milliseconds until the score is seen:"]
    for name, found in (("daemon", idle.daemon), ("bare loop", idle.bare)):
        lines.append(
            f"  {name:<10} p50 {found.p50:6.1f}   p90 {found.p90:6.1f}   p99 {found.p99:6.1f}   "
            f"max {found.max:6.1f}   ({found.events} events)"
        )
    over = idle.daemon.p99 - idle.bare.p99
    colour = "green" if over <= GOAL_LATENCY_MS else "yellow"
    return [*lines, f"  p99 over the bare loop's: [{colour}]{over:+.1f} ms[/{colour}]"]


def _grid(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=True, show_edge=False)
    for k, heading in enumerate(headings):
        grid.add_column(heading, justify="left" if k == 0 else "right")
    for row in rows:
        grid.add_row(*row)
    return grid


def _rate(events_per_second: float) -> str:
    return f"{events_per_second:,.0f}" if events_per_second >= 100 else f"{events_per_second:.1f}"


def _us(seconds: float) -> str:
    return f"{seconds * 1e6:,.1f}" if seconds < 1e-4 else f"{seconds * 1e6:,.0f}"
