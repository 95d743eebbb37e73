"""`tidegate dlq`: list dead letters, look at one, and send them round again."""

from __future__ import annotations

import sys
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from service.cli.console import emit, json_option, say, settings_options, table, teach
from service.cli.moments import MOMENT
from service.errors import Exit

KINDS = ("invalid", "media", "crash", "expired")


def filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that choose dead letters; the command gets them as a `Filter` named `which`."""

    @click.option("--class", "kind", type=click.Choice(KINDS), help="Only this class.")
    @click.option("--reason", metavar="REASON", help="Only this reason, for example undecodable.")
    @click.option(
        "--since", type=MOMENT, metavar="TIME", help="From 2026-01-31T12:00Z on, or 15m, 2h, 3d ago."
    )
    @click.option("--until", type=MOMENT, metavar="TIME", help="Before this time.")
    @click.option("--limit", type=click.IntRange(1), metavar="N", help="At most N.")
    @wraps(command)
    def chosen(**options: Any) -> Any:
        from service.cli.letters import Filter

        names = ("kind", "reason", "since", "until", "limit")
        return command(which=Filter(*(options.pop(name) for name in names)), **options)

    return chosen


@click.group(
    help=teach(
        "Work with dead letters: the records that could not be scored, as they came, with the reason why.",
        ("tidegate dlq list -c tidegate.yaml --since 1h", "what went wrong lately"),
        ("tidegate dlq show -c tidegate.yaml 0/17", "one of them: headers and content"),
        ("tidegate dlq redrive -c tidegate.yaml --reason killed_worker", "send these round again"),
    )
)
def dlq() -> None:
    """The dead-letter topic."""


@dlq.command(
    "list",
    short_help="What is there, and why.",
    help="List dead letters, oldest first within a partition, with counts by reason.",
)
@filters
@settings_options
@json_option
def list_(which: Any, config: Path | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """One row or JSON line a dead letter."""
    from service.cli.letters import HEADINGS, facts, letters, row
    from service.load import load

    rows, counts = [], Counter[str]()
    for letter in letters(load(config, overrides), which):
        counts[f"{letter.kind}/{letter.reason}"] += 1
        if as_json:
            emit(facts(letter))
        else:
            rows.append(row(letter))
    if not as_json:
        table(HEADINGS, rows)
        say(", ".join(f"{n} {why}" for why, n in counts.most_common()) or "No dead letters.")


@dlq.command(
    short_help="One of them, with its content.",
    help="Show one dead letter by its PLACE (partition/offset), as `list` says it.",
)
@click.argument("place")
@click.option("--raw", is_flag=True, help="Only the record's own bytes, as they came.")
@settings_options
@json_option
def show(place: str, raw: bool, config: Path | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Headers and content."""
    from service.cli.letters import facts, headers, letter_at, preview
    from service.load import load

    letter = letter_at(load(config, overrides), place)
    value = letter.record.value or b""
    if raw:
        sys.stdout.buffer.write(value)
    elif as_json:
        emit(facts(letter) | {"headers": headers(letter), "value": b64encode(value).decode()})
    else:
        where = letter.record
        told = {k: v for k, v in facts(letter).items() if k not in ("schema", "place")}
        origin = f"{letter.topic}/{letter.partition}/{letter.offset}"
        say(f"Dead letter {where.topic}/{place}, in the beginning {origin}")
        table(("what", "value"), [*told.items(), *headers(letter).items()])
        click.echo("\n" + preview(letter))


@dlq.command(
    short_help="Send them back to where they came from.",
    help="Send dead letters back to the topics they came from, under the same event ids, and wait until the "
    "brokers have them. Those that come while this runs are left alone.",
)
@filters
@click.option("--dry-run", is_flag=True, help="Only say what would be sent.")
@settings_options
@json_option
def redrive(which: Any, dry_run: bool, config: Path | None, overrides: tuple[str, ...], as_json: bool) -> int:
    """Exit code 65 where some could not be sent."""
    from service.cli.redriving import redriven
    from service.load import load

    counts = Counter[str]()
    for letter, state, why in redriven(load(config, overrides), which, dry_run):
        counts[state] += 1
        if as_json:
            emit({"id": letter.event_id, "topic": letter.topic, "state": state, "why": why})
        elif why:
            say(f"{letter.record.partition}/{letter.record.offset}: {why}")
    say(", ".join(f"{n} {state}" for state, n in counts.items()) or "No dead letters to send.")
    return Exit.DATA if counts["failed"] else Exit.OK
