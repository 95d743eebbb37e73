"""Comments of the Jigsaw challenges: ``comment_text`` with a column for each kind of toxicity.

J. Zhang and others, "Toxic Comment Classification Challenge", 2018; the table of "Unintended Bias", 2019,
whose columns are shares of annotators, is read too: half of them make a label.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from engines.errors import EngineError
from engines.training.loaders.options import Options
from engines.training.loaders.table import Line, files, header, lines
from engines.training.rows import Journal, Row, RowError

MAP: Final[Mapping[str, str]] = {
    "toxic": "", "severe_toxic": "", "obscene": "profanity", "threat": "violence", "insult": "harassment",
    "identity_hate": "hate",
    "target": "", "toxicity": "", "severe_toxicity": "", "identity_attack": "hate",
    "sexual_explicit": "sexual/explicit",
}  # fmt: skip
"""Column → label of ours. The broad `toxic` has no counterpart, so it is left out unless mapped."""
_TEXT: Final = "comment_text"


def sniff(path: Path) -> bool:
    """Whether there is a table with comment_text and a column of the map."""
    return any(_TEXT in names and set(MAP) & set(names) for names in (header(f) for f, _ in files(path)))


def rows(path: Path, options: Options, journal: Journal) -> Iterator[Row]:
    """One text event for each comment. Of a folder, test.csv is joined with test_labels.csv by id; rows that
    hold -1 throughout were never scored and are left out.
    """
    mapping = {**MAP, **{k.casefold(): v for k, v in options.mapping.items()}}
    found = [(file, split) for file, split in files(path) if header(file)]
    late = _late_labels([file for file, _ in found if _TEXT not in header(file)], options, journal)
    comments = [(file, split) for file, split in found if _TEXT in header(file)]
    if not late and not any(set(mapping) & set(header(file)) for file, _ in comments):
        raise EngineError(
            "No table of comments has labels", where=str(path), remedy=f"Put {', '.join(MAP)} beside {_TEXT}"
        )
    for file, split in comments:
        for line in lines(file, options, journal):
            with journal.row(line.where):
                row = _row(line, late.get(line.cells.get("id", ""), {}), mapping, split, options)
                if row.moderation:
                    yield row
                else:
                    journal.count("no label was scored: left out")


def _row(
    line: Line, late: Mapping[str, str], mapping: Mapping[str, str], split: str, options: Options
) -> Row:
    text = line.cells[_TEXT]
    if not text:
        raise RowError("its comment is empty")
    moderation: dict[str, int] = {}
    for name, cell in {**line.cells, **late}.items():
        if label := mapping.get(name):
            value = _value(name, cell)
            if value is not None:
                moderation[label] = max(value, moderation.get(label, 0))
    lang = line.cells.get("lang", "") or options.lang or "en"
    return Row(
        line.where, {"text": text}, moderation=moderation, lang=lang, source=options.source, split=split
    )


def _value(name: str, cell: str) -> int | None:
    try:
        share = float(cell or "-1")
    except ValueError as error:
        raise RowError(f"{name} is {cell!r:.40}", "It is 0 or 1, or -1 where nobody knows") from error
    if share == -1:
        return None
    if not 0 <= share <= 1:
        raise RowError(f"{name} is {cell!r:.40}", "It is 0 or 1, or -1 where nobody knows")
    return int(share >= 0.5)


def _late_labels(tables: list[Path], options: Options, journal: Journal) -> dict[str, Mapping[str, str]]:
    return {
        line.cells["id"]: {k: v for k, v in line.cells.items() if k != "id"}
        for file in tables
        # a sample of answers beside them has the same columns, and says 0.5 throughout
        if "label" in file.stem.lower() and "id" in header(file)
        for line in lines(file, options, journal)
    }
