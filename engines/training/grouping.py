"""Groups of rows that must not be parted: what shares a medium, a text, or a group that the file names."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Final

from engines.training.rows import Row

LONGEST: Final = 64
"""Characters of a group's name; longer ones are known by their digest."""
_TELLING: Final = 12
"""Characters that make a text beside a medium worth grouping by: a "yes" is said in every clip."""


class Union:
    """Disjoint sets of the numbers below ``count``; the smallest member stands for its set."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def find(self, k: int) -> int:
        """Who stands for the set of ``k``."""
        root = k
        while self._parent[root] != root:
            root = self._parent[root]
        while self._parent[k] != root:
            self._parent[k], k = root, self._parent[k]
        return root

    def join(self, a: int, b: int) -> None:
        """Make the sets of ``a`` and ``b`` one."""
        low, high = sorted((self.find(a), self.find(b)))
        self._parent[high] = low


def name_groups(rows: Sequence[Row], near: Iterable[tuple[int, int]] = ()) -> None:
    """Give every row the name of its group: rows are together that share a group's name, a medium or a text,
    and those that ``near`` pairs by their numbers. The first name in a group wins.
    """
    sets = Union(len(rows))
    first: dict[Hashable, int] = {}
    for k, row in enumerate(rows):
        for key in _keys(row):
            sets.join(first.setdefault(key, k), k)
    for a, b in near:
        sets.join(a, b)
    names: dict[int, str] = {}
    for k, row in enumerate(rows):
        if row.group:
            names.setdefault(sets.find(k), row.group)
    for k, row in enumerate(rows):
        root = sets.find(k)
        name = names.get(root) or names.setdefault(root, digest("\0".join(map(str, _keys(rows[root])))))
        row.group = name if len(name) <= LONGEST else digest(name)


def plain(text: str) -> str:
    """A text for comparing: without differences of case and space."""
    return " ".join(text.split()).casefold()


def digest(value: str | bytes) -> str:
    """16 hexadecimal digits."""
    data = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
    return blake2b(data, digest_size=8).hexdigest()


def _keys(row: Row) -> list[tuple[str, str]]:
    out = [("group", row.group)] if row.group else []
    for name, content in row.content.items():
        if isinstance(content, bytes):
            out.append((name, digest(content)))
        elif isinstance(content, Path):
            out.append((name, str(content)))
        elif telling(row):
            out.append((name, plain(content)))
    return out or [("where", row.where)]


def telling(row: Row) -> bool:
    """Whether the row has a text to be grouped by."""
    text = row.content.get("text")
    return isinstance(text, str) and (len(row.content) == 1 or len(text) >= _TELLING)
