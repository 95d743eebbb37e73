"""Figures and pass rates as tables: Markdown for the card and the README, rich for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table as Drawn

from engines.training.text.rows import LABELS
from tests.peers.figures import Figure, Figures
from tests.peers.pairs import Pair

LANGUAGES: Final = {"en": "English", "zh": "Chinese"}
WANTED: Final = {"en": (".88", ".88", ".95", ".95"), "zh": (".88", ".88", ".90", ".92")}
"""The least that the default bundle must reach, by language, in the order of the columns."""
_COLUMNS: Final = ("sentiment", "sentiment, rule-abiding", "breaks any rule", "mean of labels")


@dataclass(frozen=True, slots=True)
class Section:
    """One table: a title, a header, rows of cells."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Results:
    """All of one run; ``what`` is each scorer exactly, ``lines`` how many there are of each language.

    ``figures`` by language and scorer; ``passed`` by scorer and language: 1, 0 or NaN (no answer) for each of
    ``pairs``.
    """

    what: Mapping[str, str]
    lines: Mapping[str, int]
    figures: Mapping[str, Mapping[str, Figures]]
    pairs: Mapping[str, Sequence[Pair]]
    passed: Mapping[tuple[str, str], NDArray[Any]]


def sections(results: Results) -> list[Section]:
    """Every table of the report."""
    out = [_everyday(results, lang) for lang in results.figures]
    out += [_labels(results, lang) for lang in results.figures]
    return [*out, _pairs(results)]


def markdown(results: Results) -> str:
    """The whole report, to stand as a section of a larger page."""
    out = ["## Everyday posts, beside other libraries", "", _INTRODUCTION, ""]
    for section in sections(results):
        out += [f"### {section.title}", "", _line(section.header), "|---" * len(section.header) + "|"]
        out += [*map(_line, section.rows), ""]
    out += ["Measured in one run:", ""]
    return "\n".join([*out, *(f"- {name}: {what}" for name, what in results.what.items())]) + "\n"


def draw(results: Results, console: Console) -> None:
    """The same tables on a terminal."""
    for section in sections(results):
        table = Drawn(title=section.title, title_justify="left")
        for k, name in enumerate(section.header):
            table.add_column(name, justify="right" if k else "left")
        for row in section.rows:
            table.add_row(*(cell.strip("*") for cell in row))
        console.print(table)
    for name, what in results.what.items():
        console.print(f"{name}: {what}", highlight=False)


_INTRODUCTION: Final = """\
Sentences in many voices that no bundle here was trained on. Sentiment: macro recall over negative, neutral
and positive, on all lines and on those that break no rule. "Breaks any rule": AUROC of the highest label;
beside it the mean of the labels' own AUROCs. In brackets the bootstrap 95 % interval. Minimal pairs: how many
come out as they must; a pair counts only where the scorer answers such questions at all, and a library
without labels is asked for the class of sentiment only."""


def _everyday(results: Results, lang: str) -> Section:
    def row(name: str, of: Figures) -> list[str]:
        return [name, *(_cell(x) for x in (of.sentiment, of.abiding, of.breach, of.labels))]

    found = results.figures[lang]
    wanted = ["*wanted at least*", *WANTED[lang]]
    title = f"{LANGUAGES[lang]}, {results.lines[lang]:,} lines"
    return Section(title, ["", *_COLUMNS], [*(row(*item) for item in found.items()), wanted])


def _labels(results: Results, lang: str) -> Section:
    found = {name: of.each for name, of in results.figures[lang].items() if of.each}
    rows = [[label, *(_number(each.get(label)) for each in found.values())] for label in LABELS]
    return Section(f"{LANGUAGES[lang]}, AUROC by label", ["", *found], rows)


def _pairs(results: Results) -> Section:
    kinds = list(dict.fromkeys(pair.kind for pairs in results.pairs.values() for pair in pairs))
    found = [(passed, results.pairs[lang]) for (_, lang), passed in results.passed.items()]
    rows = [[kind, *(_share(passed, pairs, kind) for passed, pairs in found)] for kind in kinds]
    total = ["**all**", *(_total(passed) for passed in results.passed.values())]
    header = ["", *(f"{name}, {LANGUAGES[lang]}" for name, lang in results.passed)]
    count = sum(map(len, results.pairs.values()))
    return Section(f"{count} minimal pairs", header, [*rows, total])


def _share(passed: NDArray[Any], pairs: Sequence[Pair], kind: str) -> str:
    own = passed[[pair.kind == kind for pair in pairs]]
    own = own[~np.isnan(own)]
    return f"{own.sum():.0f} / {len(own)}" if len(own) else "–"


def _total(passed: NDArray[Any]) -> str:
    known = passed[~np.isnan(passed)]
    return f"{known.sum():.0f} / {len(known)} = {known.mean():.0%}" if len(known) else "–"


def _cell(figure: Figure | None) -> str:
    return "–" if figure is None else str(figure)


def _number(value: float | None) -> str:
    return "–" if value is None or np.isnan(value) else f"{value:.3f}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
