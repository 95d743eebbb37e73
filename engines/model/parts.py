"""Building blocks: attention written out in exportable steps, and the resampler that ends each tower."""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: allow-subclassing-any, no-warn-return-any

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.export import Dim

Shapes = tuple[dict[int, Dim], ...]
"""For each input of a graph, which axes may have any size."""

MASKED = -1e4
"""Attention bias of a slot that must not be seen: finite, because -inf turns fully masked rows into NaN
and the smallest float32 overflows in FP16."""


class Graph(Protocol):
    """A network that becomes a graph of the bundle: a tower, whose output is ``tokens``, or the head."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names in the order of ``forward``."""
        ...

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names in the order of what ``forward`` gives."""
        ...

    def example(self) -> tuple[tuple[Tensor, ...], Shapes]:
        """Inputs of two rows to trace with, and their axes of any size."""
        ...

    @property
    def forward(self) -> Callable[..., object]:
        """What is traced."""
        ...

    def eval(self) -> nn.Module:
        """As every torch module has it."""
        ...


class Attention(nn.Module):
    """Scaled dot-product attention; queries [B, Q, D], keys [B, S, D], bias [B, 1, Q, S] or less."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.depth = heads, width // heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, queries: Tensor, keys: Tensor, bias: Tensor) -> Tensor:
        """[B, Q, D]: each query's mixture of what it attends to."""
        heads, depth = self.heads, self.depth
        query = self.query(queries).unflatten(-1, (heads, depth)).transpose(1, 2)
        key, value = self.key_value(keys).chunk(2, dim=-1)
        key = key.unflatten(-1, (heads, depth)).permute(0, 2, 3, 1)
        value = value.unflatten(-1, (heads, depth)).transpose(1, 2)
        weights = torch.softmax(query @ key * depth**-0.5 + bias, dim=-1)
        return self.out((weights @ value).transpose(1, 2).flatten(-2))


class Block(nn.Module):
    """A pre-norm transformer block; with ``first`` only that many leading positions are returned."""

    def __init__(self, width: int, heads: int, first: int | None = None) -> None:
        super().__init__()
        self.first = first
        self.norm, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.feed = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """``x`` [B, S, D], ``bias`` broadcast to [B, 1, Q, S] → [B, Q, D]."""
        seen = self.norm(x)
        asked = x if self.first is None else x[:, : self.first]
        queries = seen if self.first is None else seen[:, : self.first]
        asked = asked + self.attention(queries, seen, bias)
        out: Tensor = asked + self.feed(asked)
        return out


class Resampler(nn.Module):
    """K learned queries read a sequence of any length into K tokens (one softmax over positions each)."""

    def __init__(self, width: int, tokens: int) -> None:
        super().__init__()
        self.score = nn.Linear(width, tokens)
        self.value = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.offset = nn.Parameter(torch.randn(tokens, width) * 0.02)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """``x`` [B, S, D], ``bias`` [B, S, 1] → [B, K, D]."""
        weights = torch.softmax(self.score(x) + bias, dim=1)
        out: Tensor = self.norm(weights.transpose(1, 2) @ self.value(x) + self.offset)
        return out


def padding_bias(valid: Tensor) -> Tensor:
    """0 where ``valid`` (bool), `MASKED` elsewhere, as float32."""
    return (1.0 - valid.to(torch.float32)) * MASKED
