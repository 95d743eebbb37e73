"""What TensorRT cannot read is rewritten, with the very same answers; and nothing else is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from engines.bundle import GRAPHS, Bundle
from engines.tensorrt.buckets import Bucket
from engines.tensorrt.readable import readable
from engines.tensorrt.signature import Signature
from engines.throughput import inputs_of
from tests.standin import graphs

SIZES = {"length": 12, "length_zh": 7, "words": 9, "chars": 31, "samples": 20_000}


def answers(graph: bytes, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return session.run(None, inputs)


def model(nodes: Sequence[NodeProto], kind: int, gives: int, held: Sequence[np.ndarray] = ()) -> bytes:
    graph = helper.make_graph(
        list(nodes), "g",
        [helper.make_tensor_value_info("x", kind, ["rows", 2])],
        [helper.make_tensor_value_info("y", gives, None)],
        [numpy_helper.from_array(each, f"w{k}") for k, each in enumerate(held)],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]).SerializeToString()


@pytest.mark.parametrize("tower", GRAPHS)
@pytest.mark.parametrize("name", ["starter", "edge"])
def test_every_graph_that_ships_is_read_and_answers_alike(name: str, tower: str):
    bundle = Bundle.load(name)
    graph = bundle.read(bundle.graph_name(tower))
    signature = Signature.of(graph)
    bucket = Bucket(3, tuple((axis, SIZES[axis]) for axis in signature.axes))
    inputs = dict(inputs_of(signature, bucket, bundle.preprocess))
    if "lengths" in inputs:
        inputs["lengths"] = np.array([20_000, 900, 1], np.int32)
    made = readable(graph)
    assert Signature.of(made) == signature
    graphs.Graph(made)
    for one, other in zip(answers(graph, inputs), answers(made, inputs), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
    assert readable(made) == made


def test_bytes_that_come_in_are_cast_before_they_are_moved():
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0]),
        helper.make_node("Cast", ["t"], ["y"], to=TensorProto.FLOAT),
    ]
    graph = model(nodes, TensorProto.UINT8, TensorProto.FLOAT)
    with pytest.raises(ValueError, match="reads bytes"):
        graphs.Graph(graph)
    made = readable(graph)
    (given,) = graphs.Graph(made).inputs
    assert given.dtype == "UINT8"
    x = np.array([[0, 255], [7, 128]], np.uint8)
    np.testing.assert_array_equal(answers(made, {"x": x})[0], x.T.astype(np.float32))


def test_byte_weights_that_are_cast_are_floats_at_once_and_those_that_are_quantised_stay():
    table = np.array([[-127, 5], [9, 127]], np.int8)
    nodes = [
        helper.make_node("Gather", ["w0", "x"], ["g"]),
        helper.make_node("Cast", ["g"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("DequantizeLinear", ["w1", "w2"], ["d"]),
        helper.make_node("MatMul", ["f", "d"], ["y"]),
    ]
    held = [table, np.array([[1, 2], [3, 4]], np.int8), np.float32(0.5)]
    graph = model(nodes, TensorProto.INT32, TensorProto.FLOAT, held)
    made = readable(graph)
    types = {each.name: each.data_type for each in onnx.load_model_from_string(made).graph.initializer}
    assert types == {"w0": TensorProto.FLOAT, "w1": TensorProto.INT8, "w2": TensorProto.FLOAT}
    graphs.Graph(made)
    inputs = {"x": np.array([[0, 1]], np.int32)}
    np.testing.assert_array_equal(answers(made, inputs)[0], answers(graph, inputs)[0])


@pytest.mark.parametrize("constant", [True, False])
def test_the_equality_of_truths_is_told_by_their_difference(constant: bool):
    nodes = [
        helper.make_node("Less", ["x", "w0"], ["a"]),
        helper.make_node("Greater", ["x", "w1"], ["b"]),
        helper.make_node("Equal", ["a", "w2" if constant else "b"], ["e"]),
        helper.make_node("Cast", ["e"], ["y"], to=TensorProto.FLOAT),
    ]
    held = [np.float32(0), np.float32(-1), np.array([False, True])]
    graph = model(nodes, TensorProto.FLOAT, TensorProto.FLOAT, held)
    with pytest.raises(ValueError, match="compares truths"):
        graphs.Graph(graph)
    made = readable(graph)
    graphs.Graph(made)
    inputs = {"x": np.array([[-2, -2], [-0.5, -0.5], [3, 3]], np.float32)}
    np.testing.assert_array_equal(answers(made, inputs)[0], answers(graph, inputs)[0])


def test_what_tensorrt_reads_as_it_is_stays_as_it_is():
    floats = [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)]
    graph = model(floats, TensorProto.UINT8, TensorProto.FLOAT)
    assert readable(graph) == graph
    sums = [helper.make_node("Add", ["x", "x"], ["y"])]
    graph = model(sums, TensorProto.UINT8, TensorProto.UINT8)
    assert readable(graph) == graph, "what is done with bytes is not for us to change"
