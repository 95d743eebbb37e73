"""Sentences as we write them: ``sentiment<TAB>labels<TAB>text``, where every label that holds is named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from engines.training.loaders.options import Options
from engines.training.loaders.table import Line, header, language, lines
from engines.training.rows import Journal, Row, RowError
from engines.training.taxonomy import NEGATIVE, NEUTRAL, POSITIVE

COLUMNS: Final = ("sentiment", "labels", "text")
_SIGNS: Final[Mapping[str, int]] = {"-": NEGATIVE, "0": NEUTRAL, "+": POSITIVE}


def sniff(path: Path) -> bool:
    """Whether this is a table of these three columns, or a folder with one at any depth."""
    return any(header(file) == COLUMNS for file in _files(path))


def rows(path: Path, options: Options, journal: Journal) -> Iterator[Row]:
    """One text event for each sentence; a label that the files use somewhere is 0 where a line doesn't name
    it. The language is the folder's name (``en``), the source the file's.
    """
    read = [
        (line, file)
        for file in _files(path)
        if header(file) == COLUMNS
        for line in lines(file, options, journal, quoted=False)
    ]
    every = dict.fromkeys(label for line, _ in read for label in _labels(line))
    for line, file in read:
        with journal.row(line.where):
            yield _row(line, file, tuple(every), options)


def _row(line: Line, file: Path, every: tuple[str, ...], options: Options) -> Row:
    sign, text, named = line.cells["sentiment"], line.cells["text"], _labels(line)
    if not text:
        raise RowError("its text is empty")
    if sign not in _SIGNS:
        raise RowError(f"its sentiment is {sign!r:.20}", "Sentiment is -, 0 or +")
    lang = file.parent.name if len(file.parent.name) == 2 else language(text, "")
    return Row(
        line.where, {"text": text}, _SIGNS[sign], moderation={x: int(x in named) for x in every},
        lang=options.lang or lang, source=options.source or file.stem,
    )  # fmt: skip


def _labels(line: Line) -> list[str]:
    cell = line.cells["labels"]
    return [] if cell == "." else [label.strip() for label in cell.split(",") if label.strip()]


def _files(path: Path) -> list[Path]:
    return sorted(path.rglob("*.tsv")) if path.is_dir() else [path]
