"""Tables as people have them: comma or tab, UTF-8 or GB 18030, quoted line ends, headers in any case."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from engines.errors import EngineError
from engines.training.loaders.options import Options
from engines.training.rows import Journal, RowError

SUFFIXES: Final = (".csv", ".tsv", ".txt")
_SPLIT: Final = re.compile(r"(?:^|[_\-. ])(train|training|dev|val|valid|validation|test)(?=$|[_\-. \d])")
_FEW: Final = 20  # broken bytes are one in so many at most, or the encoding is another
_ODD: Final = "\ufffd"
_IDEOGRAPHS: Final = re.compile("[\u4e00-\u9fff]")

csv.field_size_limit(1 << 24)


class Line(NamedTuple):
    """One row of a table: the file and line it begins at, and its cells by column."""

    where: str
    cells: Mapping[str, str]


def files(path: Path, suffixes: tuple[str, ...] = SUFFIXES) -> list[tuple[Path, str]]:
    """The files of a path with their splits: of a folder all, each with the split that its name tells; a file
    that was named itself has none, so that its rows are divided.
    """
    if not path.is_dir():
        return [(path, "")]
    found = sorted(p for p in path.iterdir() if p.suffix.lower() in suffixes and p.is_file())
    return [(p, split_of_name(p.stem)) for p in found]


def split_of_name(stem: str) -> str:
    """The split that a file's name tells, as in ``dev_seen`` or ``train``; else nothing."""
    match = _SPLIT.search(stem.lower())
    return match[1] if match else ""


def header(path: Path) -> tuple[str, ...]:
    """The columns of a table in small letters; none where it is no table. Never raises for what it finds."""
    if path.suffix.lower() not in SUFFIXES or not path.is_file():
        return ()
    with path.open("rb") as file:
        start = file.readline(1 << 16)
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = start.decode("utf-16", "replace").strip(_ODD)
    else:
        text = start.decode("utf-8", "replace")
        text = start.decode("gb18030", "replace") if _ODD in text else text
    return _columns(_first(text.replace("\0", "")))


def lines(file: Path, options: Options, journal: Journal, quoted: bool = True) -> Iterator[Line]:
    """The rows of a table; rows with too few or too many cells go to the journal. Raises EngineError."""
    text = read(file, options.encoding)
    first = _first(text)
    names = _columns(first)
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=_delimiter(first),
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        strict=quoted,
    )
    next(reader, None)
    while True:
        where = f"{file}, line {reader.line_num + 1}"
        with journal.row(where):
            try:
                cells = next(reader, None)
            except csv.Error as error:
                raise RowError(
                    f"its quotes are broken ({error})", 'Write a quote within quotes as ""'
                ) from error
            if cells is None:
                return
            if cells:
                yield Line(where, _cells(names, cells))


def _cells(names: tuple[str, ...], cells: list[str]) -> Mapping[str, str]:
    while len(cells) > len(names) and not cells[-1].strip():
        cells = cells[:-1]
    if len(cells) != len(names):
        raise RowError(
            f"it has {len(cells)} cells, the header has {len(names)}",
            "Put texts that hold separators into quotes",
        )
    if any(_ODD in cell for cell in cells):
        raise RowError("it holds bytes that are no text", "Name the encoding, or mend the row")
    return {name: cell.strip() for name, cell in zip(names, cells, strict=True)}


def read(file: Path, encoding: str = "", trials: tuple[str, ...] = ("utf-8", "gb18030")) -> str:
    """A file's text in ``encoding``, else in the first of ``trials`` that (nearly) fits; what doesn't fit in
    it is U+FFFD. Raises EngineError where none fits.
    """
    data = file.read_bytes()
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        trials = ("utf-16",)
    high = len(data.translate(None, bytes(range(128))))
    for name in (encoding,) if encoding else trials:
        try:
            text = data.removeprefix(b"\xef\xbb\xbf").decode(name, "replace")
        except LookupError as error:
            raise EngineError(
                "There is no such encoding", where=encoding, remedy="Use utf-8 or gb18030"
            ) from error
        if encoding or text.count(_ODD) * _FEW <= high:
            return text.replace("\0", "")
    raise EngineError(
        "A file is in no encoding that we try", where=str(file), why=f"neither {' nor '.join(trials)} fits",
        remedy="Save it as UTF-8, or name its encoding",
    )  # fmt: skip


def column(names: tuple[str, ...], known: tuple[str, ...]) -> str:
    """The first of ``known`` that is among the columns, else nothing."""
    return next((name for name in known if name in names), "")


def language(text: str, other: str) -> str:
    """``zh`` where a text holds Chinese characters, else ``other``."""
    return "zh" if _IDEOGRAPHS.search(text) else other


def _columns(line: str) -> tuple[str, ...]:
    cells = next(csv.reader([line], delimiter=_delimiter(line)), [])
    return tuple(cell.strip().strip("\ufeff").casefold() for cell in cells)


def _first(text: str) -> str:
    return re.split(r"[\r\n]", text, maxsplit=1)[0]


def _delimiter(line: str) -> str:
    return max("\t,;", key=line.count) if any(mark in line for mark in "\t,;") else ","
