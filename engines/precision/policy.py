"""Which nodes of a graph stay at FP32, and which graphs 8-bit floats are for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, shape_inference

from engines.precision.folding import beyond_half

KEPT: Final = (
    "LayerNormalization", "Softmax", "LogSoftmax", "ReduceMean", "ReduceSum", "ReduceSumSquare", "ReduceL2",
    "ReduceMax", "ReduceMin", "Exp", "Log", "Pow", "Sqrt", "DFT", "STFT", "CumSum", "Range", "Mod",
)  # fmt: skip
"""Operators that stay at FP32: sums need its digits, exponentials and squares its range."""
LARGEST: Final = 512.0
"""A node whose inputs or outputs exceed this on the samples stays at FP32: beyond, FP16 counts in halves."""
_CHAIN: Final = frozenset({"Add", "Sub", "Mul", "Div", "Where", "Cast", "Reshape"})
_STEPS: Final = 6


def kept_nodes(model: ModelProto, precision: str) -> set[str]:
    """Names of nodes that stay at FP32 besides those of `KEPT`; only such as have float32 outputs."""
    kinds = kinds_of(model)
    found = before_logarithms(model.graph) | whole_numbers(model.graph, kinds)
    if precision != "bf16":
        found |= beyond_half(model)
    # Told of others too, the converter takes their booleans for floats.
    floats = {n.name for n in model.graph.node if all(kinds.get(x) == TensorProto.FLOAT for x in n.output)}
    return found & floats


def whole_numbers(graph: GraphProto, kinds: Mapping[str, int]) -> set[str]:
    """Casts of positions, lengths and counts to float: 16 bits hold few of them exactly."""
    wide = (TensorProto.INT32, TensorProto.INT64)
    return {n.name for n in graph.node if n.op_type == "Cast" and kinds.get(n.input[0]) in wide}


def before_logarithms(graph: GraphProto) -> set[str]:
    """Nodes that a logarithm is made of: spectra and energies span more decades than 16 bits have."""
    makers = makers_of(graph)
    found: set[str] = set()
    waiting = [node for node in graph.node if node.op_type == "Log"]
    while waiting:
        node = waiting.pop()
        if node.name not in found:
            found.add(node.name)
            waiting += [makers[name] for name in node.input if name in makers]
    return found


def attends(model: ModelProto) -> bool:
    """Whether it is a transformer: a softmax over products of one computed tensor with another."""
    graph = model.graph
    makers = makers_of(graph)
    constant = {each.name for each in graph.initializer}
    return any(_scores(n, makers, constant) for n in graph.node if n.op_type == "Softmax") or any(
        node.op_type == "Attention" for node in graph.node
    )


def _scores(softmax: NodeProto, makers: dict[str, NodeProto], constant: set[str]) -> bool:
    names = list(softmax.input)
    for _ in range(_STEPS):
        nodes = [makers[name] for name in names if name in makers]
        if any(n.op_type == "MatMul" and not _learned(n, makers, constant) for n in nodes):
            return True
        names = [name for node in nodes if node.op_type in _CHAIN for name in node.input]
    return False


def _learned(product: NodeProto, makers: dict[str, NodeProto], constant: set[str]) -> bool:
    """Whether one side is a weight, by itself or behind nodes that only change its form."""
    return any(_fixed(name, makers, constant, _STEPS) for name in product.input)


def _fixed(name: str, makers: dict[str, NodeProto], constant: set[str], steps: int) -> bool:
    if name in constant:
        return True
    node = makers.get(name)
    if node is None or not steps:
        return False
    return all(_fixed(each, makers, constant, steps - 1) for each in node.input)


def kinds_of(model: ModelProto) -> dict[str, int]:
    """The element type of each tensor."""
    graph = shape_inference.infer_shapes(model).graph
    kinds = {each.name: int(each.data_type) for each in graph.initializer}
    for each in (*graph.value_info, *graph.input, *graph.output):
        kinds[each.name] = int(each.type.tensor_type.elem_type)
    return kinds


def makers_of(graph: GraphProto) -> dict[str, NodeProto]:
    """Which node makes each tensor."""
    return {name: node for node in graph.node for name in node.output}
