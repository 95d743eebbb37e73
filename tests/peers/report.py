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
from tests.peers.functional import SUITES, Case, Passed
from tests.peers.pairs import SAME, Pair

LANGUAGES: Final = {"en": "English", "zh": "Chinese"}
WANTED: Final = {"en": (".88", ".88", ".95", ".95"), "zh": (".88", ".88", ".90", ".92")}
"""The least that the default bundle must reach, by language, in the order of the columns."""
HATE_WANTED: Final = {"en": ".80", "emoji": ".85", "zh": ".66"}
"""The same for `hate` in the functional tests."""
_ONE_ANSWER: Final = ("alt-profanity-check",)
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
    ``pairs``. ``hate`` by suite of functional tests and scorer.
    """

    what: Mapping[str, str]
    lines: Mapping[str, int]
    figures: Mapping[str, Mapping[str, Figures]]
    pairs: Mapping[str, Sequence[Pair]]
    passed: Mapping[tuple[str, str], NDArray[Any]]
    cases: Mapping[str, Sequence[Case]]
    hate: Mapping[str, Mapping[str, Passed]]


def sections(results: Results) -> list[Section]:
    """Every table of the report."""
    out = [_everyday(results, lang) for lang in results.figures]
    out += [_labels(results, lang) for lang in results.figures]
    return [*out, _pairs(results), _hate(results), _kinds(results)]


def markdown(results: Results) -> str:
    """The whole report, to stand as a section of a larger page."""
    out = ["## Everyday posts, beside other libraries", "", _INTRODUCTION, ""]
    for section in sections(results):
        out += lines(section)
    out += ["Measured in one run:", ""]
    return "\n".join([*out, *(f"- {name}: {what}" for name, what in results.what.items())]) + "\n"


def draw(results: Results, console: Console) -> None:
    """The same tables on a terminal."""
    for section in sections(results):
        show(section, console)
    for name, what in results.what.items():
        console.print(f"{name}: {what}", highlight=False)


def show(section: Section, console: Console) -> None:
    """One table on a terminal."""
    table = Drawn(title=section.title, title_justify="left")
    for k, name in enumerate(section.header):
        table.add_column(name, justify="right" if k else "left")
    for row in section.rows:
        table.add_row(*(cell.strip("*") for cell in row))
    console.print(table)


def lines(section: Section) -> list[str]:
    """One table as lines of Markdown, with its title."""
    out = [f"### {section.title}", "", _line(section.header), "|---" * len(section.header) + "|"]
    return [*out, *map(_line, section.rows), ""]


_INTRODUCTION: Final = """\
Sentences in many voices that no bundle here was trained on. Sentiment: macro recall over negative, neutral
and positive, on all lines and on those that break no rule. "Breaks any rule": AUROC of the highest label;
beside it the mean of the labels' own AUROCs. In brackets the bootstrap 95 % interval. Minimal pairs: how many
come out as they must; a pair counts only where the scorer answers such questions at all, and a library
without labels is asked for the class of sentiment only. Functional tests: hateful texts and look-alikes."""


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
    every = [pair for pairs in results.pairs.values() for pair in pairs]
    rows = [
        [kind, *(_share(passed, pairs, kind) for passed, pairs in found),
         _chance([pair for pair in every if pair.kind == kind])]
        for kind in kinds
    ]  # fmt: skip
    total = ["**all**", *(_total(passed) for passed in results.passed.values()), _chance(every)]
    header = ["", *(f"{name}, {LANGUAGES[lang]}" for name, lang in results.passed), "by chance"]
    count = len(every)
    return Section(f"{count} minimal pairs", header, [*rows, total])


def _hate(results: Results) -> Section:
    rows = []
    for suite, found in results.hate.items():
        cells = [str(found[name].whole) if name in found else "–" for name in results.what]
        rows.append([SUITES[suite], f"{len(results.cases[suite])}", *cells, HATE_WANTED[suite]])
    header = ["", "texts", *results.what, "*wanted at least*"]
    return Section("Functional tests for hate, AUROC of `hate` alone", header, rows)


def _kinds(results: Results) -> Section:
    """Each kind against all texts of the other class; only of what gives every label its own answer."""
    columns = [(s, n) for s, found in results.hate.items() for n in found if n not in _ONE_ANSWER]
    marks = {c.kind: "hateful" if c.hateful else "not" for own in results.cases.values() for c in own}
    rows = [
        [kind, mark, *(_number(results.hate[s][n].kinds.get(kind)) for s, n in columns)]
        for kind, mark in sorted(marks.items(), key=lambda item: (item[0].startswith("emoji_"), item[1]))
    ]
    header = ["", "", *(f"{name}, {SUITES[suite]}" for suite, name in columns)]
    return Section("The same by kind of text, against all of the other class", header, rows)


def _share(passed: NDArray[Any], pairs: Sequence[Pair], kind: str) -> str:
    own = passed[[pair.kind == kind for pair in pairs]]
    own = own[~np.isnan(own)]
    return f"{own.sum():.0f} / {len(own)}" if len(own) else "–"


def _chance(pairs: Sequence[Pair]) -> str:
    """What answers that know nothing get: half of what must differ, all that must stay the same."""
    return f"{np.mean([1.0 if pair.holds == SAME else 0.5 for pair in pairs]):.0%}"


def _total(passed: NDArray[Any]) -> str:
    known = passed[~np.isnan(passed)]
    return f"{known.sum():.0f} / {len(known)} = {known.mean():.0%}" if len(known) else "–"


def _cell(figure: Figure | None) -> str:
    return "–" if figure is None else str(figure)


def _number(value: float | None) -> str:
    return "–" if value is None or np.isnan(value) else f"{value:.3f}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
