"""Files and standard input as records, for `score`: JSON lines, one JSON document, text, or media."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from mimetypes import guess_type
from pathlib import Path
from typing import IO, Final

from engines.preprocess.sniff import sniff
from service.cli.beside import with_media
from service.cli.console import say
from service.errors import DataError
from service.record import Stored

LINES: Final = frozenset({".jsonl", ".ndjson", ".json"})
STRANGE: Final = (
    "neither JSON lines nor JPEG, PNG, WebP, GIF, WAV, FLAC, OGG or MP3 by its first bytes. "
    "Name JSON lines .jsonl and plain text .txt"
)
BOM: Final = b"\xef\xbb\xbf"
HEAD: Final = 64
STDIN: Final = "stdin"


def records(
    paths: Iterable[Path], largest: int, advance: Callable[[int], None] = lambda size: None
) -> Iterator[Stored]:
    """Each event of the files in order; `-` is standard input. `advance` hears of the bytes read.

    A record's place is (file, 0, line from 0). No record is longer than `largest` + 1 bytes, media by path
    included: the intake refuses what is cut, and what is no known kind of file. Raises DataError for a file
    that cannot be read.
    """
    for path in paths:
        if str(path) == "-":
            yield from _lines(sys.stdin.buffer, STDIN, largest, advance)
            continue
        try:
            with path.open("rb") as file:
                yield from _file(file, path, largest, advance)
        except OSError as error:
            raise DataError(
                "a file cannot be read", where=str(path), why=error.strerror or str(error)
            ) from error


def _file(file: IO[bytes], path: Path, largest: int, advance: Callable[[int], None]) -> Iterator[Stored]:
    head = file.read(HEAD)
    file.seek(0)
    media_type, suffix = sniff(head), path.suffix.lower()
    opens = head.removeprefix(BOM).lstrip()[:1] == b"{"
    if media_type is None and (suffix in LINES or (suffix != ".txt" and opens)):
        if suffix == ".json" and (whole := _document(file, largest)) is not None:
            yield _record(str(path), 0, with_media(whole, path.parent, largest), None)
            advance(len(whole))
            return
        yield from _lines(file, str(path), largest, advance, path.parent)
        return
    if media_type is None and suffix == ".txt":
        media_type = "text/plain"
    elif media_type is None:  # an error in its place, as for a record of that kind; the other files go on
        media_type = guess_type(path.name)[0] or "application/octet-stream"
        say(f"{path}: {STRANGE}")
    value = file.read(largest + 1)
    yield _record(str(path), 0, value, media_type)
    advance(len(value))


def _document(file: IO[bytes], largest: int) -> bytes | None:
    """The whole file where it is one JSON document over several lines; else None, and the file rewound."""
    first = file.readline(largest + 1)
    rest = file.read(largest + 1 - len(first))
    file.seek(0)
    alone = first.rstrip().endswith(b"}")
    return None if alone or len(first) + len(rest) > largest else first + rest


def _lines(
    file: IO[bytes], name: str, largest: int, advance: Callable[[int], None], folder: Path | None = None
) -> Iterator[Stored]:
    """Each line; media by path are read from beside a file, never for standard input."""
    number = 0
    while line := file.readline(largest + 1):
        advance(len(line))
        cut = not line.endswith(b"\n") and len(line) > largest
        if line.strip():
            whole = line if cut else line.rstrip(b"\r\n")
            yield _record(name, number, whole if folder is None else with_media(whole, folder, largest), None)
        while cut:
            rest = file.readline(1 << 20)
            advance(len(rest))
            cut = bool(rest) and not rest.endswith(b"\n")
        number += 1


def _record(name: str, line: int, value: bytes, media_type: str | None) -> Stored:
    headers = () if media_type is None else (("content-type", media_type.encode()),)
    return Stored(name, 0, line, int(time.time() * 1000), None, value, headers)
