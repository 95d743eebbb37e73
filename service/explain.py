"""The words behind decisions, for flagged events only and where the configuration asks for them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from engines.batch import Example
from engines.engine import Engine
from engines.preprocess.text import TextEncoder
from engines.spans import Question, Span, question, spans

log = logging.getLogger(__name__)

TEXTS: Final = 2048  # in one run: what its tokens take stays small beside a cycle's


@dataclass(frozen=True, slots=True)
class Flagged:
    """An event that label number `label` of the bundle had flagged, and its text as received."""

    text: str
    example: Example
    label: int


@dataclass(slots=True)
class Explained:
    """Spans by the number of the event; `faults` are the types of errors that cost others theirs."""

    spans: dict[int, list[Span]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


class Explainer:
    """Asks the engine about the words of texts; used by the engine's thread.

    It leaves out at most `words` of a text in turn, which lie in its first `chars` code points.
    """

    def __init__(self, engine: Engine, encoder: TextEncoder, words: int, chars: int) -> None:
        self._engine, self._encoder = engine, encoder
        self._words, self._chars = words, chars

    def explain(self, flagged: Mapping[int, Flagged], alive: Callable[[], None] = lambda: None) -> Explained:
        """The spans of all that can be explained; what cannot costs its own spans, and never a score.

        `alive` is called after each run.
        """
        found = Explained()
        for part in _parts(flagged, self._words + 1):
            self._answer(part, found)
            alive()
        return found

    def _answer(self, part: Mapping[int, Flagged], found: Explained) -> None:
        try:
            answers = spans(self._engine, [self._question(each) for each in part.values()])
        except Exception as error:  # noqa: BLE001 - whatever goes wrong, the scores are made and must not go
            if len(part) > 1:  # one of them is to blame, or the engine
                for k, each in part.items():
                    self._answer({k: each}, found)
                return
            found.faults.append(type(error).__name__)
            # Without its message, which may hold the text.
            log.warning("a score goes without the words that carried it: %s", type(error).__name__)
        else:
            found.spans.update(zip(part, answers, strict=True))

    def _question(self, flagged: Flagged) -> Question:
        text = flagged.text[: self._chars]
        return question(text, flagged.example, flagged.label, self._encoder, self._words)


def _parts(flagged: Mapping[int, Flagged], texts: int) -> Iterator[Mapping[int, Flagged]]:
    """As many at a time as stay within TEXTS, if each brings so many texts."""
    numbers, step = list(flagged), max(1, TEXTS // texts)
    for start in range(0, len(numbers), step):
        yield {k: flagged[k] for k in numbers[start : start + step]}
