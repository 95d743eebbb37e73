"""The three small towers that are trained from scratch; each ends in K tokens of width D."""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: allow-subclassing-any, no-warn-return-any

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.export import Dim

from engines.model.config import ModelConfig
from engines.model.logmel import LogMel
from engines.model.parts import Block, Resampler, Shapes, padding_bias


class TextTower(nn.Module):
    """Hashed words → embedding → neighbours (convolution) → one transformer block → K tokens.

    There are no positions: word order enters through the convolution, so any length is in range.
    """

    inputs, outputs = ("ids",), ("tokens",)

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.width
        self.embedding = nn.Embedding(config.vocabulary, width, padding_idx=0)
        nn.init.normal_(self.embedding.weight, std=0.3)
        self.norm = nn.LayerNorm(width)
        self.neighbours = nn.Conv1d(width, width, 3, padding=1)
        self.block = Block(width, config.attention_heads)
        self.resampler = Resampler(width, config.text_tokens)

    def example(self) -> tuple[tuple[Tensor, ...], Shapes]:
        """Ids of two texts, any number of any length."""
        shapes = ({0: Dim("rows", min=1), 1: Dim("length", min=1)},)
        return (torch.ones(2, 7, dtype=torch.int32),), shapes

    def forward(self, ids: Tensor) -> Tensor:
        """``ids`` int32 [B, length], 0 = padding → float32 [B, K, D]."""
        valid = ids != 0
        x = self.norm(self.embedding(ids))
        x = torch.where(valid.unsqueeze(-1), x, 0.0)
        x = x + torch.relu(self.neighbours(x.transpose(1, 2)).transpose(1, 2))
        bias = padding_bias(valid)
        x = self.block(x, bias[:, None, None, :])
        tokens: Tensor = self.resampler(x, bias.unsqueeze(-1))
        return tokens


class ImageTower(nn.Module):
    """A convolutional net over uint8 pixels; scaling happens here, so bytes are all that travels."""

    inputs, outputs = ("pixels",), ("tokens",)

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.width
        layers: list[nn.Module] = []
        channels = 3
        for out, stride in ((16, 2), (32, 2), (48, 2), (width, 1)):
            layers += [nn.Conv2d(channels, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
            channels = out
        self.layers = nn.Sequential(*layers)
        self.size = (config.image_height, config.image_width)
        cells = (config.image_height // 8) * (config.image_width // 8)
        self.position = nn.Parameter(torch.randn(cells, width) * 0.02)
        self.resampler = Resampler(width, config.image_tokens)
        self.average = nn.Linear(width, width)

    def example(self) -> tuple[tuple[Tensor, ...], Shapes]:
        """Two images, any number of them."""
        return (torch.zeros(2, *self.size, 3, dtype=torch.uint8),), ({0: Dim("rows", min=1)},)

    def forward(self, pixels: Tensor) -> Tensor:
        """``pixels`` uint8 [B, H, W, 3] → float32 [B, K, D]."""
        x = pixels.permute(0, 3, 1, 2).to(torch.float32) * (1.0 / 127.5) - 1.0
        x = self.layers(x).flatten(2).transpose(1, 2) + self.position
        tokens: Tensor = self.resampler(x, torch.zeros(1, 1, 1)) + self.average(x.mean(dim=1)).unsqueeze(1)
        return tokens


class AudioTower(nn.Module):
    """Log-mel inside the graph, then strided convolutions over time that never see beyond ``lengths``."""

    inputs, outputs = ("samples", "lengths"), ("tokens",)

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.width
        self.features = LogMel(config.rate)
        mels = self.features.spec.n_mels
        self.layers = nn.ModuleList(
            [
                nn.Conv1d(mels, width, 5, 2, 2),
                nn.Conv1d(width, width, 5, 2, 2),
                nn.Conv1d(width, width, 3, 2, 1),
            ]
        )
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in self.layers])
        self.resampler = Resampler(width, config.audio_tokens)

    def example(self) -> tuple[tuple[Tensor, ...], Shapes]:
        """Two sounds, any number of any length."""
        rows, lengths = Dim("rows", min=1), torch.tensor([9_000, 5_000], dtype=torch.int32)
        return (torch.zeros(2, 9_000), lengths), ({0: rows, 1: Dim("samples", min=1)}, {0: rows})

    def forward(self, samples: Tensor, lengths: Tensor) -> Tensor:
        """``samples`` float32 [B, n] in int16 units, ``lengths`` int32 [B] → float32 [B, K, D]."""
        frames = lengths.to(torch.int64) // self.features.spec.hop_length + 1
        return self.from_mel(self.features(samples), frames)

    def from_mel(self, mel: Tensor, frames: Tensor) -> Tensor:
        """``mel`` [B, mels, T], ``frames`` int64 [B] → float32 [B, K, D]; training caches the features."""
        x = (mel + 3.0) * 0.25
        valid = torch.arange(x.shape[2])[None, :] < frames[:, None]
        x = torch.where(valid[:, None, :], x, 0.0)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = torch.relu(norm(layer(x).transpose(1, 2))).transpose(1, 2)
            frames = (frames + 1) // 2
            valid = torch.arange(x.shape[2])[None, :] < frames[:, None]
            x = torch.where(valid[:, None, :], x, 0.0)
        tokens: Tensor = self.resampler(x.transpose(1, 2), padding_bias(valid).unsqueeze(-1))
        return tokens
