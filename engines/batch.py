"""The only types that cross between the service and the engines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

MODALITIES: Final = ("text", "image", "audio")
"""Presence bit ``1 << k`` stands for ``MODALITIES[k]``."""

SENTIMENTS: Final = ("negative", "neutral", "positive")
"""The order of every sentiment axis."""

Int32 = NDArray[np.int32]
Float32 = NDArray[np.float32]
UInt8 = NDArray[np.uint8]
Int16 = NDArray[np.int16]


@dataclass(slots=True)
class Example:
    """One event, prepared for a model: what training and serving both see.

    ``text`` int32 [length] ids, one array for each channel of the bundle's text encoder, or None; ``images``
    uint8 [height, width, 3] each, one for a still image, several for the frames of one; ``audio`` int16
    [samples] mono at the bundle's rate, each.
    """

    text: tuple[Int32, ...] | None = None
    images: list[UInt8] = field(default_factory=list)
    audio: list[Int16] = field(default_factory=list)

    @property
    def presence(self) -> int:
        """The modalities that are here, as bits in the order of `MODALITIES`."""
        return (self.text is not None) | (bool(self.images) << 1) | (bool(self.audio) << 2)


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one cycle, grouped by modality; ``*_event`` says whose row it is.

    ``presence`` uint8 [events]; ``text`` list of one int32 [length] for each channel; ``images`` list of
    uint8 [H, W, 3]; ``audio`` list of int16 [samples]; the ``*_event`` arrays are int32 and ascending.
    """

    presence: UInt8
    text: list[tuple[Int32, ...]]
    text_event: Int32
    images: list[UInt8]
    image_event: Int32
    audio: list[Int16]
    audio_event: Int32

    def __len__(self) -> int:
        return len(self.presence)

    @classmethod
    def of(cls, examples: Sequence[Example]) -> Batch:
        """Collect examples; event ``k`` of the batch is ``examples[k]``."""
        return cls(
            presence=np.array([e.presence for e in examples], dtype=np.uint8),
            text=[e.text for e in examples if e.text is not None],
            text_event=np.array([k for k, e in enumerate(examples) if e.text is not None], dtype=np.int32),
            images=[row for e in examples for row in e.images],
            image_event=np.array([k for k, e in enumerate(examples) for _ in e.images], dtype=np.int32),
            audio=[row for e in examples for row in e.audio],
            audio_event=np.array([k for k, e in enumerate(examples) for _ in e.audio], dtype=np.int32),
        )


@dataclass(frozen=True, slots=True)
class Outputs:
    """Calibrated answers, one row an event, columns in the order of the bundle's labels.

    ``sentiment`` float32 [events, 3], rows NaN where its evidence is missing;
    ``unimodal`` float32 [events, 3 modalities, 3 sentiments], NaN where the modality is absent;
    ``moderation`` float32 [events, labels], probability 0…1, NaN where the label's evidence is missing;
    ``severity`` float32 [events, labels], 0…7, NaN where the bundle has none;
    ``patterns`` float32 [events, 8, 1 + labels], uncalibrated logits by presence pattern, NaN where a pattern
    was not run: column 0 is sentiment (positive minus negative), the others the labels. Pattern 0 is the
    model's answer to an empty event. Together they give exact Shapley values over the modalities.
    """

    sentiment: Float32
    unimodal: Float32
    moderation: Float32
    severity: Float32
    patterns: Float32
