"""`make peers`: bundles beside VADER, SnowNLP and alt-profanity-check on everyday posts, in one run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import click
import numpy as np
from rich.console import Console

from engines.bundle import SHIPPED
from engines.errors import EngineError
from tests.peers import figures, functional, pairs, report, scorers
from tests.peers.scorers import Scorer

DEFAULT: Final = ("starter", "edge")


@click.command(help=__doc__)
@click.argument("bundles", nargs=-1, metavar="[NAME|FOLDER]…")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the tables as Markdown.")
@click.option("--backend", default="auto", show_default=True, help="The engine for the bundles.")
@click.option("--precision", default="auto", show_default=True, help="The precision for the bundles.")
@click.option("--resamples", default=figures.RESAMPLES, show_default=True, help="For the intervals.")
@click.option("--failures", is_flag=True, help="List the minimal pairs that do not come out as they must.")
def main(
    bundles: tuple[str, ...], out: Path | None, backend: str, precision: str, resamples: int, failures: bool
) -> None:
    """Measure, print, write."""
    names = bundles or tuple(name for name in DEFAULT if (SHIPPED / name).is_dir())
    console = Console(width=None if sys.stdout.isatty() else 160)
    try:
        opened = [scorers.bundle(name, backend, precision) for name in names]
        opened += [peer() for peer in scorers.PEERS]
        results = compare(opened, resamples, lambda name: print(f"Asking {name}", file=sys.stderr))
    except (EngineError, ModuleNotFoundError) as error:
        raise click.ClickException(_told(error)) from error
    report.draw(results, console)
    if failures:
        list_failures(results, console)
    if out is not None:
        out.write_text(report.markdown(results), "utf-8")


def compare(
    asked: Sequence[Scorer],
    resamples: int = figures.RESAMPLES,
    tell: Callable[[str], None] = lambda name: None,
) -> report.Results:
    """Every scorer on the everyday sentences, minimal pairs and functional tests of its languages."""
    lines = {lang: figures.everyday(lang) for lang in report.LANGUAGES}
    own = {lang: [pair for pair in pairs.read() if pair.lang == lang] for lang in report.LANGUAGES}
    found: dict[str, dict[str, figures.Figures]] = {lang: {} for lang in lines}
    passed = {}
    cases = {name: [case for case in functional.read() if case.suite == name] for name in functional.SUITES}
    hate: dict[str, dict[str, functional.Passed]] = {name: {} for name in cases}
    for scorer in asked:
        tell(scorer.name)
        for lang in scorer.langs:
            found[lang][scorer.name] = figures.measure(scorer.ask(lines[lang].texts), lines[lang], resamples)
            first, second = ([getattr(pair, side) for pair in own[lang]] for side in ("first", "second"))
            passed[scorer.name, lang] = pairs.judge(own[lang], scorer.ask(first), scorer.ask(second))
        for name, each in cases.items():
            if each[0].lang in scorer.langs:
                done = functional.measure(each, scorer.ask([case.text for case in each]), resamples)
                hate[name] |= {} if done is None else {scorer.name: done}
    counts = {lang: len(table) for lang, table in lines.items()}
    return report.Results({s.name: s.what for s in asked}, counts, found, own, passed, cases, hate)


def list_failures(results: report.Results, console: Console) -> None:
    """One line for each pair that a bundle or library gets wrong."""
    for (name, lang), passed in results.passed.items():
        for k in np.flatnonzero(passed == 0).tolist():
            pair = results.pairs[lang][k]
            console.print(f"{name}: {pair.kind}, {pair.holds}: {pair.first} | {pair.second}", highlight=False)


def _told(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is not installed: pip install -c constraints.txt -e '.[dev]'"
    return str(error)


if __name__ == "__main__":
    main()
