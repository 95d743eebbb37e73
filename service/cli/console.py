"""Where a verb writes: JSON lines or tables on standard output, everything else on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import orjson

from service.findings import did_you_mean

if TYPE_CHECKING:
    from rich.console import Console

Command = TypeVar("Command", bound=Callable[..., Any])


class Suggesting(click.Group):
    """A group that answers a misspelt verb with the nearest ones."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does; its complaint gets a suggestion, or all verbs where they are few."""
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            near = did_you_mean(args[0], self.list_commands(ctx))
            ctx.fail(f"No such command '{args[0]}'. {near}".strip())
        return super().resolve_command(ctx, args)


def json_option(command: Command) -> Command:
    """`--json`: standard output holds JSON lines only."""
    option = click.option(
        "--json", "as_json", is_flag=True, help="JSON lines on standard output, for machines."
    )
    return option(command)


def settings_options(command: Command) -> Command:
    """`-c FILE` and `--set KEY=VALUE`; without a file, the defaults and the environment."""
    file = click.option(
        "-c",
        "--config",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Configuration (YAML); without it, defaults and TIDEGATE_… variables.",
    )
    one = click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="One setting, for example engine.threads=2.",
    )
    return file(one(command))


def teach(text: str, *examples: tuple[str, str]) -> str:
    """A help text: what it does, then examples as (command, what it is for)."""
    width = max((len(command) for command, _ in examples), default=0)
    lines = [f"  {command:<{width}}  {purpose}".rstrip() for command, purpose in examples]
    return "\n\n".join([text, *(["\b\nExamples:\n" + "\n".join(lines)] if lines else [])])


def emit(document: object) -> None:
    """One JSON line on standard output, at once: the reader may be a pipe."""
    line = document if isinstance(document, bytes) else orjson.dumps(document)
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


def count(number: int, noun: str) -> str:
    """`1 event`, `2 events`, `1000 entries`."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun[:-1]}ies" if noun.endswith("ry") else f"{number} {noun}s"


def say(text: str) -> None:
    """One line for the person, on standard error."""
    click.echo(text, err=True)


def out() -> Console:
    """The console for tables; as wide as the terminal, 120 columns elsewhere."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 120)


def err() -> Console:
    """The console for progress, on standard error."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


@contextmanager
def progress(what: str, total: int | None, quiet: bool = False) -> Iterator[Callable[[int], None]]:
    """A bar on standard error while work is long; yields `advance(steps)`. Nothing where nobody watches."""
    if quiet or not sys.stderr.isatty():
        yield lambda steps: None
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err(), transient=True) as bar:
        yield partial(bar.advance, bar.add_task(what, total=total))


@contextmanager
def bars() -> Iterator[Callable[[str, float], None]]:
    """Bars on standard error, one for each thing that is heard of; yields `show(what, share done)`."""
    from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    shown: dict[str, TaskID] = {}
    with Progress(*columns, console=err(), transient=True) as bar:

        def show(what: str, share: float) -> None:
            thing = what.partition(":")[0]  # after it: how it is being made just now
            if thing not in shown:
                shown[thing] = bar.add_task(thing, total=1.0)
            bar.update(shown[thing], completed=share, description=what)

        yield show


def table(headings: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a plain table."""
    from rich import box
    from rich.table import Table

    grid = Table(*headings, box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for row in rows:
        grid.add_row(*(str(cell) for cell in row))
    out().print(grid)
