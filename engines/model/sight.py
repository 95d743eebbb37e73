"""The image tower of the starter: a small convolutional net for stickers and drawings."""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: allow-subclassing-any, no-warn-return-any

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.export import Dim

from engines.model.config import ModelConfig
from engines.model.parts import Resampler, Shapes

SIDE: Final = 64
"""Pixels of each side: a sticker that fills a third of a picture still has a mouth."""


class SightTower(nn.Module):
    """Five convolutions with a shortcut over the last → cells → K tokens of width D.

    It knows no positions, since a sticker means the same anywhere; beside the mean of the cells each token
    gets their maximum, so that a small sticker on a large ground isn't averaged away. Batch norms are
    constants once trained, so no row depends on its batch.
    """

    inputs, outputs = ("pixels",), ("tokens",)

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.width
        self.size = (config.image_height, config.image_width)
        self.stem = nn.Sequential(
            _layer(3, 16, 2), _layer(16, 32, 2), _layer(32, 32, 1), _layer(32, width, 2)
        )
        self.last = _layer(width, width, 1)
        self.resampler = Resampler(width, config.image_tokens)
        self.average = nn.Linear(width, width)
        self.most = nn.Linear(width, width)

    def example(self) -> tuple[tuple[Tensor, ...], Shapes]:
        """Two images, any number of them."""
        return (torch.zeros(2, *self.size, 3, dtype=torch.uint8),), ({0: Dim("rows", min=1)},)

    def forward(self, pixels: Tensor) -> Tensor:
        """``pixels`` uint8 [B, H, W, 3] → float32 [B, K, D]."""
        return self.see(pixels.permute(0, 3, 1, 2).to(torch.float32) * (1.0 / 127.5) - 1.0)

    def see(self, x: Tensor) -> Tensor:
        """float32 [B, 3, H, W] between -1 and 1 → float32 [B, K, D]; training changes colours before it."""
        x = self.stem(x)
        cells = (x + self.last(x)).flatten(2).transpose(1, 2)
        whole = self.average(cells.mean(dim=1)) + self.most(cells.amax(dim=1))
        tokens: Tensor = self.resampler(cells, torch.zeros(1, 1, 1)) + whole.unsqueeze(1)
        return tokens


def _layer(channels: int, out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU())
