"""ONNX graphs as the stand-in runs them: on ONNX Runtime, with bfloat16 widened to float32."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto

BF16, F32 = TensorProto.BFLOAT16, TensorProto.FLOAT
BYTES = {TensorProto.INT8, TensorProto.UINT8}
_TYPES = {
    "tensor(float)": ("FLOAT", "float32"),
    "tensor(float16)": ("HALF", "float16"),
    "tensor(int8)": ("INT8", "int8"),
    "tensor(int32)": ("INT32", "int32"),
    "tensor(bool)": ("BOOL", "bool"),
    "tensor(uint8)": ("UINT8", "uint8"),
    "tensor(int64)": ("INT64", "int64"),
}


@dataclass(frozen=True)
class Side:
    """An input or output."""

    name: str
    dtype: str
    numpy: np.dtype[Any]
    dims: tuple[str | int, ...]


class Graph:
    """A graph that can be run; raises ValueError where it is none."""

    def __init__(self, source: bytes) -> None:
        self.source, self.digest = source, hashlib.sha256(source).hexdigest()
        try:
            model = onnx.shape_inference.infer_shapes(onnx.load_from_string(source))
            self.operators = [node.op_type for node in model.graph.node]
            self.precision = _precision(model)
            _check(model.graph)
            options = ort.SessionOptions()
            options.intra_op_num_threads, options.log_severity_level = 1, 4
            self._session: Any = ort.InferenceSession(
                _widened(model).SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise ValueError(f"Failed to parse the ONNX model: {str(error)[:300]}") from error

    @cached_property
    def inputs(self) -> list[Side]:
        return [_side(each) for each in self._session.get_inputs()]

    @cached_property
    def outputs(self) -> list[Side]:
        return [_side(each) for each in self._session.get_outputs()]

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """The outputs in order."""
        found: list[NDArray[Any]] = self._session.run(None, dict(inputs))
        return found


def _side(each: Any) -> Side:
    dtype, name = _TYPES[each.type]
    dims = tuple(dim if isinstance(dim, int) else str(dim) for dim in each.shape)
    return Side(each.name, dtype, np.dtype(name), dims)


def _check(graph: onnx.GraphProto) -> None:
    """Raise where bytes are neither cast nor quantised, or truths are compared: TensorRT cannot do that."""
    types = {each.name: each.data_type for each in graph.initializer}
    types |= {each.name: each.type.tensor_type.elem_type for each in (*graph.input, *graph.value_info)}
    constants = {each.name for each in graph.initializer}
    for node in graph.node:
        given = {types.get(name) for name in node.input}
        if given & BYTES and node.op_type not in ("Cast", "QuantizeLinear", "DequantizeLinear"):
            raise TypeError(f"{node.op_type} {node.name} reads bytes")
        if TensorProto.INT8 in given and node.op_type == "Cast" and node.input[0] in constants:
            raise TypeError(f"{node.op_type} {node.name} reads bytes that were never quantised")
        if TensorProto.BOOL in given and node.op_type == "Equal":
            raise TypeError(f"{node.op_type} {node.name} compares truths")


def _precision(model: onnx.ModelProto) -> str:
    """What a graph computes in, by the types it names."""
    types = {tensor.data_type for tensor in model.graph.initializer}
    types |= {
        a.i for node in model.graph.node if node.op_type == "Cast" for a in node.attribute if a.name == "to"
    }
    proto = TensorProto
    if types & {proto.FLOAT8E4M3FN, proto.FLOAT8E5M2}:
        return "fp8"
    if any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        return "int8"
    return "bf16" if BF16 in types else "fp16" if proto.FLOAT16 in types else "fp32"


def _widened(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with float32 wherever it has bfloat16; what was rounded stays rounded."""
    if BF16.to_bytes(1, "little") not in model.SerializeToString():
        return model
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    _widen(wide.graph)
    return wide


def _widen(graph: onnx.GraphProto) -> None:
    for tensor in graph.initializer:
        _widen_tensor(tensor)
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.tensor_type.elem_type == BF16:
            value.type.tensor_type.elem_type = F32
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                _widen_tensor(attribute.t)
            elif attribute.type == onnx.AttributeProto.GRAPH:
                _widen(attribute.g)
            elif attribute.name in ("to", "dtype", "output_dtype") and attribute.i == BF16:
                attribute.i = F32


def _widen_tensor(tensor: onnx.TensorProto) -> None:
    if tensor.data_type == BF16:
        values = onnx.numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
