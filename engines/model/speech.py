"""Wav2Vec2, HuBERT and WavLM over a batch of sounds, each exactly as if it were alone.

Their own forward pass takes its mask by indexing, whose shapes depend on data; and where they were trained
without a mask, silence after a sound changes its statistics. So the layers are run here, masked by `where`.
"""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: allow-subclassing-any, no-warn-return-any

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from engines.model.parts import padding_bias
from engines.model.spectrograms import heard


class SpeechBody(nn.Module):
    """``model`` is a Wav2Vec2Model, HubertModel or WavLMModel; ``normalised`` rows get mean 0, variance 1."""

    def __init__(self, model: Any, normalised: bool) -> None:
        super().__init__()
        self.model: Any = model
        self.normalised = normalised
        config = model.config
        self.steps = list(zip(config.conv_kernel, config.conv_stride, strict=True))
        self.stable = bool(getattr(config, "do_stable_layer_norm", False))
        self.biased = config.model_type == "wavlm"

    @property
    def receptive(self) -> int:
        """Samples that one frame needs."""
        size = 1
        for kernel, stride in reversed(self.steps):
            size = (size - 1) * stride + kernel
        return size

    def forward(self, samples: Tensor, lengths: Tensor) -> tuple[list[Tensor], Tensor]:
        """``samples`` [B, n] in int16 units, ``lengths`` [B] → hidden states [B, T, D] (what goes into the
        first layer, then each layer's answer), and which frames are real, bool [B, T].
        """
        x = heard(samples, lengths)
        if self.normalised:
            x = normal(x.unsqueeze(1), lengths, 1e-7).squeeze(1)
        x, frames = self._convolved(nn.functional.pad(x, (0, self.receptive - 1)).unsqueeze(1), lengths)
        valid = torch.arange(x.shape[2])[None, :] < frames[:, None]
        projected = self.model.feature_projection(x.transpose(1, 2))
        x = projected[0] if isinstance(projected, tuple) else projected
        return self._encoded(torch.where(valid.unsqueeze(-1), x, 0.0), valid), valid

    def _convolved(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        frames = lengths.to(torch.int64)
        layers: Any = self.model.feature_extractor.conv_layers
        for layer, (kernel, stride) in zip(layers, self.steps, strict=True):
            frames = ((frames - kernel).clamp(min=0) // stride + 1).clamp(min=1)
            norm = getattr(layer, "layer_norm", None)
            if isinstance(norm, nn.GroupNorm):
                x = normal(layer.conv(x), frames, norm.eps)
                x = layer.activation(x * norm.weight[:, None] + norm.bias[:, None])
            else:
                x = layer(x)
        return x, frames

    def _encoded(self, x: Tensor, valid: Tensor) -> list[Tensor]:
        encoder: Any = self.model.encoder
        x = x + encoder.pos_conv_embed(x)
        if not self.stable:
            x = encoder.layer_norm(x)
        states, bias, gates = [x], padding_bias(valid)[:, None, None, :], None
        for layer in encoder.layers:
            if self.biased:
                x, gates = layer(x, attention_mask=valid.to(torch.int64), position_bias=gates)
            else:
                x = layer(x, attention_mask=bias)
            states.append(x)
        if self.stable:
            states[-1] = encoder.layer_norm(x)
        return states


def normal(x: Tensor, lengths: Tensor, eps: float) -> Tensor:
    """[B, C, T] with mean 0 and variance 1 over each row's first ``lengths``, zero after them."""
    inside = (torch.arange(x.shape[2])[None, :] < lengths[:, None]).unsqueeze(1)
    count = lengths.to(x.dtype).clamp(min=1.0)[:, None, None]
    mean = torch.where(inside, x, 0.0).sum(dim=2, keepdim=True) / count
    x = torch.where(inside, x - mean, 0.0)
    return x * torch.rsqrt((x * x).sum(dim=2, keepdim=True) / count + eps)


def mean_frame(x: Tensor, valid: Tensor) -> Tensor:
    """``x`` [B, T, D] → [B, D]: the mean over real frames."""
    shown = valid.unsqueeze(-1)
    return torch.where(shown, x, 0.0).sum(dim=1) / shown.sum(dim=1).clamp(min=1).to(x.dtype)
