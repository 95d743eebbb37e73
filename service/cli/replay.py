"""`tidegate replay`: score a range of the input again, outside the group."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.cli.console import emit, json_option, say, settings_options, table, teach
from service.cli.moments import WHEN, Bound
from service.errors import Exit

if TYPE_CHECKING:
    from service.kafka.reader import Reader, Stretch


@click.command(
    help=teach(
        "Score a range of the input again and publish under the same event ids: after a new model or policy, "
        "or where scores were lost.\n\nReads outside the group and commits nothing: a running daemon is not "
        "disturbed. Of several scores for an id, the one with the latest time.scored counts. The range ends "
        "where the topics end when it starts.",
        ("tidegate replay -c tidegate.yaml --from 2h", "the last two hours"),
        ("tidegate replay -c tidegate.yaml --from 2026-05-01T00:00Z --to 2026-05-02T00:00Z", "one day"),
        ("tidegate replay -c tidegate.yaml --topic posts --partition 3 --from 1200 --to 1300", "by offsets"),
        ("tidegate replay -c tidegate.yaml --from 0 --dry-run", "how much would that be?"),
    )
)
@click.option("--topic", "topics", multiple=True, metavar="TOPIC", help="Only this input topic; repeatable.")
@click.option(
    "--partition",
    "partitions",
    multiple=True,
    type=click.IntRange(0),
    metavar="P",
    help="Only this one; repeatable.",
)
@click.option(
    "--from",
    "since",
    type=WHEN,
    required=True,
    metavar="WHEN",
    help="A time, an age like 15m, 2h, 3d, or an offset.",
)
@click.option(
    "--to", "until", type=WHEN, metavar="WHEN", help="Where to stop, itself left out; default: now."
)
@click.option("--dry-run", is_flag=True, help="Only say what would be scored.")
@settings_options
@json_option
def replay(
    topics: tuple[str, ...],
    partitions: tuple[int, ...],
    since: Bound,
    until: Bound | None,
    dry_run: bool,
    config: Path | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> int:
    """Exit code 65 where something could not be published."""
    from service.cli.replaying import replayed
    from service.kafka.admin import preflight
    from service.kafka.reader import Reader
    from service.load import load

    settings = load(config, overrides)
    facts = preflight(settings)
    if strange := set(topics) - set(facts.inputs):
        raise click.BadParameter(
            f"{min(strange)} is not an input of this configuration", param_hint="--topic"
        )
    stretch = _stretch(partitions, since, until)
    with ExitStack() as stack:
        names = topics or sorted(facts.inputs)
        readers = [stack.enter_context(Reader(settings.kafka, name, stretch)) for name in names]
        if dry_run:
            _tell(readers, as_json)
            return Exit.OK
        counts = replayed(settings, facts, readers)
    if as_json:
        emit(counts)
    else:
        say(", ".join(f"{n} {what.replace('_', ' ')}" for what, n in counts.items()))
    return Exit.DATA if counts["rejected"] else Exit.OK


def _stretch(partitions: tuple[int, ...], since: Bound, until: Bound | None) -> Stretch:
    from service.kafka.reader import Stretch

    first = {"time": "since", "offset": "first"}[since.kind]
    limits = {first: since.value}
    if until is not None:
        limits[{"time": "until", "offset": "stop"}[until.kind]] = until.value
    return Stretch(partitions=partitions or None, **limits)


def _tell(readers: list[Reader], as_json: bool) -> None:
    rows = [(*place, *ends) for reader in readers for place, ends in reader.ranges.items()]
    if as_json:
        for topic, partition, first, stop in rows:
            emit({"topic": topic, "partition": partition, "first": first, "stop": stop})
        return
    table(("topic", "partition", "from", "to", "at most"), ((*row, row[3] - row[2]) for row in rows))
    say(f"{sum(reader.total for reader in readers)} records at most.")
