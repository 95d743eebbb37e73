"""Layouts of labelled events as people have them on disk, by name; each is a module that reads one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from engines.errors import EngineError
from engines.training.loaders import clips, jsonl, memes, mvsa, reviews, sentences, toxicity
from engines.training.loaders.options import Options
from engines.training.rows import Journal, Row

__all__ = ["FORMS", "OWN", "Form", "Options", "detect", "read"]


class Form(NamedTuple):
    """A layout: ``sniff`` says whether a path surely has it, ``rows`` reads it, ``looks`` shows it."""

    sniff: Callable[[Path], bool]
    rows: Callable[[Path, Options, Journal], Iterator[Row]]
    looks: str


FORMS: Final[dict[str, Form]] = {
    "memes": Form(memes.sniff, memes.rows, "Hateful Memes: JSON lines of id, img, label, text"),
    "jsonl": Form(jsonl.sniff, jsonl.rows, "events.jsonl: events with `labels`, media by path"),
    "mvsa": Form(mvsa.sniff, mvsa.rows, "MVSA: labelResultAll.txt and data/<id>.txt, .jpg"),
    "clips": Form(clips.sniff, clips.rows, "MOSI, MOSEI, CH-SIMS: label.csv and a folder wav"),
    "toxicity": Form(toxicity.sniff, toxicity.rows, "Jigsaw: comment_text and a column for each kind"),
    "sentences": Form(sentences.sniff, sentences.rows, "sentiment, labels, text between tabs"),
    "reviews": Form(reviews.sniff, reviews.rows, "ChnSentiCorp, weibo: label, review"),
}
"""Every layout by its name, those that are the surest to recognise first."""


OWN: Final = ("jsonl", "sentences")
"""Layouts in which people name labels themselves; the labels of the others are ours."""


def detect(path: Path) -> str:
    """The name of the layout that a path has; raises EngineError where none is recognised, for a
    table with the columns that were found and the plainest that are wanted.
    """
    for name, form in FORMS.items():
        if form.sniff(path):
            return name
    if path.is_file() and path.suffix.lower() in (".csv", ".tsv"):
        reviews.columns(path)
    raise EngineError(
        "The layout of these labelled events is not recognised", where=str(path),
        why="no loader knows it" if path.exists() else "nothing is there",
        remedy=f"Name the layout: {'; '.join(f'{name} ({form.looks})' for name, form in FORMS.items())}",
    )  # fmt: skip


def read(path: Path, form: str, options: Options, journal: Journal) -> Iterator[Row]:
    """The rows of a path in the layout ``form``, or in the one it is seen to have; raises EngineError."""
    if form and form not in FORMS:
        raise EngineError(
            "There is no such layout of labelled events", where=form, remedy=f"Choose {', '.join(FORMS)}"
        )
    if not path.exists():
        raise EngineError("There are no labelled events", where=str(path), why="nothing is there")
    return FORMS[form or detect(path)].rows(path, options, journal)
