"""What stays at FP32."""

from __future__ import annotations

import pytest

pytest.importorskip("onnx")

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engines.bundle import Bundle
from engines.precision.policy import attends, before_logarithms, kept_nodes
from tests.engines.precision.graphs import encoder, model, spectrum


def test_all_that_a_logarithm_is_made_of_stays():
    assert before_logarithms(spectrum().graph) == {
        "MatMul_amplitudes", "Mul_energies", "Add_positive", "Log_levels",
    }  # fmt: skip


def test_only_nodes_that_give_floats_are_named():
    assert not {"Equal_padding", "Gather_rows"} & kept_nodes(encoder(), "fp16")


def test_attention_is_known_by_products_of_two_computed_tensors():
    assert attends(encoder())
    assert not attends(spectrum())


def test_of_the_starter_only_the_text_tower_attends():
    bundle = Bundle.load("starter")
    graphs = {m: onnx.load_from_string(bundle.read(bundle.graph_name(m))) for m in ("text", "image", "audio")}
    assert {name for name, graph in graphs.items() if attends(graph)} == {"text"}


def test_lengths_are_counted_at_fp32_and_bytes_are_not():
    nodes = [
        ("Cast", ["lengths"], "counted", {"to": TensorProto.FLOAT}),
        ("Cast", ["pixels"], "shade", {"to": TensorProto.FLOAT}),
        ("Mul", ["counted", "shade"], "y", {}),
    ]
    inputs = {"lengths": (TensorProto.INT32, ["rows"]), "pixels": (TensorProto.UINT8, ["rows"])}
    assert kept_nodes(model(nodes, {}, inputs, "y", ["rows"]), "bf16") == {"Cast_counted"}


@pytest.mark.parametrize("precision", ["fp16", "int8", "fp8"])
def test_what_half_precision_has_no_number_for_stays_wherever_the_rest_is_halved(precision):
    made = encoder()
    made.graph.node[-1].input[0] = "safe"
    made.graph.node.insert(
        len(made.graph.node) - 1, helper.make_node("Add", ["sum", "tiny"], ["safe"], name="Add_safe")
    )
    made.graph.initializer.append(numpy_helper.from_array(np.array(1e-12, np.float32), "tiny"))
    assert "Add_safe" in kept_nodes(made, precision)
    assert "Add_safe" not in kept_nodes(made, "bf16")
