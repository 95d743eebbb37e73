"""How long work tells of itself: lines, and bars where somebody watches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

_Item = TypeVar("_Item")
Advance = Callable[[int], None]
Bar = Callable[[str, int | None], AbstractContextManager[Advance]]


def _silent(_what: str, _total: int | None) -> AbstractContextManager[Advance]:
    return nullcontext(lambda _steps: None)


def _mute(_text: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Watch:
    """``log`` takes lines; ``bar(what, total)`` is a context that yields `advance(steps)`."""

    log: Callable[[str], None] = _mute
    bar: Bar = _silent

    def __call__(self, text: str) -> None:
        """One line."""
        self.log(text)

    def over(self, items: Iterable[_Item], what: str, total: int) -> Iterator[_Item]:
        """The items, with a bar that grows by each."""
        with self.bar(what, total) as advance:
            for item in items:
                yield item
                advance(1)


def watching(log: Callable[[str], None]) -> Watch:
    """A watch of something that only takes lines; a watch is itself."""
    return log if isinstance(log, Watch) else Watch(log)
