"""The audio tower of the starter: statistics of how a sound is made, read by a few small networks at once."""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: allow-subclassing-any, no-warn-return-any

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.export import Dim

from engines.model.config import ModelConfig
from engines.model.parts import Shapes
from engines.model.prosody import Prosody

MEMBERS: Final = 8
"""Networks side by side, each with its own part of the tokens: what a linear expert reads is their mean."""
_HIDDEN, _CLIP = 64, 6.0


class VoiceTower(nn.Module):
    """`Prosody` inside the graph → standardised → `MEMBERS` networks of two layers → K tokens of width D.

    A few hundred recordings teach statistics more than they teach convolutions, and the mean of several
    networks generalises to speakers never heard better than one of them.
    """

    inputs, outputs = ("samples", "lengths"), ("tokens",)
    middle: Tensor
    scale: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.tokens, self.width = config.audio_tokens, config.width
        size = self.tokens * self.width
        if size % MEMBERS:
            raise ValueError(f"{size} token values cannot be shared by {MEMBERS} members")
        self.prosody = Prosody(config.rate)
        self.register_buffer("middle", torch.zeros(Prosody.size))
        self.register_buffer("scale", torch.ones(Prosody.size))
        self.first = nn.Linear(Prosody.size, MEMBERS * _HIDDEN)
        self.second = nn.Parameter(torch.randn(MEMBERS, _HIDDEN, size // MEMBERS) * _HIDDEN**-0.5)
        self.offset = nn.Parameter(torch.zeros(size))
        nn.init.normal_(self.first.weight, std=Prosody.size**-0.5)
        nn.init.zeros_(self.first.bias)

    def example(self) -> tuple[tuple[Tensor, ...], Shapes]:
        """Two sounds, any number of any length."""
        rows, lengths = Dim("rows", min=1), torch.tensor([9_000, 5_000], dtype=torch.int32)
        return (torch.zeros(2, 9_000), lengths), ({0: rows, 1: Dim("samples", min=1)}, {0: rows})

    def forward(self, samples: Tensor, lengths: Tensor) -> Tensor:
        """``samples`` float32 [B, n] in int16 units, ``lengths`` int32 [B] → float32 [B, K, D]."""
        return self.from_statistics(self.prosody(samples, lengths))

    def from_statistics(self, statistics: Tensor) -> Tensor:
        """float32 [B, `Prosody.size`] → float32 [B, K, D]; training keeps the statistics."""
        return self.read(self.standard(statistics)).unflatten(1, (self.tokens, self.width))

    def standard(self, statistics: Tensor) -> Tensor:
        """Statistics in units of their spread; clipped, so that nothing strange is taken for an extreme."""
        return ((statistics - self.middle) / self.scale).clamp(-_CLIP, _CLIP)

    def read(self, x: Tensor, dropout: float = 0.0) -> Tensor:
        """Standard statistics [B, size] → [B, K * D], member after member."""
        hidden = torch.relu(self.first(x))
        if dropout:
            hidden = nn.functional.dropout(hidden, dropout)
        parts = hidden.unflatten(1, (MEMBERS, 1, _HIDDEN)) @ self.second
        return torch.relu(parts.flatten(1) + self.offset)
