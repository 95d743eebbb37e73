"""Reviews with one label each: ChnSentiCorp (``label,review``), weibo_senti_100k and tables like them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from engines.batch import SENTIMENTS
from engines.errors import EngineError
from engines.training.loaders.options import Options
from engines.training.loaders.table import Line, column, files, header, language, lines
from engines.training.rows import Journal, Row, RowError
from engines.training.taxonomy import NEGATIVE, NEUTRAL, POSITIVE

LABEL: Final = ("label", "labels", "sentiment", "polarity", "标签", "情感")
TEXT: Final = ("review", "text", "text_a", "sentence", "content", "comment", "评论", "内容")
SCHEMES: Final[tuple[Mapping[str, int], ...]] = (
    {"0": NEGATIVE, "1": POSITIVE},
    {"-1": NEGATIVE, "0": NEUTRAL, "1": POSITIVE},
    {"0": NEGATIVE, "1": NEUTRAL, "2": POSITIVE},
    {"negative": NEGATIVE, "neutral": NEUTRAL, "positive": POSITIVE},
    {"neg": NEGATIVE, "neu": NEUTRAL, "pos": POSITIVE},
)
"""How tables write sentiment; the one that explains all rows, or nearly all, is taken."""
_UNEXPLAINED: Final = 0.02


def sniff(path: Path) -> bool:
    """Whether a table has one column of labels and one of texts, and nothing of other layouts."""
    for file, _ in files(path):
        names = header(file)
        if column(names, LABEL) and column(names, TEXT) and not {"video_id", "comment_text"} & set(names):
            return names != ("sentiment", "labels", "text")
    return False


def rows(path: Path, options: Options, journal: Journal) -> Iterator[Row]:
    """One text event for each row; ``options.mapping`` says what values mean, as in ``{"4": "positive"}``."""
    tables = files(path)
    fitting = [(file, split) for file, split in tables if len(_found(file)) == 2]
    read = [
        (line, split, *columns(file))
        for file, split in fitting or tables
        for line in lines(file, options, journal)
    ]
    scheme = _scheme(Counter(_value(line.cells[label]) for line, _, label, _ in read), options, path)
    for line, split, label, text in read:
        with journal.row(line.where):
            yield _row(line, label, text, split, scheme, options)


def _row(line: Line, label: str, text: str, split: str, scheme: Mapping[str, int], options: Options) -> Row:
    said, value = line.cells[text], _value(line.cells[label])
    if not said:
        raise RowError("its text is empty")
    if value not in scheme:
        raise RowError(f"its label is {value!r:.40}", f"Labels here are {', '.join(scheme)}")
    lang = line.cells.get("lang", "") or options.lang or language(said, "")
    return Row(line.where, {"text": said}, scheme[value], lang=lang, source=options.source, split=split)


def _found(file: Path) -> tuple[str, ...]:
    names = header(file)
    return tuple(name for name in (column(names, LABEL), column(names, TEXT)) if name)


def columns(file: Path) -> tuple[str, str]:
    """The columns of labels and of texts; raises EngineError that says which columns there are."""
    found, names = _found(file), header(file)
    if len(found) < 2:
        raise EngineError(
            "A table lacks its columns", where=str(file), why=f"it has {', '.join(names) or 'none'}",
            remedy=f"Name one column {' or '.join(LABEL[:3])} and one {' or '.join(TEXT[:3])}",
        )  # fmt: skip
    return found[0], found[1]


def _scheme(values: Counter[str], options: Options, path: Path) -> Mapping[str, int]:
    if options.mapping:
        return {key: _sentiment(name) for key, name in options.mapping.items() if name}
    total = sum(values.values())
    strange = {k: total - sum(values[key] for key in scheme) for k, scheme in enumerate(SCHEMES)}
    best = min(strange, key=strange.__getitem__)
    if strange[best] < total and strange[best] <= max(1, total * _UNEXPLAINED):
        return SCHEMES[best]
    told = ", ".join(repr(key) for key, _ in values.most_common(8))
    raise EngineError(
        "The sentiment labels of a table are not understood", where=str(path), why=f"it has {told}",
        remedy="Say what they mean, as in --map 0=negative --map 1=positive",
    )  # fmt: skip


def _sentiment(name: str) -> int:
    if name not in SENTIMENTS:
        raise EngineError(
            "A label cannot mean this sentiment", where=name, remedy=f"Choose {', '.join(SENTIMENTS)}"
        )
    return SENTIMENTS.index(name)


def _value(cell: str) -> str:
    return cell.casefold().removesuffix(".0")
