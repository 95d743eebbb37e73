"""Tables that judge: a header, then a line each, tabs between; a broken line is named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from engines.errors import EngineError

Line = TypeVar("Line")


def read(
    path: Path, columns: Sequence[str], parse: Callable[[list[str]], Line | None], what: str, remedy: str
) -> list[Line]:
    """What ``parse`` makes of the cells of each line; raises EngineError where that is None."""
    lines = path.read_text("utf-8").split("\n")
    if lines[0].split("\t") != list(columns):
        raise _bad(path, 1, lines[0], what, f"Begin with a line of {', '.join(columns)}, tabs between")
    found = []
    for number, line in enumerate(lines[1:], 2):
        cells = line.split("\t")
        if not line:
            continue
        made = parse(cells) if len(cells) == len(columns) and all(cells) else None
        if made is None:
            raise _bad(path, number, line, what, remedy)
        found.append(made)
    return found


def _bad(path: Path, number: int, line: str, what: str, remedy: str) -> EngineError:
    why = f"it reads {line[:80]!r}"
    return EngineError(f"This is no {what}", where=f"{path}, line {number}", why=why, remedy=remedy)
