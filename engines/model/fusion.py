"""The fusion head: masked slots of three modalities → every answer. Three named ways to fuse."""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: allow-subclassing-any, no-warn-return-any

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.export import Dim

from engines.batch import MODALITIES, SENTIMENTS
from engines.model.config import ModelConfig
from engines.model.parts import MASKED, Block, Shapes

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


class Gates(nn.Module):
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


FUSIONS: Final[dict[str, type[Bottleneck] | type[Concat] | type[Gates]]] = {
    "bottleneck": Bottleneck,
    "concat": Concat,
    "attention": Gates,
}
"""Fusions by the name that a bundle records."""


def kinds_of(config: ModelConfig) -> Tensor:
    """int64 [S]: the modality of each slot, where the slots of all three lie one after the other."""
    return torch.arange(MODES).repeat_interleave(torch.tensor(config.counts))


def means(slots: Tensor, counts: tuple[int, int, int]) -> Tensor:
    """``slots`` [B, S, D] → [B, 3, D]: each modality's mean."""
    return torch.stack([own.mean(dim=1) for own in slots.split(counts, dim=1)], dim=1)


class FusionHead(nn.Module):
    """Tokens and presence → all answers at once; LayerNorm only, so no row depends on its batch."""

    kind: Tensor

    inputs = (*MODALITIES, "presence")
    outputs = ("sentiment", "moderation", "unimodal", "embedding")

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.counts, self.width = config.counts, config.width
        width = config.width
        self.missing = nn.Parameter(torch.randn(sum(self.counts), width) * 0.02)
        self.register_buffer("kind", kinds_of(config))
        self.fusion = FUSIONS[config.fusion](config)
        self.norm = nn.LayerNorm(width)
        # Pairwise products give the labels that need two modalities a direct path.
        self.hidden = nn.Linear(width * (1 + MODES), 2 * width)
        self.sentiment = nn.Linear(2 * width, len(SENTIMENTS))
        self.moderation = nn.Linear(2 * width, len(config.labels))
        self.unimodal = nn.ModuleList([nn.Linear(k * width, len(SENTIMENTS)) for k in self.counts])

    def example(self) -> tuple[tuple[Tensor, ...], Shapes]:
        """Slots and presence of two events, any number of them."""
        slots = tuple(torch.zeros(2, count, self.width) for count in self.counts)
        return (*slots, torch.ones(2, MODES)), tuple({0: Dim("rows", min=1)} for _ in range(4))

    def forward(
        self, text: Tensor, image: Tensor, audio: Tensor, presence: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Slots [B, K, D] each, ``presence`` float32 [B, 3] → sentiment [B, 3], moderation [B, labels],
        unimodal [B, 3, 3] (all logits), embedding [B, D]. Absent slots may hold anything, even NaN.
        """
        here = presence > 0.5
        presence = here.to(torch.float32)
        # where, never a product: 0 · NaN = NaN, and an absent slot is an uninitialised buffer.
        slots = torch.cat([text, image, audio], dim=1)
        slots = torch.where(here[:, self.kind].unsqueeze(-1), slots, self.missing)
        fused = self.norm(self.fusion(slots, presence))
        seen = torch.where(here.unsqueeze(-1), means(slots, self.counts), 0.0)
        pairs = [seen[:, 0] * seen[:, 1], seen[:, 0] * seen[:, 2], seen[:, 1] * seen[:, 2]]
        hidden = torch.relu(self.hidden(torch.cat([fused, *pairs], dim=1)))
        alone = slots.split(self.counts, dim=1)
        unimodal = torch.stack(
            [head(own.flatten(1)) for head, own in zip(self.unimodal, alone, strict=True)], dim=1
        )
        return self.sentiment(hidden), self.moderation(hidden), unimodal, fused
