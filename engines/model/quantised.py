"""Weights of a trained network as bytes: a quarter of the size, the arithmetic stays float.

Each output of a linear layer, each row of an embedding and each column of a bag's table has one symmetric
scale. A byte is exact in bfloat16, so lower precision adds nothing to the weights' error; activations are
never quantised, so no row depends on its batch.
"""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: allow-subclassing-any, no-warn-return-any

from __future__ import annotations

import torch
from torch import Tensor, nn


class QuantisedLinear(nn.Module):
    """y = (x · W) · scale + b, W int8 [in, out], ``scale`` float32 [out]."""

    weight: Tensor
    scale: Tensor

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        scale, rounded = _rounded(layer.weight.detach(), dim=1)
        self.register_buffer("weight", rounded.T.contiguous())
        self.register_buffer("scale", scale.squeeze(1))
        self.bias = nn.Parameter(layer.bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """``x`` [..., in] → [..., out]."""
        return (x @ self.weight.to(x.dtype)) * self.scale + self.bias


class QuantisedEmbedding(nn.Module):
    """Rows int8 [n, depth], each with its scale."""

    weight: Tensor
    scale: Tensor

    def __init__(self, layer: nn.Embedding) -> None:
        super().__init__()
        scale, rounded = _rounded(layer.weight.detach(), dim=1)
        self.register_buffer("weight", rounded)
        self.register_buffer("scale", scale)

    def forward(self, ids: Tensor) -> Tensor:
        """Ids [...] → float32 [..., depth]."""
        return nn.functional.embedding(ids, self.weight).to(torch.float32) * nn.functional.embedding(
            ids, self.scale
        )


class QuantisedTable(nn.Module):
    """Rows int8 [n, depth] with one scale a column, so that sums need but one product."""

    weight: Tensor
    scale: Tensor

    def __init__(self, layer: nn.Embedding) -> None:
        super().__init__()
        scale, rounded = _rounded(layer.weight.detach(), dim=0, clip=0.9999)
        self.register_buffer("weight", rounded)
        self.register_buffer("scale", scale.squeeze(0))

    def forward(self, ids: Tensor) -> Tensor:
        """Ids [...] → float32 [..., depth]."""
        return nn.functional.embedding(ids, self.weight).to(torch.float32) * self.scale


def quantise(network: nn.Module, tables: tuple[type[nn.Module], ...] = ()) -> nn.Module:
    """Replace every linear layer and embedding in place; embeddings inside ``tables`` get column scales."""
    for name, child in network.named_children():
        if isinstance(child, nn.Linear) and child.bias is not None:
            setattr(network, name, QuantisedLinear(child))
        elif isinstance(child, nn.Embedding):
            kind = QuantisedTable if isinstance(network, tables) else QuantisedEmbedding
            setattr(network, name, kind(child))
        else:
            quantise(child, tables)
    return network


def _rounded(weight: Tensor, dim: int, clip: float = 1.0) -> tuple[Tensor, Tensor]:
    """Scale and int8 of float32 [n, m], one scale for each slice along ``dim``."""
    size = weight.abs()
    top = size.amax(dim=dim, keepdim=True)
    if clip < 1.0:
        k = max(1, round(clip * size.shape[dim]))
        top = size.kthvalue(k, dim=dim, keepdim=True).values
    scale = top.clamp(min=1e-8) / 127.0
    return scale, torch.round(weight / scale).clamp(-127, 127).to(torch.int8)
