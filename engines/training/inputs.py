"""Parts as model inputs, through the very preprocessing that serving uses, and events as examples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.batch import Batch, Example, Int32
from engines.preprocess.spec import Preprocess
from engines.preprocess.text import text_encoder
from engines.training import media
from engines.training.dataset import Dataset, Events

Inputs = tuple[list[tuple[Int32, ...]], list[NDArray[Any]], list[NDArray[Any]]]
"""For each part: ids int32 [length] of each channel, pixels uint8 [H, W, 3], samples int16 [n]."""


def decode(data: Dataset, preprocess: Preprocess) -> Inputs:
    """All parts of a data set, encoded and decoded; raises EngineError that names what cannot be decoded."""
    encode = text_encoder(preprocess.text).encode
    texts, images, sounds = data.parts
    return (
        [encode(str(part.content)).channels for part in texts],
        media.pixels(images, preprocess.image),
        media.samples(sounds, preprocess.audio),
    )


def batches(inputs: Inputs, events: Events, shown: int = 7, rows: int = 256) -> Iterator[Batch]:
    """The events in order, so many at a time; only modalities whose bit is in ``shown`` are there."""
    for start in range(0, len(events), rows):
        yield Batch.of([example(inputs, row, shown) for row in events.rows[start : start + rows]])


def example(inputs: Inputs, row: NDArray[np.int32], shown: int = 7) -> Example:
    """One event, a row of `Events.rows`, with the modalities whose bit is in ``shown``."""
    text, image, audio = (int(k) if shown >> m & 1 else -1 for m, k in enumerate(row))
    return Example(
        inputs[0][text] if text >= 0 else None,
        [inputs[1][image]] if image >= 0 else [],
        [inputs[2][audio]] if audio >= 0 else [],
    )
