"""Graphs that ONNX Runtime has no kernels for answer through their twins."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx")

import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from engines import golden
from engines.precision.compare import compare, golden_error, inputs_of, runs, twin
from tests.engines.precision.graphs import WIDTH, encoder, ids, model


def brain() -> bytes:
    """float → bfloat16 · bfloat16 + bfloat16 → float."""
    random = np.random.default_rng(0)
    nodes = [
        ("Cast", ["x"], "narrow", {"to": TensorProto.BFLOAT16}),
        ("MatMul", ["narrow", "weights"], "product", {}),
        ("Add", ["product", "bias"], "sum", {}),
        ("Relu", ["sum"], "kept", {}),
        ("Cast", ["kept"], "y", {"to": TensorProto.FLOAT}),
    ]
    made = model(nodes, {}, {"x": (TensorProto.FLOAT, ["rows", 6])}, "y", ["rows", 5])
    for name, shape in (("weights", (6, 5)), ("bias", (5,))):
        bits = (random.normal(0, 1, shape).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
        tensor = helper.make_tensor(name, TensorProto.BFLOAT16, shape, bits.tobytes(), raw=True)
        made.graph.initializer.append(tensor)
    made.opset_import[0].version = 22
    return bytes(made.SerializeToString())


def test_a_twin_answers_as_the_reference_of_the_standard():
    graph = brain()
    x = np.random.default_rng(1).normal(0, 1, (7, 6)).astype(np.float32)
    wanted = ReferenceEvaluator(graph).run(None, {"x": x})[0]
    import onnxruntime as ort

    session = ort.InferenceSession(twin(graph), providers=["CPUExecutionProvider"])
    # The reference rounds each product too, so one more step of bfloat16 (2^-8) may lie between.
    np.testing.assert_allclose(session.run(None, {"x": x})[0], wanted, atol=0.04, rtol=2**-7)


def test_a_twin_rounds_to_bfloat16():
    import onnxruntime as ort

    session = ort.InferenceSession(twin(brain()), providers=["CPUExecutionProvider"])
    y = session.run(None, {"x": np.full((1, 6), 0.3, np.float32)})[0]
    assert not (y.view(np.uint32) & 0xFFFF).any()


def test_a_comparison_says_whether_the_graph_ran_as_it_is():
    graph = bytes(encoder().SerializeToString())
    same = compare(graph, graph, [ids()])
    assert (same.largest, same.typical, same.as_it_is) == (0.0, 0.0, True)
    assert not runs(brain())


def test_a_graph_with_other_weights_differs():
    one, other = encoder(), encoder()
    gain = next(x for x in other.graph.initializer if x.name == "gain")
    gain.CopyFrom(numpy_helper.from_array(np.full(WIDTH, 1.1, np.float32), "gain"))
    found = compare(one.SerializeToString(), other.SerializeToString(), [ids()])
    assert found.typical == pytest.approx(0.1, rel=1e-4)


def test_rows_of_a_batch_become_what_towers_are_given(bundle):
    found = inputs_of(bundle, golden.batch_of(bundle.golden, bundle.preprocess.text.channels))
    assert found["text"][0]["ids"].dtype == np.int32
    assert found["image"][0]["pixels"].dtype == np.uint8
    assert found["audio"][0].keys() == {"samples", "lengths"}
    shown = bundle.golden["presence"]
    assert sum(len(each["ids"]) for each in found["text"]) == (shown & 1 > 0).sum()


def test_logits_of_the_graphs_as_they_are_are_the_golden_ones(bundle):
    assert golden_error(bundle, {}) < golden.bound("fp32")


def test_logits_show_a_tower_that_answers_otherwise(bundle):
    found = onnx.load_from_string(bundle.read(bundle.graph_name("text")))
    table = next(x for x in found.graph.initializer if x.name == "table")
    table.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(table) * np.float32(1.5), "table"))
    assert golden_error(bundle, {"text": found.SerializeToString()}) > golden.bound("fp16")
