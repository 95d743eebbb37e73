"""Three ways to let modalities speak to each other: masked slots of all three → one vector."""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: allow-subclassing-any, no-warn-return-any

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from engines.batch import MODALITIES
from engines.model.config import ModelConfig
from engines.model.parts import MASKED, Block

MODES: Final = len(MODALITIES)


class Bottleneck(nn.Module):
    """A small transformer: each modality's slots see only their own kind and the bottleneck tokens.

    What crosses between modalities must pass the bottlenecks, whose mean is the fused vector.
    """

    walls: Tensor
    kind: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, count = config.width, config.bottlenecks
        self.bottlenecks = nn.Parameter(torch.randn(count, width) * 0.5)
        self.kinds = nn.Parameter(torch.randn(MODES, width) * 0.1)
        last = config.fusion_layers - 1
        self.blocks = nn.ModuleList(
            [Block(width, config.attention_heads, count if k == last else None) for k in range(last + 1)]
        )
        kind = kinds_of(config)
        self.register_buffer("kind", kind)
        kind = torch.cat([torch.full((count,), -1), kind])
        allowed = (kind[:, None] == kind[None, :]) | (kind[:, None] < 0) | (kind[None, :] < 0)
        self.register_buffer("walls", torch.where(allowed, 0.0, MASKED))
        self.count = count

    def forward(self, slots: Tensor, presence: Tensor) -> Tensor:
        """``slots`` [B, S, D], ``presence`` float32 [B, 3] → [B, D]."""
        absent = (1.0 - presence)[:, self.kind] * MASKED
        absent = nn.functional.pad(absent, (self.count, 0))
        bias = absent[:, None, None, :] + self.walls
        bottlenecks = self.bottlenecks.expand(slots.shape[0], -1, -1)
        x = torch.cat([bottlenecks, slots + self.kinds[self.kind]], dim=1)
        for block in self.blocks:
            rows = bias if block.first is None else bias[:, :, : block.first]
            x = block(x, rows)
        return x.mean(dim=1)


class Concat(nn.Module):
    """The classic: all slots side by side, then a layer."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.mix = nn.Linear(sum(config.counts) * config.width + MODES, config.width)

    def forward(self, slots: Tensor, presence: Tensor) -> Tensor:
        """``slots`` [B, S, D], ``presence`` float32 [B, 3] → [B, D]."""
        return torch.relu(self.mix(torch.cat([slots.flatten(1), presence], dim=1)))


class Gated(nn.Module):
    """h = Σα·f: a softmax gate over the modalities that are there."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.counts = config.counts
        self.gate = nn.Linear(config.width, 1)
        self.project = nn.Parameter(torch.randn(MODES, config.width, config.width) * config.width**-0.5)

    def forward(self, slots: Tensor, presence: Tensor) -> Tensor:
        """``slots`` [B, S, D], ``presence`` float32 [B, 3] → [B, D]."""
        features = (means(slots, self.counts).unsqueeze(2) @ self.project).squeeze(2)
        scores = self.gate(torch.tanh(features)).squeeze(-1) + (1.0 - presence) * MASKED
        return (torch.softmax(scores, dim=1).unsqueeze(-1) * features).sum(dim=1)


FUSIONS: Final[dict[str, type[Bottleneck] | type[Concat] | type[Gated]]] = {
    "bottleneck": Bottleneck,
    "concat": Concat,
    "attention": Gated,
}
"""Fusions by the name that a bundle records."""


def kinds_of(config: ModelConfig) -> Tensor:
    """int64 [S]: the modality of each slot, where the slots of all three lie one after the other."""
    return torch.arange(MODES).repeat_interleave(torch.tensor(config.counts))


def means(slots: Tensor, counts: tuple[int, int, int]) -> Tensor:
    """``slots`` [B, S, D] → [B, 3, D]: each modality's mean."""
    return torch.stack([own.mean(dim=1) for own in slots.split(counts, dim=1)], dim=1)
