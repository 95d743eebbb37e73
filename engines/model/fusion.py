"""The fusion head: masked slots of three modalities → every answer. Three named ways to fuse."""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: allow-subclassing-any, no-warn-return-any

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from engines.batch import MODALITIES, SENTIMENTS
from engines.model.config import ModelConfig
from engines.model.parts import MASKED, Block

MODES: Final = len(MODALITIES)


class Bottleneck(nn.Module):
    """A small transformer: each modality's slots see only their own kind and the bottleneck tokens.

    What crosses between modalities must pass the bottlenecks, whose mean is the fused vector.
    """

    walls: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, count = config.width, config.bottlenecks
        self.bottlenecks = nn.Parameter(torch.randn(count, width) * 0.5)
        self.kinds = nn.Parameter(torch.randn(MODES, 1, width) * 0.1)
        last = config.fusion_layers - 1
        self.blocks = nn.ModuleList(
            [Block(width, config.attention_heads, count if k == last else None) for k in range(last + 1)]
        )
        kind = torch.arange(MODES).repeat_interleave(config.tokens)
        kind = torch.cat([torch.full((count,), -1), kind])
        allowed = (kind[:, None] == kind[None, :]) | (kind[:, None] < 0) | (kind[None, :] < 0)
        self.register_buffer("walls", torch.where(allowed, 0.0, MASKED))
        self.count, self.tokens = count, config.tokens

    def forward(self, slots: Tensor, presence: Tensor) -> Tensor:
        """``slots`` [B, 3, K, D], ``presence`` float32 [B, 3] → [B, D]."""
        absent = (1.0 - presence).repeat_interleave(self.tokens, dim=1) * MASKED
        absent = nn.functional.pad(absent, (self.count, 0))
        bias = absent[:, None, None, :] + self.walls
        bottlenecks = self.bottlenecks.expand(slots.shape[0], -1, -1)
        x = torch.cat([bottlenecks, (slots + self.kinds).flatten(1, 2)], dim=1)
        for block in self.blocks:
            rows = bias if block.first is None else bias[:, :, : block.first]
            x = block(x, rows)
        return x.mean(dim=1)


class Concat(nn.Module):
    """The classic: all slots side by side, then a layer."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.mix = nn.Linear(MODES * (config.tokens * config.width + 1), config.width)

    def forward(self, slots: Tensor, presence: Tensor) -> Tensor:
        """``slots`` [B, 3, K, D], ``presence`` float32 [B, 3] → [B, D]."""
        return torch.relu(self.mix(torch.cat([slots.flatten(1), presence], dim=1)))


class Gates(nn.Module):
    """h = Σα·f: a softmax gate over the modalities that are there."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate = nn.Linear(config.width, 1)
        self.project = nn.Parameter(torch.randn(MODES, config.width, config.width) * config.width**-0.5)

    def forward(self, slots: Tensor, presence: Tensor) -> Tensor:
        """``slots`` [B, 3, K, D], ``presence`` float32 [B, 3] → [B, D]."""
        features = (slots.mean(dim=2).unsqueeze(2) @ self.project).squeeze(2)
        scores = self.gate(torch.tanh(features)).squeeze(-1) + (1.0 - presence) * MASKED
        return (torch.softmax(scores, dim=1).unsqueeze(-1) * features).sum(dim=1)


FUSIONS: Final[dict[str, type[Bottleneck] | type[Concat] | type[Gates]]] = {
    "bottleneck": Bottleneck,
    "concat": Concat,
    "attention": Gates,
}
"""Fusions by the name that a bundle records."""


class FusionHead(nn.Module):
    """Tokens and presence → all answers at once; LayerNorm only, so no row depends on its batch."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, tokens = config.width, config.tokens
        self.missing = nn.Parameter(torch.randn(MODES, tokens, width) * 0.02)
        self.fusion = FUSIONS[config.fusion](config)
        self.norm = nn.LayerNorm(width)
        # Pairwise products give the labels that need two modalities a direct path.
        self.hidden = nn.Linear(width * (1 + MODES), 2 * width)
        self.sentiment = nn.Linear(2 * width, len(SENTIMENTS))
        self.moderation = nn.Linear(2 * width, len(config.labels))
        self.unimodal = nn.ModuleList([nn.Linear(tokens * width, len(SENTIMENTS)) for _ in MODALITIES])

    def forward(
        self, text: Tensor, image: Tensor, audio: Tensor, presence: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Slots [B, K, D] each, ``presence`` float32 [B, 3] → sentiment [B, 3], moderation [B, labels],
        unimodal [B, 3, 3] (all logits), embedding [B, D]. Absent slots may hold anything, even NaN.
        """
        here = (presence > 0.5)[:, :, None, None]
        presence = here[:, :, 0, 0].to(torch.float32)
        # where, never a product: 0 · NaN = NaN, and an absent slot is an uninitialised buffer.
        slots = torch.where(here, torch.stack([text, image, audio], dim=1), self.missing)
        fused = self.norm(self.fusion(slots, presence))
        means = torch.where(here[:, :, 0], slots.mean(dim=2), 0.0)
        pairs = [means[:, 0] * means[:, 1], means[:, 0] * means[:, 2], means[:, 1] * means[:, 2]]
        hidden = torch.relu(self.hidden(torch.cat([fused, *pairs], dim=1)))
        unimodal = torch.stack([head(slots[:, k].flatten(1)) for k, head in enumerate(self.unimodal)], dim=1)
        return self.sentiment(hidden), self.moderation(hidden), unimodal, fused
