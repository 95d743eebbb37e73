"""Where each value lives, and how exact it is: decided once, before anything runs."""

from __future__ import annotations

from typing import Final

from engines.errors import EngineError
from engines.torchgraph.graph import Graph, Node
from engines.torchgraph.table import STRUCTURAL

_TELLING: Final = ("Shape", "Size")
HEAVY: Final = frozenset({"MatMul", "Linear", "Gemm", "Conv", "ScaledAttention", "Attention"})
"""What is worth computing in low precision: it casts its inputs, all else follows them."""
_WIDE: Final = frozenset(
    {
        "Exp", "Log", "Pow", "Sqrt", "Reciprocal", "CumSum", "Softplus", "LogSoftmax", "ReduceSum",
        "ReduceMean", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp", "ReduceProd",
        "GlobalAveragePool", "BatchNormalization", "InstanceNormalization",
    }
)  # fmt: skip
"""What is computed, and answered, in fp32: its sums and ranges don't fit half precision."""
_DECIDING: Final = frozenset(
    {
        "Log", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal", "ArgMax", "CumSum", "Sign",
        "Ceil", "Floor", "Round",
    }
)  # fmt: skip
"""What magnifies a rounding error: everything that leads there stays in fp32, a spectrogram for one."""
_UNTYPED: Final = frozenset(
    {
        "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal", "ArgMax", "IsNaN", "Not", "And", "Or",
        "Xor", *_TELLING,
    }
)  # fmt: skip
"""What answers with truth or numbers of things, whatever it is given."""
_FLOATS: Final = (1, 10, 11, 16)
"""ONNX's numbers of the floating-point types that graphs are cast to."""
_TABLE: Final = 2
"""The least dimensions of an embedding's weights."""


def on_host(graph: Graph) -> set[str]:
    """The values that are computed on the host: shapes, and what shapes are made of.

    Raises EngineError where a shape depends on what only the device knows.
    """
    possible = set(graph.constants)
    for node in graph.nodes:
        if node.op in _TELLING or all(name in possible for name in node.inputs if name):
            possible.update(node.outputs)
    makers = graph.makers()
    host = {name for node in graph.nodes if node.op in _TELLING for name in node.outputs}
    open_ = [(name, node) for node in graph.nodes for name in how(node)]
    while open_:
        name, reader = open_.pop()
        if name in graph.constants or name in host:
            continue
        if name not in possible:
            raise EngineError(
                "A graph's shapes depend on its data",
                why=f"{reader.op} is told what only the device knows",
                remedy="Export the network with where() and masks instead",
            )
        host.update(makers[name].outputs)
        open_ += [(given, reader) for given in makers[name].inputs if given]
    return host


def how(node: Node) -> list[str]:
    """The inputs of a node that say how, not what."""
    return [node.inputs[k] for k in STRUCTURAL.get(node.op, ()) if k < len(node.inputs) and node.inputs[k]]


def exact(graph: Graph) -> set[str]:
    """The values that lead to a decision: never rounded."""
    found: set[str] = set()
    for node in reversed(graph.nodes):
        if node.op in _DECIDING or _counts(node) or found.intersection(node.outputs):
            found.update(name for name in node.inputs if name)
    return found


def narrow(graph: Graph, host: set[str]) -> tuple[set[str], set[str]]:
    """The values that are in low precision, and the outputs of nodes that want their inputs so."""
    kept = exact(graph)
    low: set[str] = set()
    wanting: set[str] = set()
    for node in graph.nodes:
        if host.intersection(node.outputs) or kept.intersection(node.outputs) or node.op in _WIDE:
            continue
        follows = any(name in low for name in node.inputs) and node.op not in _UNTYPED and not _counts(node)
        if node.op in HEAVY or follows or _looks_up(node, graph):
            wanting.update(node.outputs)
            low.update(node.outputs)
    return low, wanting


def _looks_up(node: Node, graph: Graph) -> bool:
    """An embedding: half the memory, and the stream that it begins is low from the start."""
    table = graph.constants.get(node.inputs[0]) if node.op == "Gather" else None
    return table is not None and table.dtype.kind == "f" and table.ndim >= _TABLE


def _counts(node: Node) -> bool:
    return node.op == "Cast" and node.attributes["to"] not in _FLOATS
