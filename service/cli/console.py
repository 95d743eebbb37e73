"""Where a verb writes: JSON lines or tables on standard output, everything else on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
import orjson

if TYPE_CHECKING:
    from rich.console import Console

Command = TypeVar("Command", bound=Callable[..., Any])

COLOURS: Final = {
    "negative": "red",
    "neutral": "bright_black",
    "positive": "green",
    "allow": "green",
    "review": "yellow",
    "block": "bold red",
}
"""How a sentiment or an action looks in a table."""


def json_option(command: Command) -> Command:
    """`--json`: standard output holds JSON lines only."""
    option = click.option(
        "--json", "as_json", is_flag=True, help="JSON lines on standard output, for machines."
    )
    return option(command)


def config_option(command: Command) -> Command:
    """`-c FILE`: the configuration; left out, defaults and the environment."""
    kind = click.Path(exists=False, dir_okay=False, path_type=Path)
    return click.option("-c", "--config", type=kind, metavar="FILE", help="Configuration (YAML).")(command)


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
def progress(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on standard error while work is long; yields `advance(steps)`. Silent where nobody watches."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err(), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(what, total=total)
        yield partial(bar.advance, task)


def table(headings: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a plain table."""
    from rich import box
    from rich.table import Table

    grid = Table(*headings, box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for row in rows:
        grid.add_row(*(str(cell) for cell in row))
    out().print(grid)
