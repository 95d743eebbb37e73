"""An ONNX file as plain nodes and arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError


@dataclass(frozen=True, slots=True)
class Node:
    """One operation; an input that is left out is an empty name."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Graph:
    """Nodes in an order that can be run, and the arrays that they know from the start."""

    nodes: list[Node]
    constants: dict[str, NDArray[Any]]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def makers(self) -> dict[str, Node]:
        """The node that makes each value."""
        return {name: node for node in self.nodes for name in node.outputs}

    def uses(self) -> Counter[str]:
        """How often each value is read, the graph's outputs once more."""
        return Counter([*(name for node in self.nodes for name in node.inputs), *self.outputs])

    def prune(self) -> None:
        """Leave out what no output needs."""
        wanted, kept = set(self.outputs), []
        for node in reversed(self.nodes):
            if wanted.intersection(node.outputs):
                kept.append(node)
                wanted.update(node.inputs)
        self.nodes = kept[::-1]
        self.constants = {name: value for name, value in self.constants.items() if name in wanted}


def read(data: bytes) -> Graph:
    """The graph of an ONNX file's bytes; raises EngineError."""
    onnx: Any = import_module("onnx")
    try:
        graph = onnx.load_from_string(data).graph
        constants = {one.name: _array(onnx, one) for one in graph.initializer}
        nodes = []
        for made in graph.node:
            node = _node(onnx, made)
            if node.op == "Constant":
                constants[node.outputs[0]] = _constant(node)
            else:
                nodes.append(node)
    except EngineError:
        raise
    except Exception as error:  # what protobuf raises is of no common class
        raise EngineError("A graph cannot be read", why=str(error)[:200]) from error
    given = tuple(one.name for one in graph.input if one.name not in constants)
    return Graph(nodes, constants, given, tuple(one.name for one in graph.output))


def _node(onnx: Any, node: Any) -> Node:
    if node.domain not in ("", "ai.onnx"):
        raise unknown([f"{node.domain}.{node.op_type}"])
    attributes = {one.name: _attribute(onnx, one) for one in node.attribute}
    return Node(node.op_type, tuple(node.input), tuple(node.output), attributes)


def _attribute(onnx: Any, one: Any) -> Any:
    value = onnx.helper.get_attribute_value(one)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return _array(onnx, value) if isinstance(value, onnx.TensorProto) else value


def _array(onnx: Any, tensor: Any) -> NDArray[Any]:
    array: NDArray[Any] = onnx.numpy_helper.to_array(tensor)
    # bfloat16 is no type of numpy's: such weights are widened, which is exact.
    return array.astype(np.float32) if tensor.data_type == onnx.TensorProto.BFLOAT16 else array


def _constant(node: Node) -> NDArray[Any]:
    (value,) = node.attributes.values()
    kinds = {"value_int": np.int64, "value_ints": np.int64, "value_float": np.float32}
    kind = kinds.get(next(iter(node.attributes)), np.float32)
    return value if isinstance(value, np.ndarray) else np.asarray(value, kind)


def unknown(operators: Iterable[str]) -> EngineError:
    """What to say of operators that torch does not run here."""
    return EngineError(
        "A graph holds operators that the torch engine does not know",
        why=", ".join(sorted(set(operators))),
        remedy="Set engine.backend to tensorrt or onnxruntime",
    )
