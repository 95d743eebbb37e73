"""Measures of fusion: what is lost when modalities may only add up, and which of them carried an answer.

They see a model as a function from events (int32 [n, 3], rows of parts, -1 = absent) to logits float32 [n].
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from engines import shapley
from engines.batch import Float32
from engines.training.metrics import auroc

Rows = NDArray[np.int32]
Answer = Callable[[Rows], Float32]
Float64 = NDArray[np.float64]


def shown(rows: Rows, modalities: int) -> Rows:
    """The events with only the modalities of a bitmask."""
    return np.where([modalities >> m & 1 == 1 for m in range(3)], rows, -1).astype(np.int32)


def additive(answer: Answer, rows: Rows) -> Float64:
    """The empirical multimodally-additive projection of the answers to events of a text and an image (EMAP:
    Hessel & Lee, EMNLP 2020): what the model would say if text and image could only add up. Float64 [n].
    """
    count = len(rows)
    text, image = np.divmod(np.arange(count * count), count)
    pairs = np.full((count * count, 3), -1, np.int32)
    pairs[:, 0], pairs[:, 1] = rows[text, 0], rows[image, 1]
    table = answer(pairs).astype(np.float64).reshape(count, count)
    return np.asarray(table.mean(axis=1) + table.mean(axis=0) - table.mean())


def additive_gap(answer: Answer, rows: Rows, truth: NDArray[np.integer]) -> float:
    """AUROC that is lost under the additive projection; ``rows`` hold a text and an image each."""
    return auroc(truth, answer(rows)) - auroc(truth, additive(answer, rows))


def flips(answer: Answer, rows: Rows, families: NDArray[np.integer], seed: int = 0) -> float:
    """The share of events whose decision flips where only the image is swapped, for one of the other family;
    ``families`` [events] holds each image's, 0 or 1.
    """
    random, swapped = np.random.default_rng(seed), rows.copy()
    for family in (0, 1):
        own = families == family
        swapped[own, 1] = random.choice(rows[families == 1 - family, 1], int(own.sum()))
    return float(((answer(rows) > 0) != (answer(swapped) > 0)).mean())


def within(truth: NDArray[np.integer], score: Float32, presence: NDArray[np.uint8]) -> float:
    """AUROC among events of the same modalities: the chance that of two such events, one with the label and
    one without, the first has the higher ``score``; NaN without such a pair.
    """
    patterns = [presence == p for p in np.unique(presence)]
    pairs = np.array([truth[own].sum() * (1 - truth[own]).sum() for own in patterns], np.float64)
    found = [auroc(truth[own], score[own]) for own in patterns]
    return float(np.nansum(pairs * found) / pairs.sum()) if pairs.any() else float("nan")


def shares(answer: Answer, rows: Rows) -> Float64:
    """float64 [n, 3]: exact Shapley shares of each modality in the answer, 0 where it is absent."""
    patterns = np.stack([answer(shown(rows, p)) for p in range(8)], axis=1)
    presence = ((rows >= 0) << np.arange(3)).sum(axis=1)
    found = [
        shapley.shares(own, int(p) & 7) if p else (0.0, 0.0, 0.0)
        for own, p in zip(patterns, presence, strict=True)
    ]
    return np.array([[s or 0.0 for s in each] for each in found], np.float64).reshape(len(rows), 3)


def probe(learnt: Float32, truth: NDArray[np.integer], asked: Float32) -> Float64:
    """The best a linear reader of one modality's tokens [n, features] can do: ridge regression on ``truth``
    (0/1 [n]), applied to ``asked`` [m, features].
    """
    middle, scale = learnt.mean(axis=0), learnt.std(axis=0) + 1e-6
    x = (learnt - middle) / scale
    weights = np.linalg.solve(x.T @ x + len(x) * 0.01 * np.eye(x.shape[1]), x.T @ (truth - truth.mean()))
    return np.asarray(((asked - middle) / scale) @ weights, np.float64)
