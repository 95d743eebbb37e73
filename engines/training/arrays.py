"""Parts as the arrays that training reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engines.model.logmel import LogMel
from engines.training.dataset import Dataset
from engines.training.inputs import Inputs
from engines.training.taxonomy import UNKNOWN, Part


@dataclass(frozen=True, slots=True)
class Column:
    """One modality's parts: inputs as serving makes them, and what is known of each alone.

    ``inputs`` int32 [length] for each channel | uint8 [H, W, 3] | int16 [samples]; ``sentiment`` int64 [n];
    ``labels`` int64 [n, labels]; ``factor`` int64 [n]; ``split`` str [n]; ``mels`` float16 [frames, mels]
    (sounds only: the features are fixed, so training computes them once).
    """

    inputs: Sequence[Any]
    sentiment: torch.Tensor
    labels: torch.Tensor
    factor: torch.Tensor
    split: NDArray[np.str_]
    mels: list[NDArray[np.float16]]

    def size(self, row: int) -> int:
        """How long an input is: ids of a text's first channel, or samples; alike ones go together."""
        own = self.inputs[row]
        return len(own[0] if isinstance(own, tuple) else own)


def columns(
    data: Dataset, inputs: Inputs, rate: int, mels: list[NDArray[np.float16]] | None = None
) -> tuple[Column, Column, Column]:
    """All parts of a data set with their decoded inputs; ``rate`` is the sounds' in hertz, ``mels`` their
    features where they are known or not needed (an empty list).
    """
    mels = log_mels(inputs[2], rate) if mels is None else mels
    names = data.labels.names
    texts, images, sounds = data.parts
    return (
        _column(texts, names, inputs[0], []),
        _column(images, names, inputs[1], []),
        _column(sounds, names, inputs[2], mels),
    )


def log_mels(sounds: list[NDArray[Any]], rate: int) -> list[NDArray[np.float16]]:
    """The audio tower's features of each sound, float16 [frames, mels]."""
    features = LogMel(rate)
    with torch.inference_mode():
        rows = (features(torch.from_numpy(s.astype(np.float32))[None])[0].T for s in sounds)
        return [row.numpy().astype(np.float16) for row in rows]


def pad(rows: list[NDArray[Any]], dtype: type[np.generic]) -> NDArray[Any]:
    """Rows of different lengths as one array [n, longest, …], zeros behind."""
    out = np.zeros((len(rows), max(1, *(len(r) for r in rows)), *rows[0].shape[1:]), dtype)
    for k, row in enumerate(rows):
        out[k, : len(row)] = row
    return out


def _column(
    parts: list[Part], names: tuple[str, ...], inputs: Sequence[Any], mels: list[NDArray[np.float16]]
) -> Column:
    labels = [[p.labels.get(name, UNKNOWN) for name in names] for p in parts]
    return Column(
        inputs,
        torch.tensor([p.sentiment for p in parts], dtype=torch.long),
        torch.tensor(labels, dtype=torch.long).reshape(len(parts), len(names)),
        torch.tensor([p.factor for p in parts], dtype=torch.long),
        np.array([p.split for p in parts], np.str_),
        mels,
    )
