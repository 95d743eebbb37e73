"""Which words carried a label: how far its logit falls when each is left out, all else as it was.

Leave-one-out as in Li, Monroe and Jurafsky, "Understanding Neural Networks through Representation Erasure"
(2016): what a word adds to the words around it, so of two that say the same neither may count for much.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np

from engines.batch import Batch, Example, Float32, Int32
from engines.engine import Engine
from engines.preprocess.pieces import Piece, grouped, pieces, without
from engines.preprocess.text import TextEncoder

LARGEST: Final = 5
"""How many words are told of, at most."""
LEAST: Final = 0.05
"""The smallest share that is told of: below it there is more noise than evidence."""


class Span(NamedTuple):
    """Code points ``start`` to ``end`` (excluded) of a text; `share` of all that its words carried."""

    start: int
    end: int
    share: float


@dataclass(frozen=True, slots=True)
class Question:
    """What carried label number `label` in the text of `example`?

    ``texts[0]`` are the text's channels, ``texts[1 + k]`` those of the text without ``pieces[k]``.
    """

    example: Example
    label: int
    pieces: Sequence[Piece]
    texts: Sequence[tuple[Int32, ...]]


def question(text: str, example: Example, label: int, encoder: TextEncoder, most: int) -> Question:
    """Leave out each word of the example's `text`, or runs of words where there are over `most`.

    What the model does not see, because it lies beyond what the encoder keeps, is not asked about.
    """
    seen, found = _seen(text, pieces(text), encoder)
    left = grouped(found, most)
    return Question(example, label, left, _texts(seen, left, encoder))


def spans(engine: Engine, questions: Sequence[Question]) -> list[list[Span]]:
    """The few largest spans of each question, largest first; [] where no word speaks for the label.

    One run of the text tower and the head for all: the media of an event are encoded once, and shown with
    every text. Raises EngineError.
    """
    batch = _batch(questions)
    rows, logits = engine.logits(batch)
    labels = np.array([each.label for each in questions])
    found = np.full(len(batch.text), -np.inf, np.float32)
    # Of several images or sounds the largest counts, as it does in the score.
    np.maximum.at(found, rows.slots[0], logits.moderation[np.arange(len(rows)), labels[rows.event]])
    ends = np.cumsum([len(each.texts) for each in questions])
    return [_largest(each, part) for each, part in zip(questions, np.split(found, ends[:-1]), strict=True)]


def _seen(text: str, found: list[Piece], encoder: TextEncoder) -> tuple[str, list[Piece]]:
    """The text as far as the encoder keeps it, and the pieces there: else each gap would let new words in."""
    whole = encoder.encode(text)
    if not whole.truncated:
        return text, found

    def enough(count: int) -> bool:
        shorter = encoder.encode(text[: found[count - 1].end])
        return all(map(np.array_equal, shorter.channels, whole.channels))

    count = 1 + bisect_left(range(1, len(found)), True, key=enough)
    return text[: found[count - 1].end] if found else text, found[:count]


def _texts(text: str, left: Sequence[Piece], encoder: TextEncoder) -> list[tuple[Int32, ...]]:
    shown = [text, *(without(text, piece) for piece in left)]
    return [encoder.encode(each).channels for each in shown]


def _batch(questions: Sequence[Question]) -> Batch:
    """One event for each question, with all its texts: the head pairs each with the event's media."""
    batch = Batch.of([each.example for each in questions])
    counts = [len(each.texts) for each in questions]
    owner = np.repeat(np.arange(len(questions), dtype=np.int32), counts)
    return replace(batch, text=[text for each in questions for text in each.texts], text_event=owner)


def _largest(question: Question, logits: Float32) -> list[Span]:
    falls = np.maximum(logits[0] - logits[1:].astype(np.float64), 0)
    total = falls.sum()
    if not 0 < total < np.inf:
        return []
    shares = (falls / total).tolist()
    told = sorted(zip(shares, question.pieces, strict=True), key=lambda each: -each[0])[:LARGEST]
    chosen = sorted(Span(*piece, share) for share, piece in told if share >= LEAST)
    return sorted(_joined(chosen), key=lambda span: -span.share)


def _joined(chosen: Sequence[Span]) -> list[Span]:
    """Spans that touch are one: runs of ideographs are cut blindly, so a word may lie in two of them."""
    found: list[Span] = []
    for span in chosen:
        if found and found[-1].end == span.start:
            span = Span(found[-1].start, span.end, found.pop().share + span.share)
        found.append(span)
    return [Span(span.start, span.end, round(min(1.0, span.share), 6)) for span in found]
