"""`tidegate dlq`: list dead letters, look at one, and send them round again."""

from __future__ import annotations

import sys
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Final, get_args

import click

from engines.errors import MediaReason
from service.cli.console import Suggesting, count, emit, json_option, say, settings_options, table, teach
from service.cli.moments import MOMENT
from service.errors import Exit
from service.findings import did_you_mean

REASONS: Final = {
    "invalid": ("invalid_json", "invalid_event", "no_content", "too_large"),
    "media": (*get_args(MediaReason), "url_not_allowed", "fetch_failed"),
    "crash": ("killed_engine",),
    "expired": ("too_old",),
}
"""Every class of dead letters with its reasons."""
CONFIG: Final = "-c tidegate.yaml"


class Reason(click.ParamType[str]):
    """One of `REASONS`; a misspelt one is a usage error, not an empty list."""

    name = "reason"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check it; the error names what comes near, or all there are."""
        known = [reason for reasons in REASONS.values() for reason in reasons]
        if value not in known:
            self.fail(f"'{value}' is no reason. {did_you_mean(value, known)}", param, ctx)
        return value


def filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that choose dead letters; the command gets them as a `Filter` named `which`."""

    @click.option("--class", "kind", type=click.Choice(list(REASONS)), help="Only this class.")
    @click.option("--reason", type=Reason(), metavar="REASON", help="Only this reason, as in `list --help`.")
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
    cls=Suggesting,
    help=teach(
        "Work with dead letters: the records that could not be scored, as they came, with the reason why.",
        ("tidegate dlq list -c tidegate.yaml --since 1h", "what went wrong lately"),
        ("tidegate dlq show -c tidegate.yaml 0/17", "one of them: headers and content"),
        ("tidegate dlq redrive -c tidegate.yaml --reason killed_worker", "send these round again"),
    ),
)
def dlq() -> None:
    """The dead-letter topic."""


@dlq.command(
    "list",
    short_help="What is there, and why.",
    help=teach(
        "List dead letters, oldest first within a partition, with counts by reason.\n\nReasons: "
        + "; ".join(f"{kind}: {', '.join(reasons)}" for kind, reasons in REASONS.items())
        + ".",
        (f"tidegate dlq list {CONFIG} --since 1h", "what went wrong lately"),
        (f"tidegate dlq list {CONFIG} --class media --limit 20", "the first twenty with bad media"),
        (f"tidegate dlq list {CONFIG} --json", "one JSON object a dead letter"),
    ),
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
    help=teach(
        "Show one dead letter by its PLACE (partition/offset), as `list` says it.\n\nWith --json, key and "
        "value are base64; a key of null is none.",
        (f"tidegate dlq show {CONFIG} 0/17", "where it came from, why, and its content"),
        (f"tidegate dlq show {CONFIG} 0/17 --raw > record.bin", "the record's own bytes"),
    ),
)
@click.argument("place")
@click.option("--raw", is_flag=True, help="Only the record's own bytes, as they came.")
@settings_options
@json_option
def show(place: str, raw: bool, config: Path | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Headers and content."""
    from service.cli.letters import facts, headers, letter_at, preview, told
    from service.load import load

    letter = letter_at(load(config, overrides), place)
    key, value = letter.record.key, letter.record.value or b""
    if raw:
        sys.stdout.buffer.write(value)
    elif as_json:
        content = {
            "key": None if key is None else b64encode(key).decode(),
            "value": b64encode(value).decode(),
        }
        emit(facts(letter) | {"headers": headers(letter)} | content)
    else:
        origin = f"{letter.topic}/{letter.partition}/{letter.offset}"
        say(f"Dead letter {letter.record.topic}/{place}, from {origin}")
        table(("what", "value"), told(letter).items())
        click.echo("\n" + preview(letter))


@dlq.command(
    short_help="Send them back to where they came from.",
    help=teach(
        "Send dead letters back to the topics they came from, under the same event ids, and wait until the "
        "brokers have them. Those that come while this runs are left alone.\n\nDead letters stay in their "
        "topic. Each event is sent once, from its newest letter, and what was sent is remembered: a second "
        "redrive sends only what came since, or failed again. The brokers keep that memory as the offsets of "
        "the group <kafka.group>-redrive, as long as they keep offsets of idle groups (seven days, unless "
        "offsets.retention.minutes says otherwise); --all sends again what was sent before.",
        (f"tidegate dlq redrive {CONFIG} --dry-run", "what would be sent?"),
        (f"tidegate dlq redrive {CONFIG} --reason killed_worker", "only these; the others stay open"),
        (f"tidegate dlq redrive {CONFIG} --all --since 2h", "once more, what was sent already too"),
    ),
)
@filters
@click.option("--all", "everything", is_flag=True, help="Also what was redriven before.")
@click.option("--dry-run", is_flag=True, help="Only say what would be sent.")
@settings_options
@json_option
def redrive(
    which: Any,
    everything: bool,
    dry_run: bool,
    config: Path | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> int:
    """Exit code 65 where some could not be sent."""
    from service.cli.redriving import Redrive
    from service.load import load

    events, letters = Counter[str](), Counter[str]()
    work = Redrive(load(config, overrides), which, dry_run=dry_run, everything=everything)
    for letter, state, standing, why in work:
        events[state] += 1
        letters[state] += standing
        if as_json:
            line = {"id": letter.event_id, "topic": letter.topic, "letters": standing}
            emit({"schema": "tidegate.redrive/1", **line, "state": state, "why": why})
        elif why:
            say(f"{letter.record.partition}/{letter.record.offset}: {why}")
    for what, number in events.items():
        say(f"{what.capitalize()}: {count(number, 'event')} ({count(letters[what], 'letter')}).")
    if before := work.plan.before:
        say(f"Left out: {count(before, 'letter')} redriven before (--all sends them again).")
    if not events:
        say("Nothing to redrive.")
    return Exit.DATA if events["failed"] else Exit.OK
