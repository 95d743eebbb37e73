"""Text towers without depth: means of the embeddings of hashed n-grams."""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: allow-subclassing-any, no-warn-return-any

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.export import Dim

from engines.model.parts import Shapes

BUCKETS: Final = 262_139
"""Rows of the bag's table but the padding's: a prime below 2^18."""
PIECES: Final = 32_749
"""Rows of the table of word pieces but the padding's: a prime below 2^15."""
_STEP: Final = 31
_MIX: Final = 59
"""The hash's multipliers, so small that no value passes 2^24: some engines reckon integers as float32."""
LONGEST: Final = 5
"""Characters in the bag's longest n-gram."""


class BagTower(nn.Module):
    """Means of the embeddings of hashed words (one and two) and characters (one to five): no order, no depth.

    After fastText (Joulin et al. 2017). Ideographs count alone and up to three, other characters two to
    five at a time; the hash is a polynomial modulo a prime, computed in the graph.
    """

    inputs, outputs = ("words", "chars"), ("tokens",)

    def __init__(self, depth: int, tokens: int, width: int) -> None:
        super().__init__()
        self.table = table(BUCKETS, depth)
        self.out = nn.Linear(2 * depth, tokens * width)
        self.tokens = tokens

    def example(self) -> tuple[tuple[Tensor, ...], Shapes]:
        """Words and characters of two texts, any number of any length."""
        rows = Dim("rows", min=1)
        shapes = ({0: rows, 1: Dim("words", min=1)}, {0: rows, 1: Dim("chars", min=1)})
        return (torch.ones(2, 5, dtype=torch.int32), torch.ones(2, 9, dtype=torch.int32)), shapes

    def forward(self, words: Tensor, chars: Tensor) -> Tensor:
        """``words`` int32 [B, n] (hashes, 0 = padding), ``chars`` int32 [B, m] (code points) → [B, K, D]."""
        bags = torch.cat(
            [mean_of(self.table, *word_grams(words)), mean_of(self.table, *char_grams(chars))], dim=1
        )
        tokens: Tensor = self.out(bags).unflatten(1, (self.tokens, -1))
        return tokens


class PieceBag(nn.Module):
    """The mean of the embeddings of word pieces, one and two: what stands beside an encoder."""

    def __init__(self, depth: int, tokens: int, width: int) -> None:
        super().__init__()
        self.table = table(PIECES, depth)
        self.out = nn.Linear(depth, tokens * width)
        self.tokens = tokens

    def forward(self, ids: Tensor) -> Tensor:
        """``ids`` int32 [B, length], 0 = padding → float32 [B, K, D]."""
        tokens: Tensor = self.out(mean_of(self.table, *word_grams(ids, PIECES)))
        return tokens.unflatten(1, (self.tokens, -1))


def table(buckets: int, depth: int) -> nn.Embedding:
    """Rows of zeros for so many buckets, from 1 on; row 0 stays so."""
    made = nn.Embedding(buckets + 1, depth, padding_idx=0)
    nn.init.zeros_(made.weight)
    return made


def mean_of(rows: nn.Module, grams: Tensor, count: Tensor) -> Tensor:
    """The mean, float32 [B, depth], of a table's rows ``grams`` [B, n] (0 = none), ``count`` [B] of them."""
    mean: Tensor = rows(grams).sum(dim=1) / count.clamp(min=1.0).unsqueeze(1)
    return mean


def word_grams(words: Tensor, buckets: int = BUCKETS) -> tuple[Tensor, Tensor]:
    """Buckets int32 [B, 2n] of words and pairs (0 = none), and how many there are, float32 [B]."""
    after = nn.functional.pad(words[:, 1:], (0, 1))
    one = words % buckets + 1
    two = (words % buckets * _STEP + after) % buckets + 1
    grams = torch.cat([torch.where(words != 0, one, 0), torch.where(after != 0, two, 0)], dim=1)
    return grams, (grams != 0).to(torch.float32).sum(dim=1)


def char_grams(chars: Tensor) -> tuple[Tensor, Tensor]:
    """Buckets int32 [B, 5m] of the n-grams that begin at each character, and how many there are."""
    ideograph = (chars >= 0x3400) & (chars < 0xA000)
    found, hashed, here = [], torch.zeros_like(chars), chars
    mixed = chars % BUCKETS * _MIX % BUCKETS
    for n in range(1, LONGEST + 1):
        hashed = (hashed * _STEP + mixed + n) % BUCKETS
        wanted = ideograph & (here != 0) if n == 1 else here != 0
        if n > 3:
            wanted = wanted & ~ideograph
        found.append(torch.where(wanted, hashed + 1, 0))
        here, mixed = nn.functional.pad(here[:, 1:], (0, 1)), nn.functional.pad(mixed[:, 1:], (0, 1))
    grams = torch.cat(found, dim=1)
    return grams, (grams != 0).to(torch.float32).sum(dim=1)
