"""What a cast graph answers on this processor, against the graph it was made of.

ONNX Runtime has few kernels for bfloat16 on a CPU. A graph that it cannot run is run as its twin: every node
that would compute in bfloat16 takes the same rounded inputs, computes in float32 and rounds its output to
bfloat16, as matrix units do that add up in float32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper

from engines import golden
from engines.batch import MODALITIES, Batch, Float32
from engines.bundle import Bundle
from engines.combine import combinations
from engines.errors import EngineError
from engines.head import Head
from engines.planner import Budget
from engines.precision.policy import kinds_of
from engines.sessions.base import Arrays, Terms
from engines.sessions.onnxruntime import OnnxRuntimeSession
from engines.towers import Towers

_FLOAT, _BRAIN = TensorProto.FLOAT, TensorProto.BFLOAT16


@dataclass(frozen=True, slots=True)
class Compared:
    """One graph against another: the largest error of an output, relative to 1 + its size; the error's root
    mean square, relative to that of the output; and whether ONNX Runtime ran it as it is (else: its twin).
    """

    largest: float
    typical: float
    as_it_is: bool


def compare(reference: bytes, other: bytes, samples: Sequence[Arrays]) -> Compared:
    """Run both on the samples; raises EngineError where neither the graph nor its twin can be run."""
    native = runs(other)
    ours, theirs = _session(reference), _session(other if native else twin(other))
    largest, wrong, size = 0.0, 0.0, 0.0
    for sample in samples:
        for want, got in zip(ours.run(None, dict(sample)), theirs.run(None, dict(sample)), strict=True):
            error = np.abs(got.astype(np.float64) - want)
            largest = float(np.maximum(largest, np.max(error / (1 + np.abs(want)), initial=0)))
            wrong += float(np.square(error).sum())
            size += float(np.square(want.astype(np.float64)).sum())
    typical = (wrong / size) ** 0.5 if size else 0.0
    return Compared(_finite(largest), _finite(typical), native)


def _finite(error: float) -> float:
    return error if np.isfinite(error) else float("inf")


def golden_error(bundle: Bundle, graphs: Mapping[str, bytes]) -> float | None:
    """The largest error of a logit against the golden vectors, with some towers' graphs in place of those at
    fp32; None where the bundle has no golden vectors. Raises EngineError.
    """
    if bundle.golden is None:
        return None
    spec = bundle.preprocess
    batch = golden.batch_of(bundle.golden, spec.text.channels)
    shapes = [(count, bundle.width) for count in bundle.tokens]
    budget = Budget(rate=spec.audio.rate)
    own = [_Plain(runnable(graphs.get(m) or bundle.read(bundle.graph_name(m)))) for m in MODALITIES]
    towers = Towers(own, shapes, budget, None, spec.text.channels, spec.text.planned)
    head = Head(OnnxRuntimeSession(bundle, "head", "fp32", Terms()), shapes, budget.head_rows)
    return golden.error(bundle.golden, head.run([combinations(batch)], towers.run(batch))[0])


class _Plain:
    """A session that runs every node as it stands in the graph."""

    def __init__(self, graph: bytes) -> None:
        self._session = _session(graph)

    def run(self, inputs: Arrays) -> dict[str, Float32]:
        return {"tokens": self._session.run(["tokens"], dict(inputs))[0]}

    def close(self) -> None:
        """Nothing to give back."""


def runs(graph: bytes) -> bool:
    """Whether ONNX Runtime has a kernel for every node here."""
    try:
        _session(graph)
    except EngineError:
        return False
    return True


def runnable(graph: bytes) -> bytes:
    """The graph where ONNX Runtime can run it, else its twin."""
    return graph if runs(graph) else twin(graph)


def twin(graph: bytes) -> bytes:
    """The graph with bfloat16 kept between nodes and float32 inside them."""
    model = onnx.load_from_string(graph)
    kinds = kinds_of(model)
    nodes: list[NodeProto] = []
    wide: dict[str, str] = {}
    for node in model.graph.node:
        for name in node.input:
            if kinds.get(name) == _BRAIN and name not in wide and node.op_type != "Cast":
                wide[name] = f"{name}/wide"
                nodes.append(helper.make_node("Cast", [name], [wide[name]], to=_FLOAT))
        nodes += [node] if node.op_type == "Cast" else _widened(node, kinds, wide)
    del model.graph.node[:], model.graph.value_info[:]
    model.graph.node.extend(nodes)
    return bytes(model.SerializeToString())


def _widened(node: NodeProto, kinds: Mapping[str, int], wide: Mapping[str, str]) -> list[NodeProto]:
    """The node in float32, and what rounds its outputs again."""
    rounding = []
    for k, name in enumerate(node.input):
        node.input[k] = wide.get(name, name)
    for k, name in enumerate(node.output):
        if kinds.get(name) == _BRAIN:
            node.output[k] = f"{name}/exact"
            rounding.append(helper.make_node("Cast", [node.output[k]], [name], to=_BRAIN))
    return [node, *rounding]


def inputs_of(bundle: Bundle, batch: Batch) -> dict[str, list[dict[str, NDArray[Any]]]]:
    """A batch's rows as the towers get them: micro-batches of named arrays for each modality."""
    spec = bundle.preprocess
    shapes = [(count, bundle.width) for count in bundle.tokens]
    noted = [_Noted(shape) for shape in shapes]
    budget = Budget(rate=spec.audio.rate)
    Towers(noted, shapes, budget, None, spec.text.channels, spec.text.planned).run(batch)
    return {name: each.inputs for name, each in zip(MODALITIES, noted, strict=True)}


class _Noted:
    """A session that answers with zeros and notes what it was given."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self._shape = shape
        self.inputs: list[dict[str, NDArray[Any]]] = []

    def run(self, inputs: Arrays) -> dict[str, Float32]:
        self.inputs.append({name: np.array(rows) for name, rows in inputs.items()})
        rows = len(next(iter(inputs.values())))
        return {"tokens": np.zeros((rows, *self._shape), np.float32)}

    def close(self) -> None:
        """Nothing to give back."""


def _session(graph: bytes) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    # Nothing is fused: casts that round must not be taken for superfluous, and what ONNX Runtime makes of
    # quantised layers has kernels for some of them only.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own classes share no base but this
        raise EngineError("ONNX Runtime cannot load a graph", why=str(error)[:300]) from error
