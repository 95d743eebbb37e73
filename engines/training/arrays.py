"""Parts as the arrays that training reads, through the very preprocessing that serving uses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from engines.model.logmel import LogMel
from engines.preprocess.audio import AudioLimits, decode_audio
from engines.preprocess.image import ImageLimits, decode_image
from engines.preprocess.spec import Preprocess
from engines.preprocess.text import text_encoder
from engines.training.dataset import Dataset
from engines.training.taxonomy import NAMES, UNKNOWN, Part


@dataclass(frozen=True, slots=True)
class Column:
    """One modality's parts: inputs as serving makes them, and what is known of each alone.

    ``inputs`` int32 [length] | uint8 [H, W, 3] | int16 [samples] each; ``sentiment`` int64 [n];
    ``labels`` int64 [n, labels]; ``factor`` int64 [n]; ``split`` str [n]; ``mels`` float16 [frames, mels] each
    (sounds only: the features are fixed, so training computes them once).
    """

    inputs: list[NDArray[np.generic]]
    sentiment: torch.Tensor
    labels: torch.Tensor
    factor: torch.Tensor
    split: NDArray[np.str_]
    mels: list[NDArray[np.float16]]


def columns(data: Dataset, preprocess: Preprocess) -> tuple[Column, Column, Column]:
    """All parts of a data set, decoded and encoded."""
    encode = text_encoder(preprocess.text).encode
    texts = [encode(str(part.content)).ids for part in data.parts[0]]
    images = [decode_image(_data(p), preprocess.image, ImageLimits())[0] for p in data.parts[1]]
    sounds = [decode_audio(_data(p), preprocess.audio, AudioLimits()).samples for p in data.parts[2]]
    return (
        _column(data.parts[0], list(texts), []),
        _column(data.parts[1], list(images), []),
        _column(data.parts[2], list(sounds), log_mels(sounds, preprocess.audio.rate)),
    )


def log_mels(sounds: list[NDArray[np.int16]], rate: int) -> list[NDArray[np.float16]]:
    """The audio tower's features of each sound, float16 [frames, mels]."""
    features = LogMel(rate)
    with torch.inference_mode():
        rows = (features(torch.from_numpy(s.astype(np.float32))[None])[0].T for s in sounds)
        return [row.numpy().astype(np.float16) for row in rows]


def pad(rows: list[NDArray[np.generic]], dtype: type[np.generic]) -> NDArray[np.generic]:
    """Rows of different lengths as one array [n, longest, …], zeros behind."""
    out = np.zeros((len(rows), max(len(r) for r in rows), *rows[0].shape[1:]), dtype)
    for k, row in enumerate(rows):
        out[k, : len(row)] = row
    return out


def _column(parts: list[Part], inputs: list[NDArray[np.generic]], mels: list[NDArray[np.float16]]) -> Column:
    return Column(
        inputs,
        torch.tensor([p.sentiment for p in parts]),
        torch.tensor([[p.labels.get(name, UNKNOWN) for name in NAMES] for p in parts]),
        torch.tensor([p.factor for p in parts]),
        np.array([p.split for p in parts]),
        mels,
    )


def _data(part: Part) -> bytes:
    assert isinstance(part.content, bytes)
    return part.content
