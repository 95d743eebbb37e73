"""A graph made shorter: constants computed once, attention and linear layers as one node each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engines.torchgraph.graph import Graph, Node
from engines.torchgraph.library import torch
from engines.torchgraph.table import OPERATORS

_LARGE: Final = 1 << 22
"""What is made of constants but has more elements than this, and than they have, is made when it is run."""


def fold(graph: Graph) -> None:
    """Compute what is known from the start, weights that are stored as bytes above all."""
    left = []
    for node in graph.nodes:
        if not all(name in graph.constants for name in node.inputs if name):
            left.append(node)
            continue
        given = [graph.constants[name] if name else None for name in node.inputs]
        made = OPERATORS[node.op](node, "cpu")(*(None if one is None else _tensor(one) for one in given))
        parts = made if isinstance(made, tuple) else (made,)
        most = max([_LARGE, *(one.size for one in given if one is not None)])
        if any(part.numel() > most for part in parts):
            left.append(node)
            continue
        graph.constants.update(zip(node.outputs, (part.numpy() for part in parts), strict=True))
    graph.nodes = left
    graph.prune()


def fuse(graph: Graph) -> None:
    """One node for each attention, softmax(q · kᵀ · scale + bias) · v, and each x · W · scale + b."""
    _attentions(graph)
    _linears(graph)
    graph.prune()


class _Scores(NamedTuple):
    """What a softmax is taken of."""

    q: str
    turned: str
    scale: float
    bias: str = ""


def _attentions(graph: Graph) -> None:
    makers, uses = graph.makers(), graph.uses()
    for k, node in enumerate(graph.nodes):
        weights = makers.get(node.inputs[0]) if node.op == "MatMul" else None
        if weights is None or weights.op != "Softmax" or weights.attributes.get("axis", -1) != -1:
            continue
        if uses[node.inputs[0]] != 1:
            continue
        scores = _scores(weights.inputs[0], makers, uses, graph.constants)
        if scores is not None:
            inputs = [scores.q, scores.turned, node.inputs[1], *([scores.bias] if scores.bias else [])]
            graph.nodes[k] = Node("ScaledAttention", tuple(inputs), node.outputs, {"scale": scores.scale})
    graph.prune()


def _scores(
    name: str, makers: Mapping[str, Node], uses: Mapping[str, int], constants: Mapping[str, NDArray[Any]]
) -> _Scores | None:
    node = makers.get(name)
    if node is None or uses[name] != 1:
        return None
    if node.op != "Add":
        return _product(name, makers, uses, constants)
    for one, other in (node.inputs, node.inputs[::-1]):
        found = _product(one, makers, uses, constants)
        if found is not None:
            return found._replace(bias=other)
    return None


def _product(
    name: str, makers: Mapping[str, Node], uses: Mapping[str, int], constants: Mapping[str, NDArray[Any]]
) -> _Scores | None:
    scale = 1.0
    while (node := makers.get(name)) is not None and uses[name] == 1:
        if node.op == "MatMul":
            return None if node.inputs[1] in constants else _Scores(node.inputs[0], node.inputs[1], scale)
        factor = _number(constants.get(node.inputs[-1])) if node.op in ("Mul", "Div") else None
        if factor is None:
            return None
        scale = scale * factor if node.op == "Mul" else scale / factor
        name = node.inputs[0]
    return None


def _linears(graph: Graph) -> None:
    uses = graph.uses()
    readers = {name: node for node in graph.nodes for name in node.inputs}
    places = {id(node): k for k, node in enumerate(graph.nodes)}
    for node in list(graph.nodes):
        weight = graph.constants.get(node.inputs[1]) if node.op == "MatMul" else None
        if weight is None or weight.ndim != 2 or weight.dtype != np.float32:
            continue
        last, bias = node, None
        while bias is None and uses[last.outputs[0]] == 1 and last.outputs[0] in readers:
            after = readers[last.outputs[0]]
            other = graph.constants.get(_other(after, last.outputs[0]))
            if other is None or other.ndim > 1 or other.size not in (1, weight.shape[1]):
                break
            if after.op == "Mul":
                weight = weight * other
            elif after.op == "Add":
                bias = np.broadcast_to(other, weight.shape[1:])
            else:
                break
            last = after
        own = [f"{last.outputs[0]}/weight", f"{last.outputs[0]}/bias"]
        graph.constants[own[0]] = np.ascontiguousarray(weight.T)
        if bias is not None:
            graph.constants[own[1]] = np.ascontiguousarray(bias)
        inputs = (node.inputs[0], *(own if bias is not None else own[:1]))
        graph.nodes[places[id(last)]] = Node("Linear", inputs, last.outputs)


def _other(node: Node, name: str) -> str:
    """The second operand of a node of two, where the first is `name`; nothing where it has others."""
    if len(node.inputs) != 2:
        return ""
    return node.inputs[1] if node.inputs[0] == name else node.inputs[0]


def _number(value: NDArray[Any] | None) -> float | None:
    return float(value.reshape(-1)[0]) if value is not None and value.size == 1 else None


def _tensor(array: NDArray[Any]) -> Any:
    return torch.from_numpy(np.array(array))
