"""The starter's text towers: small BERTs, each with a bag of word pieces beside it, for two languages."""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: allow-subclassing-any, no-warn-return-any

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.export import Dim
from transformers import BertConfig, BertModel

from engines.model.bags import PieceBag
from engines.model.parts import Shapes, padding_bias

BESIDE: Final = 0.35
"""The bag's part in the tokens of an encoder that has one beside it."""


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


class WideTower(nn.Module):
    """An encoder and a bag of the same word pieces: what each says, mixed.

    The two are taught apart, for the same expert: a bag errs where an encoder does not. Deep and wide are of
    Cheng et al. 2016, "Wide & Deep Learning", there taught together.
    """

    inputs, outputs = ("ids",), ("tokens",)

    def __init__(self, deep: EncoderTower, wide: PieceBag) -> None:
        super().__init__()
        self.deep, self.wide = deep, wide

    def example(self) -> tuple[tuple[Tensor, ...], Shapes]:
        """The encoder's."""
        return self.deep.example()

    def forward(self, ids: Tensor) -> Tensor:
        """``ids`` int32 [B, length], 0 = padding → float32 [B, K, D]."""
        tokens: Tensor = (1 - BESIDE) * self.deep(ids) + BESIDE * self.wide(ids)
        return tokens


class BilingualTower(nn.Module):
    """The tokens of one of two towers, whichever the text was given to."""

    inputs, outputs = ("ids", "ids_zh"), ("tokens",)

    def __init__(self, spaced: EncoderTower | WideTower, chinese: EncoderTower | WideTower) -> None:
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
