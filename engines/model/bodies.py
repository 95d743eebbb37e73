"""Hugging Face encoders behind one face: the graph's inputs → hidden states, and which of them are real."""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: allow-subclassing-any, no-warn-return-any

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.export import Dim

from engines.model.parts import MASKED, Shapes, padding_bias
from engines.model.spectrograms import ClapMel, KaldiMel, WhisperMel
from engines.model.speech import SpeechBody
from engines.preprocess.tokenizer import SHIFT

_AFTER_PADDING: Final = ("roberta", "xlm-roberta")
"""Their positions begin after the padding's id."""


@dataclass(frozen=True, slots=True)
class Pixels:
    """How pixels are normalised, in the terms of transformers' image processors."""

    height: int
    width: int
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    scale: float = 1 / 255


class TextInput(nn.Module):
    """Ids as `TokenizerEncoder` gives them, int32 [B, length], for one model."""

    def __init__(self, config: Any, name: str = "ids") -> None:
        super().__init__()
        self.config, self.inputs = config, (name,)

    def example(self) -> tuple[tuple[Tensor, ...], Shapes]:
        """Ids of two texts, any number of any length."""
        ids = torch.ones(2, 7, dtype=torch.int32)
        ids[1, 5:] = 0
        return (ids,), ({0: Dim("rows", min=1), 1: Dim("length", min=1)},)

    def forward(self, ids: Tensor) -> tuple[dict[str, Any], Tensor]:
        """The model's arguments, and which positions are real, bool [B, length]."""
        kind, valid = self.config.model_type, ids != 0
        pad = self.config.pad_token_id or 0
        tokens = torch.where(valid, ids - SHIFT, pad).to(torch.int64)
        place = torch.arange(ids.shape[1])
        if kind == "deberta-v2":
            return {"input_ids": tokens, "attention_mask": valid.to(torch.int64)}, valid
        bias = padding_bias(valid)[:, None, None, :]
        if kind == "modernbert":
            near = (place[:, None] - place[None, :]).abs() <= self.config.sliding_window
            local = bias + torch.where(near, 0.0, MASKED)
            return {
                "input_ids": tokens,
                "attention_mask": {"full_attention": bias, "sliding_attention": local},
            }, valid
        given: dict[str, Any] = {"input_ids": tokens, "attention_mask": bias}
        if kind != "distilbert":
            first = pad + 1 if kind in _AFTER_PADDING else 0
            given["position_ids"] = (place + first)[None, :].expand(tokens.shape)
            given["token_type_ids"] = torch.zeros_like(tokens)
        return given, valid


class ImageInput(nn.Module):
    """Pixels uint8 [B, H, W, 3], normalised here so that bytes are all that travels."""

    inputs = ("pixels",)
    gain: Tensor
    shift: Tensor

    def __init__(self, pixels: Pixels) -> None:
        super().__init__()
        self.size = (pixels.height, pixels.width)
        # (x · scale − mean) / std in one multiplication and one addition
        std = torch.tensor(pixels.std).view(1, 3, 1, 1)
        self.register_buffer("gain", pixels.scale / std)
        self.register_buffer("shift", -torch.tensor(pixels.mean).view(1, 3, 1, 1) / std)

    def example(self) -> tuple[tuple[Tensor, ...], Shapes]:
        """Two images, any number of them."""
        return (torch.zeros(2, *self.size, 3, dtype=torch.uint8),), ({0: Dim("rows", min=1)},)

    def forward(self, pixels: Tensor) -> tuple[dict[str, Any], None]:
        """The model's arguments; all of an image is real."""
        x = pixels.permute(0, 3, 1, 2).to(torch.float32)
        return {"pixel_values": x * self.gain + self.shift}, None


class AudioInput(nn.Module):
    """Samples float32 [B, n] in int16 units and lengths int32 [B] → features; see `spectrograms`."""

    inputs = ("samples", "lengths")

    def __init__(self, features: WhisperMel | KaldiMel | ClapMel) -> None:
        super().__init__()
        self.features = features

    def example(self) -> tuple[tuple[Tensor, ...], Shapes]:
        """Two sounds, any number of any length."""
        return sounds()

    def forward(self, samples: Tensor, lengths: Tensor) -> tuple[dict[str, Any], Tensor | None]:
        """The model's arguments, and which of Whisper's positions are real."""
        x = self.features(samples, lengths)
        if isinstance(self.features, WhisperMel):
            step = 2 * self.features.mel.hop
            count = (lengths.to(torch.int64).clamp(min=1) + step - 1) // step
            return {"input_features": x}, torch.arange(x.shape[2] // 2)[None, :] < count[:, None]
        return {"input_values" if isinstance(self.features, KaldiMel) else "input_features": x}, None


def sounds() -> tuple[tuple[Tensor, ...], Shapes]:
    """Two sounds to trace with, any number of any length."""
    rows, lengths = Dim("rows", min=1), torch.tensor([9_000, 5_000], dtype=torch.int32)
    return (torch.zeros(2, 9_000), lengths), ({0: rows, 1: Dim("samples", min=1)}, {0: rows})


class Body(nn.Module):
    """An encoder with its input: what a tower is built on."""

    def __init__(self, model: nn.Module, entry: TextInput | ImageInput | AudioInput) -> None:
        super().__init__()
        self.model, self.entry = model, entry

    @property
    def inputs(self) -> tuple[str, ...]:
        """The graph's inputs."""
        return self.entry.inputs

    def example(self) -> tuple[tuple[Tensor, ...], Shapes]:
        """Inputs to trace with."""
        return self.entry.example()

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden states float32 [B, N, depth], and which are real, bool [B, N] or broadcast to it."""
        given, valid = self.entry(*inputs)
        hidden: Tensor = self.model(**given).last_hidden_state
        if hidden.dim() == 4:  # maps of a convolutional net
            hidden = hidden.flatten(2).transpose(1, 2)
        return hidden, torch.ones(1, 1, dtype=torch.bool) if valid is None else valid


class SpeechEncoder(nn.Module):
    """`SpeechBody` as a body: its last layer's frames."""

    inputs = ("samples", "lengths")

    def __init__(self, model: nn.Module, normalised: bool) -> None:
        super().__init__()
        self.speech = SpeechBody(model, normalised)

    @property
    def model(self) -> nn.Module:
        """The encoder."""
        return self.speech.model

    def example(self) -> tuple[tuple[Tensor, ...], Shapes]:
        """Inputs to trace with."""
        return sounds()

    def forward(self, samples: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden states float32 [B, N, depth], and which are real, bool [B, N]."""
        states, valid = self.speech(samples, lengths)
        return states[-1], valid
