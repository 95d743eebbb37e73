"""Our own sentences: ``sentiment<TAB>labels<TAB>text``, a file for each theme and language."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from engines.errors import EngineError
from engines.training.text.rows import LABELS, NEGATIVE, NEUTRAL, POSITIVE, Row

FOLDER: Final = Path(__file__).parent.parent / "sentences"
BRIEF: Final = "brief.tsv"
"""In each language posts of an emoji or a word or two: a bag of n-grams takes them for parts of others."""
_SENTIMENTS: Final = {"-": NEGATIVE, "0": NEUTRAL, "+": POSITIVE}


def own() -> list[Row]:
    """All sentences written for training, of every language."""
    paths = sorted(path for path in FOLDER.glob("*/*.tsv") if path.name != BRIEF)
    return [row for path in paths for row in read(path, path.parent.name)]


def brief() -> list[Row]:
    """The briefest posts of every language; none breaks a rule."""
    return [row for path in sorted(FOLDER.glob(f"*/{BRIEF}")) for row in read(path, path.parent.name)]


def read(path: Path, lang: str) -> Iterator[Row]:
    """The rows of one file, annotated for every label; raises EngineError with the line."""
    for number, line in enumerate(path.read_text("utf-8").splitlines()[1:], 2):
        parts = line.split("\t")
        names = [] if parts[1:2] == ["."] else "".join(parts[1:2]).split(",")
        if len(parts) != 3 or parts[0] not in _SENTIMENTS or not set(names) <= set(LABELS):
            raise EngineError(
                "This is no annotated sentence",
                where=f"{path}, line {number}",
                why=f"it reads {line[:80]!r}",
                remedy=f"Write -, 0 or +; . or labels of {', '.join(LABELS)}; the text; tabs between",
            )
        labels = {label: float(label in names) for label in LABELS}
        yield Row(parts[2], f"own/{lang}/{path.stem}", lang, _SENTIMENTS[parts[0]], labels)
