"""Training inputs made anew from disturbed parts: what a row looks like this time."""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: no-warn-return-any

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.random import Generator

from engines.preprocess.spec import Preprocess
from engines.preprocess.text import text_encoder
from engines.training.arrays import log_mels
from engines.training.augment import disturb_image, disturb_sound, disturb_text
from engines.training.taxonomy import Part

Renew = Callable[[int, Generator], Any]
"""A row's input this time, or None where it stays as it is."""
SOUNDS: Final = 0.5
"""How many sounds are disturbed in an epoch: each needs its features anew."""


def renewing(
    modality: str, parts: Sequence[Part], inputs: Sequence[Any], preprocess: Preprocess, mels: bool
) -> Renew:
    """For one modality's parts and their inputs; ``mels``: a sound's input is its features."""
    if modality == "image":
        return lambda row, random: disturb_image(inputs[row], random)
    if modality == "audio":
        return lambda row, random: _sound(inputs[row], random, preprocess, mels)
    encode = text_encoder(preprocess.text).encode

    def text(row: int, random: Generator) -> Any:
        before = str(parts[row].content)
        after = disturb_text(before, random)
        return None if after == before else encode(after).channels

    return text


def _sound(samples: Any, random: Generator, preprocess: Preprocess, mels: bool) -> Any:
    if random.random() >= SOUNDS:
        return None
    made = disturb_sound(samples, preprocess.audio.rate, random, preprocess.audio.samples)
    if not len(made):
        return None
    return log_mels([made], preprocess.audio.rate)[0] if mels else np.asarray(made, np.int16)
