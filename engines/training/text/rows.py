"""Texts with what is known of each: soft targets, and how much they count."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

LABELS: Final = (
    "harassment",
    "hate",
    "violence",
    "self_harm",
    "illicit/drugs",
    "illicit/fraud",
    "spam/ads",
    "profanity",
)
"""The labels that text alone can carry."""
NEGATIVE, NEUTRAL, POSITIVE = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
Sentiment = tuple[float, float, float]


@dataclass(slots=True)
class Row:
    """One text. ``sentiment`` sums to 1, None = unknown; ``labels`` hold what is known, as probabilities;
    ``weak`` names labels that are most likely 0 though nobody looked; ``weight`` scales the row's loss;
    ``topic`` is what the text is about, where its source says so.
    """

    text: str
    source: str
    lang: str
    sentiment: Sentiment | None = None
    labels: dict[str, float] | None = None
    weak: tuple[str, ...] = ()
    weight: float = 1.0
    topic: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows as arrays: ``sentiment`` float32 [n, 3] and ``labels`` float32 [n, 8] hold targets,
    ``sentiment_weight`` [n] and ``label_weight`` [n, 8] what each counts (0 = unknown).
    """

    texts: list[str]
    source: NDArray[np.str_]
    lang: NDArray[np.str_]
    sentiment: Float32
    sentiment_weight: Float32
    labels: Float32
    label_weight: Float32

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def digest(self) -> str:
        """SHA-256 over texts, targets and weights."""
        total = hashlib.sha256("\0".join(self.texts).encode("utf-8", "surrogatepass"))
        for name in self.__slots__[3:]:
            total.update(getattr(self, name).tobytes())
        return total.hexdigest()


WEAK: Final = 0.15
"""What an unlooked-at zero counts beside an annotated one."""


def table(rows: Sequence[Row]) -> Table:
    """The arrays of ``rows``."""
    sentiment, labels = np.zeros((len(rows), 3), np.float32), np.zeros((len(rows), len(LABELS)), np.float32)
    sentiment_weight, label_weight = np.zeros(len(rows), np.float32), np.zeros_like(labels)
    for k, row in enumerate(rows):
        if row.sentiment is not None:
            sentiment[k], sentiment_weight[k] = row.sentiment, row.weight
        for label in row.weak:
            label_weight[k, LABELS.index(label)] = WEAK * row.weight
        for label, chance in (row.labels or {}).items():
            column = LABELS.index(label)
            labels[k, column], label_weight[k, column] = chance, row.weight
    return Table(
        [row.text for row in rows],
        np.array([row.source for row in rows]),
        np.array([row.lang for row in rows]),
        sentiment,
        sentiment_weight,
        labels,
        label_weight,
    )


def joined(tables: Iterable[Table]) -> Table:
    """All rows of several tables."""
    parts = list(tables)
    return Table(
        [text for part in parts for text in part.texts],
        *(np.concatenate([getattr(part, name) for part in parts]) for name in Table.__slots__[1:]),
    )
