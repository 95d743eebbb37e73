"""`tidegate replay`: score a range of the input again, outside the group."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.cli.console import count, emit, json_option, say, settings_options, table, teach
from service.cli.moments import WHEN, Bound
from service.errors import Exit

if TYPE_CHECKING:
    from service.config import Kafka
    from service.kafka.admin import Facts
    from service.kafka.reader import Reader, Stretch


@click.command(
    help=teach(
        "Score a range of the input again and publish under the same event ids: after a new model or policy, "
        "or where scores were lost.\n\nReads outside the group and commits nothing: a running daemon is not "
        "disturbed. Of several scores for an id, the one with the latest time.scored counts. Records that "
        "cannot be scored are written to the dead-letter topic again. The range ends where the topics end "
        "when it starts. --from and --to take a time, an age, or an offset (counted in each partition).",
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

    _check_range(since, until)
    settings = load(config, overrides)
    facts = preflight(settings)
    names = topics or tuple(sorted(facts.inputs))
    _check_places(facts, names, partitions)
    stretch = _stretch(partitions, since, until)
    with ExitStack() as stack:
        readers = [stack.enter_context(Reader(settings.kafka, name, stretch)) for name in names]
        if since.kind == "offset" and not any(reader.ranges for reader in readers):
            _check_end(settings.kafka, names, partitions, since)
        if dry_run:
            _tell(readers, as_json)
            return Exit.OK
        counts = replayed(settings, facts, readers)
    if as_json:
        emit({"schema": "tidegate.replay/1", **counts})
    else:
        say(", ".join(f"{n} {what.replace('_', ' ')}" for what, n in counts.items()))
    return Exit.DATA if counts["rejected"] else Exit.OK


def _check_range(since: Bound, until: Bound | None) -> None:
    """Refuse a range that cannot hold anything: one that begins in the future, or ends before it begins."""
    if since.kind == "time" and since.value > time.time() * 1000:
        raise click.BadParameter(f"{since} is in the future: nothing lies there yet.", param_hint="--from")
    if until is not None and until.kind == since.kind and until.value <= since.value:
        what = f"{until} is not after --from {since}: the range is empty."
        raise click.BadParameter(what, param_hint="--to")


def _check_places(facts: Facts, topics: tuple[str, ...], partitions: tuple[int, ...]) -> None:
    """Refuse topics that are no input, and partitions that none of the topics has."""
    if strange := set(topics) - set(facts.inputs):
        inputs = ", ".join(sorted(facts.inputs))
        what = f"{min(strange)} is not an input of this configuration, which reads {inputs}."
        raise click.BadParameter(what, param_hint="--topic")
    most = max(facts.inputs[name].partitions for name in topics)
    if beyond := [each for each in partitions if each >= most]:
        what = f"There is no partition {min(beyond)} in {', '.join(topics)}: the last is {most - 1}."
        raise click.BadParameter(what, param_hint="--partition")


def _check_end(kafka: Kafka, topics: tuple[str, ...], partitions: tuple[int, ...], since: Bound) -> None:
    """Refuse a first offset that no partition has reached yet."""
    from service.kafka.reader import Reader, Stretch

    ends = [0]
    for name in topics:
        with Reader(kafka, name, Stretch(partitions=partitions or None)) as reader:
            ends += [stop for _, stop in reader.ranges.values()]
    if since.value > max(ends):
        what = f"{since} is past the end of {', '.join(topics)}: the next record gets offset {max(ends)}."
        raise click.BadParameter(what, param_hint="--from")


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
            emit(
                {
                    "schema": "tidegate.range/1",
                    "topic": topic,
                    "partition": partition,
                    "first": first,
                    "stop": stop,
                }
            )
        return
    table(("topic", "partition", "from", "to", "at most"), ((*row, row[3] - row[2]) for row in rows))
    say(f"{count(sum(reader.total for reader in readers), 'record')} at most.")
