"""The tower of a modality that a bundle knows nothing of: it takes the inputs and gives zeros."""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: allow-subclassing-any, no-warn-return-any

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.export import Dim

from engines.model.parts import Shapes
from engines.preprocess.spec import AudioSpec, ImageSpec, TextSpec

_INPUTS: Final = {"image": ("pixels",), "audio": ("samples", "lengths")}


class SilentTower(nn.Module):
    """One token of zeros for every row; nothing to learn."""

    outputs = ("tokens",)

    def __init__(self, modality: str, width: int, spec: TextSpec | ImageSpec | AudioSpec) -> None:
        super().__init__()
        self.inputs = spec.channels if isinstance(spec, TextSpec) else _INPUTS[modality]
        self.width, self.spec = width, spec

    def example(self) -> tuple[tuple[Tensor, ...], Shapes]:
        """Two rows, any number of them; texts and sounds of any length."""
        rows = Dim("rows", min=1)
        if isinstance(self.spec, ImageSpec):
            return (torch.zeros(2, self.spec.height, self.spec.width, 3, dtype=torch.uint8),), ({0: rows},)
        if isinstance(self.spec, AudioSpec):
            lengths = torch.tensor([900, 500], dtype=torch.int32)
            return (torch.zeros(2, 900), lengths), ({0: rows, 1: Dim("samples", min=1)}, {0: rows})
        texts = tuple(torch.ones(2, 7, dtype=torch.int32) for _ in self.inputs)
        return texts, tuple({0: rows, 1: Dim(f"length_{k}", min=1)} for k in range(len(texts)))

    def forward(self, *inputs: Tensor) -> Tensor:
        """→ float32 [B, 1, D] of zeros; every input is read, for a graph may not leave one out."""
        said = torch.stack([own.flatten(1)[:, 0].to(torch.float32) if own.dim() > 1 else own.to(torch.float32)
                            for own in inputs]).sum(dim=0)  # fmt: skip
        return (said * 0.0)[:, None, None].expand(-1, 1, self.width)
