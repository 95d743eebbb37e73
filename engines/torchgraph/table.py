"""The table of operators, and what their parts are called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from engines.torchgraph.graph import Node
from engines.torchgraph.library import Tensor

Kernel: TypeAlias = Callable[..., Any]
"""Tensors → a tensor, or a tuple of them where the node has several outputs. An input left out is None."""
Maker: TypeAlias = Callable[[Node, str], Kernel]
"""(node, the device that it runs on) → its kernel; raises EngineError for what is not supported."""

OPERATORS: Final[dict[str, Maker]] = {}
"""Every operator by its ONNX name."""

STRUCTURAL: Final[dict[str, tuple[int, ...]]] = {
    "Reshape": (1,), "Expand": (1,), "Tile": (1,), "Slice": (1, 2, 3, 4), "Pad": (1, 2, 3), "Unsqueeze": (1,),
    "Squeeze": (1,), "Split": (1,), "Range": (0, 1, 2), "ConstantOfShape": (0,), "Resize": (1, 2, 3),
    "CumSum": (1,), "Trilu": (1,), "ReduceSum": (1,), "ReduceMean": (1,), "ReduceMax": (1,),
    "ReduceMin": (1,), "ReduceProd": (1,), "ReduceL1": (1,), "ReduceL2": (1,), "ReduceSumSquare": (1,),
    "ReduceLogSumExp": (1,),
}  # fmt: skip
"""Inputs that say how, not what: they must be known on the host, so that nothing waits for the device."""


def operator(*names: str) -> Callable[[Maker], Maker]:
    """Enter a maker in the table."""

    def enter(maker: Maker) -> Maker:
        OPERATORS.update(dict.fromkeys(names, maker))
        return maker

    return enter


def simple(name: str, kernel: Kernel) -> None:
    """Enter a kernel that no attribute changes."""
    OPERATORS[name] = lambda node, device: kernel


def ints(tensor: Tensor) -> list[int]:
    """The numbers of a host tensor."""
    return [int(value) for value in tensor.reshape(-1).tolist()]
