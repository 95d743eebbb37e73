"""The fusion head over rows of towers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engines.batch import MODALITIES, Float32
from engines.combine import PRESENCE, HeadRows, Index
from engines.errors import EngineError
from engines.lanes import Lanes
from engines.sessions.base import Session
from engines.towers import at


class NotFinite(EngineError):  # noqa: N818
    """A model's answers are no numbers: the precision does not suffice, or the bundle is broken."""


@dataclass(frozen=True, slots=True)
class Logits:
    """The head's: ``sentiment`` [rows, 3], ``moderation`` [rows, labels], ``unimodal`` [rows, 3, 3].

    ``severity`` [rows, labels] is the logit of grade ÷ 7, None where the head gives none.
    """

    sentiment: Float32
    moderation: Float32
    unimodal: Float32
    severity: Float32 | None = None

    @property
    def polarity(self) -> Float32:
        """Float32 [rows]: positive minus negative."""
        return self.sentiment[:, 2] - self.sentiment[:, 0]


class Head:
    """Runs the head over rows, so many at a time; `shapes` are (tokens, width) of each tower."""

    def __init__(
        self, session: Session, shapes: Sequence[tuple[int, int]], rows: int, lanes: Lanes | None = None
    ) -> None:
        self._session, self._rows, self._lanes = session, rows, lanes or Lanes(1)
        self._absent = [np.zeros((rows, *shape), dtype=np.float32) for shape in shapes]

    def run(self, parts: Sequence[HeadRows], tokens: Sequence[Float32]) -> list[Logits]:
        """Logits of each part, over the towers' rows `tokens`; raises EngineError naming the events."""
        rows = HeadRows(
            np.concatenate([p.slots for p in parts], axis=1),
            np.concatenate([p.pattern for p in parts]),
            np.concatenate([p.event for p in parts]),
        )
        cuts = [slice(start, start + self._rows) for start in range(0, len(rows), self._rows)]
        parted = [HeadRows(rows.slots[:, cut], rows.pattern[cut], rows.event[cut]) for cut in cuts]
        chunks = self._lanes.map(lambda chunk: self._chunk(chunk, tokens), parted)
        joined = chunks[0] if len(chunks) == 1 else _join(chunks)
        _check_finite(joined, rows)
        ends = np.cumsum([len(p) for p in parts])
        return [_cut(joined, slice(end - len(p), end)) for p, end in zip(parts, ends, strict=True)]

    def nothing(self) -> Logits:
        """Logits of an empty event, one row."""
        return self._infer([absent[:1] for absent in self._absent], PRESENCE[:1])

    def _chunk(self, rows: HeadRows, tokens: Sequence[Float32]) -> Logits:
        slots = [
            _pick(tokens[m], rows.slots[m]) if len(tokens[m]) else self._absent[m][: len(rows)]
            for m in range(3)
        ]
        try:
            return self._infer(slots, rows.presence())
        except EngineError as error:
            raise at(error, rows.event) from error

    def _infer(self, slots: Sequence[Float32], presence: Float32) -> Logits:
        inputs = dict(zip(MODALITIES, slots, strict=True)) | {"presence": presence}
        outputs = self._session.run(inputs)
        sentiment = outputs["sentiment"]
        # A bundle without labels has no such output: not every backend computes with arrays of no width.
        moderation = outputs.get("moderation", sentiment[:, :0])
        return Logits(sentiment, moderation, outputs["unimodal"], outputs.get("severity"))


def _pick(tokens: Float32, slots: Index) -> Float32:
    """The rows `slots` of `tokens`; where a slot points past the end its modality isn't shown."""
    if slots[0] + len(slots) <= len(tokens) and (np.diff(slots) == 1).all():
        return tokens[slots[0] : slots[0] + len(slots)]  # all there and in order: no copy
    return tokens.take(slots, axis=0, mode="clip")


def _join(parts: Sequence[Logits]) -> Logits:
    grades = [p.severity for p in parts if p.severity is not None]
    return Logits(
        np.concatenate([p.sentiment for p in parts]),
        np.concatenate([p.moderation for p in parts]),
        np.concatenate([p.unimodal for p in parts]),
        np.concatenate(grades) if grades else None,
    )


def _cut(logits: Logits, rows: slice) -> Logits:
    grades = None if logits.severity is None else logits.severity[rows]
    return Logits(logits.sentiment[rows], logits.moderation[rows], logits.unimodal[rows], grades)


def _check_finite(logits: Logits, rows: HeadRows) -> None:
    columns = (logits.sentiment, logits.moderation, logits.severity)
    table = np.concatenate([column for column in columns if column is not None], axis=1)
    seen = rows.presence()[:, :, None] > 0
    unimodal = np.where(seen, logits.unimodal, 0).reshape(len(table), -1)
    good = np.isfinite(table).all(axis=1) & np.isfinite(unimodal).all(axis=1)
    if not good.all():
        events = tuple(np.unique(rows.event[~good]).tolist())
        raise NotFinite(
            "The model gave numbers that are not finite",
            why=f"{len(events)} of the batch's events are affected",
            remedy="Score the others without them, and keep these for whoever trained the bundle",
            events=events,
        )
