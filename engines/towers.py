"""The three towers: each runs only on the rows that have its modality, in micro-batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engines.batch import Batch, Float32, Int32
from engines.errors import DeviceLost, EngineError, OutOfMemory
from engines.lanes import Lanes
from engines.planner import Budget, Index, plan_audio, plan_rows, plan_text, useful_ratio
from engines.sessions.base import Arrays, Session


class Towers:
    """Runs towers over the rows of a batch; `useful_token_ratio` tells of the last one.

    One after the other, each on all lanes; or, `side_by_side`, micro-batches of all of them in turn.
    """

    def __init__(
        self,
        sessions: Sequence[Session],
        shapes: Sequence[tuple[int, int]],
        budget: Budget,
        lanes: Lanes | None = None,
        channels: Sequence[str] = ("ids",),
        planned: int = 1,
        side_by_side: bool = False,
    ) -> None:
        self._lanes, self._side_by_side = lanes or Lanes(1), side_by_side
        self._channels, self._planned = channels, planned
        self._text, self._image, self._audio = sessions
        self._shapes = shapes
        self._budget = budget
        self.useful_token_ratio = 1.0

    def run(self, batch: Batch) -> tuple[Float32, Float32, Float32]:
        """Tokens of all text, image and audio rows: float32 [rows, K, D] each, in the batch's order."""
        text, images, audio = self._text_work(batch), self._image_work(batch), self._audio_work(batch)
        if self._side_by_side:
            # The dearest first, so that none of them is left for the end alone.
            self._lanes.map(_Micro.go, list(_in_turn(audio, images, text)))
        else:
            for work in (text, images, audio):
                self._lanes.map(work.run, work.plan)
        return text.tokens, images.tokens, audio.tokens

    def _text_work(self, batch: Batch) -> _Work:
        tokens = np.empty((len(batch.text), *self._shapes[0]), dtype=np.float32)
        columns = [_Column.of([row[c] for row in batch.text]) for c in range(len(self._channels))]
        # The costly channels come first: the others follow their order.
        lengths = np.stack([own.lengths for own in columns[: self._planned]], axis=1)
        plan = plan_text(lengths, self._budget.tokens)
        self.useful_token_ratio = useful_ratio(lengths, plan)

        def run(rows: Index) -> None:
            ids = {name: own.padded(rows) for name, own in zip(self._channels, columns, strict=True)}
            tokens[rows] = _tokens(self._text, ids, batch.text_event[rows])

        return _Work(run, plan, tokens)

    def _image_work(self, batch: Batch) -> _Work:
        tokens = np.empty((len(batch.images), *self._shapes[1]), dtype=np.float32)

        def run(rows: Index) -> None:
            pixels = np.stack([batch.images[k] for k in rows])
            tokens[rows] = _tokens(self._image, {"pixels": pixels}, batch.image_event[rows])

        return _Work(run, plan_rows(len(batch.images), self._budget.image_rows), tokens)

    def _audio_work(self, batch: Batch) -> _Work:
        tokens = np.empty((len(batch.audio), *self._shapes[2]), dtype=np.float32)
        lengths = sizes(batch.audio)

        def run(rows: Index) -> None:
            samples = np.zeros((len(rows), max(1, int(lengths[rows].max()))), dtype=np.float32)
            for row, k in zip(samples, rows, strict=True):  # few and long: one copy each
                row[: lengths[k]] = batch.audio[k]
            inputs = {"samples": samples, "lengths": lengths[rows]}
            tokens[rows] = _tokens(self._audio, inputs, batch.audio_event[rows])

        return _Work(run, plan_audio(lengths, self._budget.audio_seconds, self._budget.rate), tokens)


def sizes(rows: Sequence[NDArray[Any]]) -> Int32:
    """The length of each row, int32 [rows]."""
    return np.fromiter(map(len, rows), np.int32, len(rows))


class _Work(NamedTuple):
    """One tower's part of a batch: `run` fills the rows of a micro-batch in `tokens`."""

    run: Callable[[Index], None]
    plan: list[Index]
    tokens: Float32


class _Micro(NamedTuple):
    """One micro-batch of one tower."""

    run: Callable[[Index], None]
    rows: Index

    def go(self) -> None:
        self.run(self.rows)


def _in_turn(*works: _Work) -> Iterator[_Micro]:
    """A micro-batch of each tower, then another of each, until none is left."""
    for turn in zip_longest(*([_Micro(work.run, rows) for rows in work.plan] for work in works)):
        yield from (micro for micro in turn if micro is not None)


class _Column(NamedTuple):
    """One channel of all texts: their ids in one array that ends in a zero, and where each text's begin."""

    flat: Int32
    starts: Index
    lengths: Int32

    @classmethod
    def of(cls, rows: Sequence[Int32]) -> _Column:
        lengths = sizes(rows)
        flat = np.concatenate([*rows, np.zeros(1, np.int32)])
        return cls(flat, np.cumsum(lengths, dtype=np.intp) - lengths, lengths)

    def padded(self, rows: Index) -> Int32:
        """[rows, longest]: the ids of some texts, padded with zeros."""
        starts, lengths = self.starts[rows], self.lengths[rows]
        columns = np.arange(max(1, int(lengths.max())))
        return self.flat[np.where(columns < lengths[:, None], starts[:, None] + columns, len(self.flat) - 1)]


def _tokens(session: Session, inputs: Arrays, events: Int32) -> Float32:
    try:
        return session.run(inputs)["tokens"]
    except EngineError as error:
        raise at(error, events) from error


def at(error: EngineError, events: NDArray[Any]) -> EngineError:
    """The same error, naming the events whose rows were being run: for a GPU's own trouble nobody's."""
    kind = next((kind for kind in (DeviceLost, OutOfMemory) if isinstance(error, kind)), None)
    return (kind or EngineError)(
        error.what,
        where=error.where,
        why=error.why,
        remedy=error.remedy,
        events=() if kind else tuple(np.unique(events).tolist()),
    )
