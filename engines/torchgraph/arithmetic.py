"""Operators that work on each element, or reduce."""

from __future__ import annotations

from functools import reduce
from typing import Any, Final

from engines.errors import EngineError
from engines.torchgraph.graph import Node
from engines.torchgraph.library import Tensor, functional, torch
from engines.torchgraph.table import Kernel, ints, operator, simple

_KINDS: Final = {
    1: torch.float32, 2: torch.uint8, 3: torch.int8, 5: torch.int16, 6: torch.int32, 7: torch.int64,
    9: torch.bool, 10: torch.float32, 11: torch.float64, 16: torch.float32,
}  # fmt: skip
"""ONNX's element types; narrow floats are left to the precision that the graph is run at."""

for _name, _kernel in {
    "Abs": torch.abs, "Add": torch.add, "And": torch.logical_and, "Ceil": torch.ceil, "Cos": torch.cos,
    "Equal": torch.eq, "Erf": torch.erf, "Exp": torch.exp, "Floor": torch.floor, "Greater": torch.gt,
    "GreaterOrEqual": torch.ge, "IsNaN": torch.isnan, "Less": torch.lt, "LessOrEqual": torch.le,
    "Log": torch.log, "Mul": torch.mul, "Neg": torch.neg, "Not": torch.logical_not, "Or": torch.logical_or,
    "Pow": torch.pow, "Reciprocal": torch.reciprocal, "Relu": torch.relu, "Round": torch.round,
    "Sigmoid": torch.sigmoid, "Sign": torch.sign, "Sin": torch.sin, "Softplus": functional.softplus,
    "Sqrt": torch.sqrt, "Sub": torch.sub, "Tanh": torch.tanh, "Xor": torch.logical_xor,
    "Identity": lambda x: x,
    "HardSwish": functional.hardswish,
    "Where": torch.where,
    "Max": lambda *xs: reduce(torch.maximum, xs),
    "Min": lambda *xs: reduce(torch.minimum, xs),
    "Sum": lambda *xs: reduce(torch.add, xs),
}.items():  # fmt: skip
    simple(_name, _kernel)


@operator("Div")
def _div(node: Node, device: str) -> Kernel:
    def run(a: Tensor, b: Tensor) -> Tensor:
        return torch.div(a, b, rounding_mode=None if a.is_floating_point() else "trunc")

    return run


@operator("Mod")
def _mod(node: Node, device: str) -> Kernel:
    return torch.fmod if node.attributes.get("fmod") else torch.remainder  # type: ignore[no-any-return]


@operator("Clip")
def _clip(node: Node, device: str) -> Kernel:
    def run(x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
        return x if low is None and high is None else torch.clamp(x, low, high)

    return run


@operator("Cast")
def _cast(node: Node, device: str) -> Kernel:
    kind = _KINDS.get(node.attributes["to"])
    if kind is None:
        raise EngineError("A graph casts to a type that torch does not have", why=str(node.attributes["to"]))

    def run(x: Tensor) -> Tensor:
        if kind == torch.float32 and x.dtype in (torch.bfloat16, torch.float16):
            return x
        return x.to(kind)

    return run


@operator("Gelu")
def _gelu(node: Node, device: str) -> Kernel:
    form = node.attributes.get("approximate", "none")
    return lambda x: functional.gelu(x, approximate=form)


@operator("LeakyRelu")
def _leaky(node: Node, device: str) -> Kernel:
    slope = node.attributes.get("alpha", 0.01)
    return lambda x: functional.leaky_relu(x, slope)


@operator("Softmax", "LogSoftmax")
def _softmax(node: Node, device: str) -> Kernel:
    axis = node.attributes.get("axis", -1)
    function = torch.softmax if node.op == "Softmax" else torch.log_softmax
    return lambda x: function(x, axis)


@operator("CumSum")
def _cumsum(node: Node, device: str) -> Kernel:
    if node.attributes.get("reverse") or node.attributes.get("exclusive"):
        raise EngineError("A graph sums in a way that the torch engine does not know", why="CumSum backwards")
    return lambda x, axis: torch.cumsum(x, int(axis), dtype=x.dtype)


@operator("ArgMax")
def _argmax(node: Node, device: str) -> Kernel:
    axis, keep = node.attributes.get("axis", 0), bool(node.attributes.get("keepdims", 1))
    return lambda x: torch.argmax(x, axis, keepdim=keep)


_REDUCED: Final[dict[str, Any]] = {
    "ReduceSum": lambda x, axes, keep: x.sum(axes, keepdim=keep, dtype=x.dtype),
    "ReduceMean": lambda x, axes, keep: x.mean(axes, keepdim=keep),
    "ReduceMax": lambda x, axes, keep: x.amax(axes, keepdim=keep),
    "ReduceMin": lambda x, axes, keep: x.amin(axes, keepdim=keep),
    "ReduceL1": lambda x, axes, keep: x.abs().sum(axes, keepdim=keep),
    "ReduceL2": lambda x, axes, keep: torch.linalg.vector_norm(x, 2, axes, keepdim=keep),
    "ReduceSumSquare": lambda x, axes, keep: (x * x).sum(axes, keepdim=keep),
    "ReduceLogSumExp": lambda x, axes, keep: torch.logsumexp(x, axes, keepdim=keep),
}


@operator(*_REDUCED)
def _reduce(node: Node, device: str) -> Kernel:
    function, keep = _REDUCED[node.op], bool(node.attributes.get("keepdims", 1))
    own, nothing = node.attributes.get("axes"), bool(node.attributes.get("noop_with_empty_axes"))

    def run(x: Tensor, axes: Tensor | None = None) -> Tensor:
        wanted = list(own or []) if axes is None else ints(axes)
        if not wanted and nothing:
            return x
        return function(x, wanted or list(range(x.ndim)), keep)

    return run


@operator("ReduceProd")
def _product(node: Node, device: str) -> Kernel:
    keep = bool(node.attributes.get("keepdims", 1))

    def run(x: Tensor, axes: Tensor | None = None) -> Tensor:
        wanted = [axis % x.ndim for axis in ints(axes)] if axes is not None else list(range(x.ndim))
        for axis in sorted(wanted, reverse=True):
            x = torch.prod(x, axis, keepdim=keep, dtype=x.dtype)
        return x

    return run
