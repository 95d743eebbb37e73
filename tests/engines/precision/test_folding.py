"""Byte weights, masks and copies, before and after a converter."""

from __future__ import annotations

import copy

import numpy as np
import pytest

pytest.importorskip("onnx")

import onnxruntime as ort
from onnx import ModelProto, TensorProto, numpy_helper

from engines.precision.folding import beyond_half, clamp_masks, fold_bytes, merge_equal, name_nodes
from tests.engines.precision.graphs import encoder, ids, spectrum


def answers(model: ModelProto, inputs: dict) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


def kinds(model: ModelProto) -> dict[str, int]:
    return {each.name: each.data_type for each in model.graph.initializer}


def test_byte_layers_take_their_scales_in_and_answer_the_same():
    model = encoder()
    folded = copy.deepcopy(model)
    fold_bytes(folded)
    np.testing.assert_allclose(answers(folded, ids()), answers(model, ids()), atol=1e-5)
    assert kinds(folded)["query.bytes"] == TensorProto.FLOAT
    assert "query.scale" not in kinds(folded)
    assert len(folded.graph.node) == len(model.graph.node) - 8


def test_a_table_that_is_looked_up_in_stays_bytes():
    model = encoder()
    fold_bytes(model)
    assert kinds(model)["table"] == TensorProto.INT8


def test_a_layer_whose_raw_product_is_read_elsewhere_is_left_alone():
    model = encoder()
    next(node for node in model.graph.node if node.name == "Add_sum").input[0] = "out.raw"
    fold_bytes(model)
    assert kinds(model)["out.bytes"] == TensorProto.INT8


@pytest.mark.parametrize("far", [float("-inf"), float(np.finfo(np.float32).min)])
def test_what_masks_hide_stays_hidden_without_leaving_half_precision(far):
    model = encoder(far)
    before = answers(model, ids())
    clamp_masks(model)
    mask = next(numpy_helper.to_array(x) for x in model.graph.initializer if x.name == "far")
    assert mask == -1e4
    np.testing.assert_allclose(answers(model, ids()), before, atol=1e-6)


def test_an_epsilon_that_half_precision_cannot_hold_is_found():
    assert beyond_half(spectrum()) == {"Add_positive"}


def test_equal_tensors_are_kept_once():
    model = encoder()
    again = copy.deepcopy(next(x for x in model.graph.initializer if x.name == "query.bytes"))
    again.name = "copied"
    model.graph.initializer.append(again)
    next(node for node in model.graph.node if node.name == "Cast_key.wide").input[0] = "copied"
    before = answers(model, ids())
    merge_equal(model)
    assert "copied" not in kinds(model)
    np.testing.assert_array_equal(answers(model, ids()), before)


def test_nodes_without_a_name_get_one():
    model = encoder()
    for node in model.graph.node:
        node.name = "same"
    name_nodes(model)
    assert len({node.name for node in model.graph.node}) == len(model.graph.node)
