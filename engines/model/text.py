"""The starter's text towers: small BERTs, two of them for two languages, and a bag of hashed n-grams."""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: allow-subclassing-any, no-warn-return-any

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.export import Dim
from transformers import BertConfig, BertModel

from engines.model.parts import Shapes, padding_bias

BUCKETS: Final = 262_139
"""Rows of the bag's table but the padding's: a prime below 2^18."""
_STEP: Final = 31
_MIX: Final = 59
"""The hash's multipliers, so small that no value passes 2^24: some engines reckon integers as float32."""
LONGEST: Final = 5
"""Characters in the bag's longest n-gram."""


class EncoderTower(nn.Module):
    """A BERT whose positions are read by K attention pools, each beside the mean, into K tokens."""

    inputs, outputs = ("ids",), ("tokens",)

    def __init__(self, config: BertConfig, tokens: int, width: int) -> None:
        super().__init__()
        config._attn_implementation = "eager"  # noqa: SLF001 - fused attention is far slower backwards on a CPU
        self.body = BertModel(config, add_pooling_layer=False)
        inner = config.hidden_size
        self.score = nn.Linear(inner, tokens)
        self.pooled = nn.Parameter(torch.randn(tokens, inner, width) * inner**-0.5)
        self.mean = nn.Linear(inner, tokens * width)
        self.norm = nn.LayerNorm(width)

    def example(self) -> tuple[tuple[Tensor, ...], Shapes]:
        """Word pieces of two texts, any number of any length."""
        shapes = ({0: Dim("rows", min=1), 1: Dim("length", min=1)},)
        return (torch.ones(2, 7, dtype=torch.int32),), shapes

    def forward(self, ids: Tensor) -> Tensor:
        """``ids`` int32 [B, length], 0 = padding → float32 [B, K, D]."""
        valid = ids != 0
        bias = padding_bias(valid)
        x = self.body(input_ids=ids.long(), attention_mask=bias[:, None, None, :]).last_hidden_state
        weights = torch.softmax(self.score(x) + bias.unsqueeze(-1), dim=1)
        seen = valid.to(x.dtype).unsqueeze(-1)
        mean = (x * seen).sum(dim=1) / seen.sum(dim=1).clamp(min=1.0)
        pools = (weights.transpose(1, 2) @ x).unsqueeze(2) @ self.pooled
        tokens: Tensor = self.norm(
            pools.squeeze(2) + self.mean(mean).unflatten(1, (-1, self.norm.normalized_shape[0]))
        )
        return tokens


class BagTower(nn.Module):
    """Means of the embeddings of hashed words (one and two) and characters (one to five): no order, no depth.

    After fastText (Joulin et al. 2017). Ideographs count alone and up to three, other characters two to
    five at a time; the hash is a polynomial modulo a prime, computed in the graph.
    """

    inputs, outputs = ("words", "chars"), ("tokens",)

    def __init__(self, depth: int, tokens: int, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(BUCKETS + 1, depth, padding_idx=0)
        nn.init.zeros_(self.table.weight)
        self.out = nn.Linear(2 * depth, tokens * width)
        self.tokens = tokens

    def example(self) -> tuple[tuple[Tensor, ...], Shapes]:
        """Words and characters of two texts, any number of any length."""
        rows = Dim("rows", min=1)
        shapes = ({0: rows, 1: Dim("words", min=1)}, {0: rows, 1: Dim("chars", min=1)})
        return (torch.ones(2, 5, dtype=torch.int32), torch.ones(2, 9, dtype=torch.int32)), shapes

    def forward(self, words: Tensor, chars: Tensor) -> Tensor:
        """``words`` int32 [B, n] (hashes, 0 = padding), ``chars`` int32 [B, m] (code points) → [B, K, D]."""
        bags = torch.cat([self._mean(*word_grams(words)), self._mean(*char_grams(chars))], dim=1)
        tokens: Tensor = self.out(bags).unflatten(1, (self.tokens, -1))
        return tokens

    def _mean(self, grams: Tensor, count: Tensor) -> Tensor:
        return self.table(grams).sum(dim=1) / count.clamp(min=1.0).unsqueeze(1)


def word_grams(words: Tensor) -> tuple[Tensor, Tensor]:
    """Buckets int32 [B, 2n] of words and pairs (0 = none), and how many there are, float32 [B]."""
    after = nn.functional.pad(words[:, 1:], (0, 1))
    one = words % BUCKETS + 1
    two = (words % BUCKETS * _STEP + after) % BUCKETS + 1
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


class BilingualTower(nn.Module):
    """The tokens of one of two encoders, whichever the text was given to."""

    inputs, outputs = ("ids", "ids_zh"), ("tokens",)

    def __init__(self, spaced: EncoderTower, chinese: EncoderTower) -> None:
        super().__init__()
        self.spaced, self.chinese = spaced, chinese

    def example(self) -> tuple[tuple[Tensor, ...], Shapes]:
        """Two texts, any number of any length in each channel."""
        rows = Dim("rows", min=1)
        axes = (Dim(name, min=1) for name in ("length", "length_zh"))
        ones = (torch.ones(2, n, dtype=torch.int32) for n in (7, 6))
        return tuple(ones), tuple({0: rows, 1: axis} for axis in axes)

    def forward(self, ids: Tensor, ids_zh: Tensor) -> Tensor:
        """→ float32 [B, K, D]; a channel that is not for a text is all zero."""
        here = (ids_zh[:, :1] != 0).unsqueeze(2)
        return torch.where(here, self.chinese(ids_zh), self.spaced(ids))
