"""How much rows count: rare classes more, what nobody annotated not at all."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.batch import SENTIMENTS, Float32
from engines.training.dataset import Dataset
from engines.training.taxonomy import UNKNOWN

MOST: Final = 10.0
"""No class counts more than so many times: a handful of rows would rule the tower."""


def known(labels: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Bool [n, labels]: the mask of what was annotated."""
    mask: NDArray[np.bool_] = labels != UNKNOWN
    return mask


def positive_weights(labels: NDArray[np.int8], most: float = MOST) -> Float32:
    """float32 [labels]: what a positive counts beside a negative, for a binary cross-entropy; ``labels`` int8
    [n, labels]. The root of negatives over positives, between 1 and ``most``: the full ratio makes a rare
    label cry wolf, and calibration does the rest. 1 where one class is missing.
    """
    yes, no = (labels == 1).sum(axis=0), (labels == 0).sum(axis=0)
    ratio = np.sqrt(no / np.maximum(yes, 1))
    return np.where((yes > 0) & (no > 0), ratio.clip(1.0, most), 1.0).astype(np.float32)


def sentiment_weights(sentiment: NDArray[np.int8], most: float = MOST) -> Float32:
    """float32 [3]: the weight of each sentiment, the root of its rarity, with mean 1 over the rows; 1 where
    there is none of it.
    """
    counts = np.bincount(sentiment[sentiment != UNKNOWN], minlength=len(SENTIMENTS))
    there = counts > 0
    if not there.any():
        return np.ones(len(SENTIMENTS), np.float32)
    rare = np.where(there, np.sqrt(counts.max() / np.maximum(counts, 1)), 1.0).clip(1.0, most)
    mean = float((rare * counts).sum() / counts.sum())
    return np.where(there, rare / mean, 1.0).astype(np.float32)


def taught(data: Dataset, least: int = 1) -> NDArray[np.bool_]:
    """Bool [3, labels]: what the training parts of each modality teach, with ``least`` of each class."""
    out = np.zeros((3, len(data.labels)), np.bool_)
    for m, parts in enumerate(data.parts):
        for k, name in enumerate(data.labels.names):
            said = [part.labels[name] for part in parts if part.split == "train" and name in part.labels]
            out[m, k] = min(said.count(0), said.count(1)) >= least
    return out
