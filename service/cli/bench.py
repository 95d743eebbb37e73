"""`tidegate bench`: how fast, against what this machine could do, and where the time goes."""

from __future__ import annotations

import logging

import click

from service.cli.console import emit, json_option, out, say, teach
from service.cli.interrupts import Interrupts

NAMES = ("text", "image", "audio", "mix")


@click.command(
    help=teach(
        "Measure this machine with an embedded broker and a prepared backlog.\n\n"
        "For each kind of events: each stage alone, the daemon end to end, the loop that people write first, "
        "and the latency of an idle stream beside that of a bare consume-infer-publish loop. The machine's "
        "bound is the smaller of the slowest stage alone and cores ÷ CPU seconds per event; the figure is "
        "the daemon's rate ÷ that bound. Measure on a machine that does nothing else.",
        ("tidegate bench", "all kinds, about eight minutes"),
        ("tidegate bench --kind text --no-latency", "one kind, a minute"),
        ("tidegate bench --kind mix --json", "one JSON line a kind, for machines"),
    )
)
@click.option("--kind", "kinds", multiple=True, type=click.Choice(NAMES), help="What events; repeatable.")
@click.option(
    "--events", type=click.IntRange(min=1000), metavar="N", help="The backlog; default: about 15 s of work."
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=1.0),
    default=20.0,
    show_default=True,
    metavar="S",
    help="How long the idle stream lasts, for the daemon and for the bare loop.",
)
@click.option("--no-latency", is_flag=True, help="No idle stream.")
@click.option("--bundle", default="starter", metavar="NAME|FOLDER", help="The model bundle.")
@json_option
def bench(
    kinds: tuple[str, ...], events: int | None, seconds: float, no_latency: bool, bundle: str, as_json: bool
) -> None:
    """Print a report for each kind."""
    from service.bench.load import KINDS
    from service.bench.run import IDLE_RATE, Plan
    from service.bench.run import bench as run
    from service.bench.table import show
    from service.kafka.quiet import quiet_client

    quiet_client()
    logging.getLogger("service").setLevel(logging.ERROR)  # a client that says it is busy is the point here
    plan = Plan(
        bundle=bundle, events=events, idle_rate=None if no_latency else IDLE_RATE, idle_seconds=seconds
    )
    with Interrupts():
        for report in run([kind for kind in KINDS if not kinds or kind in kinds], plan, say):
            if as_json:
                emit(report.document())
            else:
                show(report, out())
