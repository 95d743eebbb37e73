"""A graph → the same graph in the types that TensorRT has: bytes only where they come in or are quantised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import onnx
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

from engines.precision.folding import readers_of

_BYTES: Final = (TensorProto.INT8, TensorProto.UINT8)
_MOVES: Final = frozenset(
    (
        "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Identity", "Reshape", "Slice",
        "Squeeze", "Transpose", "Unsqueeze",
    )
)  # fmt: skip
"""Operators that only move what their first input holds, whatever its type."""
_TELLS: Final = frozenset(
    ("And", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Not", "Or", "Xor")
)
"""Operators that answer true or false."""


def readable(graph: bytes) -> bytes:
    """An ONNX file's bytes as TensorRT's parser takes them, with the very same answers.

    Bytes that come in are cast before anything else is done with them, byte weights that are cast in the end
    are floats at once, and the equality of two truths is told by their difference.
    """
    model = onnx.load_model_from_string(graph)
    nodes = readers_of(model.graph.node)
    changes = [_come_in(model.graph, nodes), _weights(model.graph, nodes), _truths(model.graph)]
    if not any(changes):
        return graph
    del model.graph.value_info[:]  # it says what the types were
    made: bytes = model.SerializeToString()
    return made


def _come_in(graph: GraphProto, readers: Mapping[str, Sequence[NodeProto]]) -> bool:
    found = False
    for one in graph.input:
        at_once = all(node.op_type == "Cast" for node in readers[one.name])
        if one.type.tensor_type.elem_type in _BYTES and not at_once and _moved(one.name, readers):
            wide = f"{one.name}/wide"
            for node in readers[one.name]:
                node.input[:] = [wide if name == one.name else name for name in node.input]
            graph.node.insert(0, helper.make_node("Cast", [one.name], [wide], wide, to=TensorProto.FLOAT))
            found = True
    return found


def _weights(graph: GraphProto, readers: Mapping[str, Sequence[NodeProto]]) -> bool:
    found = False
    for held in graph.initializer:
        if held.data_type in _BYTES and readers[held.name] and _moved(held.name, readers):
            values = numpy_helper.to_array(held).astype(np.float32)
            held.CopyFrom(numpy_helper.from_array(values, held.name))
            found = True
    return found


def _moved(name: str, readers: Mapping[str, Sequence[NodeProto]]) -> bool:
    """Whether what a tensor holds is only moved before it is cast, so that its type does not matter."""
    return all(
        node.op_type in ("Cast", "Shape")
        or (node.op_type in _MOVES and node.input[0] == name and _moved(node.output[0], readers))
        for node in readers[name]
    )


def _truths(graph: GraphProto) -> bool:
    known = {each.name for each in graph.initializer if each.data_type == TensorProto.BOOL}
    nodes: list[NodeProto] = []
    for node in graph.node:
        equal = node.op_type == "Equal" and any(name in known for name in node.input)
        to = next((each.i for each in node.attribute if each.name == "to"), None)
        moved = node.op_type in _MOVES and node.input[0] in known
        if node.op_type in _TELLS or moved or (node.op_type == "Cast" and to == TensorProto.BOOL):
            known.update(node.output)
        nodes.append(node)
        if equal:
            told, node.op_type = node.output[0], "Xor"
            node.output[0] = f"{told}/differs"
            nodes.append(helper.make_node("Not", [node.output[0]], [told], f"{told}/equal"))
    changed = len(nodes) > len(graph.node)
    if changed:
        del graph.node[:]
        graph.node.extend(nodes)
    return changed
