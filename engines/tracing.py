"""A graph as it ran: every operator with the shapes of what it read and wrote."""

from __future__ import annotations

import json
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import onnxruntime as ort

from engines.errors import EngineError
from engines.sessions.base import Arrays


class Node(NamedTuple):
    """One operator as it ran, with the shapes of what it read and wrote."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    read: tuple[tuple[int, ...], ...]
    wrote: tuple[tuple[int, ...], ...]
    turned: bool = False
    """Gemm's first operand is transposed."""


class Ran(NamedTuple):
    """A graph as it ran: operators in order, names that hold no activations, and what it gave."""

    nodes: tuple[Node, ...]
    fixed: frozenset[str]
    outputs: frozenset[str]


def traced(graph: bytes, inputs: Arrays) -> Ran:
    """Run a graph at fp32 on the processor, operator by operator, and note every shape."""
    try:
        onnx: Any = import_module("onnx")
    except ImportError as error:
        raise EngineError(
            "The roofline cannot be counted", why="the package onnx is not installed",
            remedy="pip install 'tidegate[gpu]', or onnx alone",
        ) from error  # fmt: skip
    model = onnx.load_from_string(graph)
    for k, node in enumerate(model.graph.node):
        node.name = f"n{k}"
    shapes = _profile(model.SerializeToString(), inputs)
    fixed = {weight.name for weight in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        given = tuple(name for name in node.input if name)
        if all(name in fixed for name in given):
            fixed.update(node.output)
        read, wrote = shapes.get(node.name, ((), ()))
        turned = any(own.name == "transA" and own.i for own in node.attribute)
        nodes.append(Node(node.op_type, given, tuple(filter(None, node.output)), read, wrote, turned))
    return Ran(tuple(nodes), frozenset(fixed), frozenset(own.name for own in model.graph.output))


def _profile(model: bytes, inputs: Arrays) -> dict[str, tuple[Any, Any]]:
    """Shapes (read, written) of each operator, by its name."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.enable_profiling = True
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.disable_prepacking", "1")  # packed weights would have no shape
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = f"{folder}/run"
        try:
            session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            session.run(None, dict(inputs))
            events = json.loads(Path(session.end_profiling()).read_text("utf-8"))
        except Exception as error:  # whatever the library raises for a graph that it cannot run
            raise EngineError("The graph's work cannot be counted", why=str(error)[:300]) from error
    found = {}
    for event in events:
        told = event.get("args", {})
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            shapes = (_dims(told.get("input_type_shape")), _dims(told.get("output_type_shape")))
            found[event["name"].removesuffix("_kernel_time")] = shapes
    return found


def _dims(told: Any) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(dims) for entry in told or () for dims in entry.values())
