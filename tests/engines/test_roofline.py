"""The roofline counts a graph's work as the closed formulas of its architecture do, and prices it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines.bundle import Bundle
from engines.errors import EngineError
from engines.rates import Rates, processor_rates, torch_on_gpu
from engines.roofline import Work, count, work_of
from engines.tracing import traced

FLOAT, ROWS = TensorProto.FLOAT, "rows"


def graph(nodes: list, weights: dict[str, tuple[int, ...]], width: int) -> bytes:
    made = [helper.make_node(kind, names, [out], **more) for kind, names, out, more in nodes]
    model = helper.make_model(
        helper.make_graph(
            made, "test",
            [helper.make_tensor_value_info("x", FLOAT, [ROWS, width])],
            [helper.make_tensor_value_info(made[-1].output[0], FLOAT, None)],
            [numpy_helper.from_array(np.ones(size, np.float32), name) for name, size in weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
    )  # fmt: skip
    model.ir_version = 9
    return model.SerializeToString()


def x(rows: int, width: int) -> dict[str, np.ndarray]:
    return {"x": np.ones((rows, width), np.float32)}


def counted(*given) -> Work:
    data = graph(*given)
    return count(traced(data, x(2, given[-1])))


def test_a_product_reads_its_input_and_writes_its_output_and_what_is_elementwise_is_part_of_it():
    found = counted(
        [("MatMul", ["x", "w"], "y", {}), ("Add", ["y", "b"], "z", {}), ("Relu", ["z"], "r", {})],
        {"w": (4, 8), "b": (8,)}, 4,
    )  # fmt: skip
    assert found == Work(flops=2 * 2 * 4 * 8, activations=2 * 4 + 2 * 8, weights=32)


def test_products_of_one_input_read_it_once():
    found = counted(
        [
            ("MatMul", ["x", "w"], "y", {}),
            ("MatMul", ["x", "v"], "z", {}),
            ("Concat", ["y", "z"], "both", {"axis": 1}),
        ],
        {"w": (4, 8), "v": (4, 8)}, 4,
    )  # fmt: skip
    assert found.activations == 2 * 4 + 2 * 16


def test_a_sum_before_a_normalisation_is_written_once_and_read_once():
    found = counted(
        [
            ("MatMul", ["x", "w"], "y", {}),
            ("Add", ["y", "x"], "sum", {}),
            ("LayerNormalization", ["sum", "g"], "z", {}),
        ],
        {"w": (4, 4), "g": (4,)}, 4,
    )  # fmt: skip
    assert found.activations == 4 * 2 * 4, "input, sum written and read, output"


def test_convolutions_and_gemms_count_what_they_multiply():
    nodes = [("Unsqueeze", ["x", "one"], "u", {}), ("Conv", ["u", "kernel"], "y", {"pads": [1, 1]})]
    data = onnx.load_from_string(graph(nodes, {"kernel": (5, 1, 3)}, 6))
    data.graph.initializer.append(numpy_helper.from_array(np.array([1]), "one"))
    conv = count(traced(data.SerializeToString(), x(2, 6)))
    assert conv.flops == 2 * (2 * 5 * 6) * 3
    assert conv.activations == 2 * 6 + 2 * 5 * 6
    gemm = counted([("Gemm", ["x", "w"], "y", {"transB": 1})], {"w": (8, 4)}, 4)
    assert gemm.flops == 2 * 2 * 4 * 8


def test_the_work_of_many_rows_follows_from_one_and_two():
    data = graph([("MatMul", ["x", "w"], "y", {})], {"w": (4, 8)}, 4)
    assert work_of(data, x(1, 4), x(2, 4), 64) == Work(64 * 2 * 32, 64 * 12, 32)


def test_the_serial_roofline_adds_arithmetic_and_traffic():
    work, rates = Work(flops=4e9, activations=3e6, weights=1e6), Rates(matrix=2e12, copy=4e9)
    assert work.seconds(rates, "fp16") == pytest.approx(2e-3 + 2e-3)
    assert work.seconds(rates, "fp32") == pytest.approx(2e-3 + 4e-3)


def test_at_8_bits_weights_are_bytes_and_activations_still_have_16_bits():
    work, rates = Work(flops=4e9, activations=3e6, weights=1e6), Rates(matrix=2e12, copy=4e9)
    for precision in ("fp8", "int8"):
        assert work.seconds(rates, precision) == pytest.approx(2e-3 + 7e6 / 4e9)


@pytest.mark.train
def test_it_agrees_with_the_closed_formula_for_an_encoder(tmp_path: Path):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from engines.export import export
    from engines.model.bodies import Body, TextInput
    from engines.model.pretrained import PretrainedTower

    torch.manual_seed(0)
    torch.set_num_threads(1)
    layers, width, length = 2, 192, 64
    config = transformers.BertConfig(
        vocab_size=64, hidden_size=width, num_hidden_layers=layers, num_attention_heads=3,
        intermediate_size=4 * width, attn_implementation="eager",
    )  # fmt: skip
    tower = PretrainedTower(Body(transformers.BertModel(config), TextInput(config)), 2, 32)
    export("text", tower, tmp_path / "text.onnx")
    ids = np.full((1, length), 5, np.int32)
    found = count(traced((tmp_path / "text.onnx").read_bytes(), {"ids": ids}))
    flops = length * 24 * layers * width**2 + 4 * length**2 * width * layers
    assert found.flops == pytest.approx(flops, rel=0.02)
    assert found.activations == pytest.approx((26 * layers + 4) * length * width, rel=0.03)
    assert found.weights == pytest.approx(12 * layers * width**2, rel=0.03)


@pytest.mark.parametrize(
    ("tower", "inputs"),
    [
        ("image", lambda spec: {"pixels": np.zeros((1, spec.image.height, spec.image.width, 3), np.uint8)}),
        ("audio", lambda _: {"samples": np.ones((1, 900), np.float32), "lengths": np.full(1, 900, np.int32)}),
    ],
)  # fmt: skip
def test_the_graphs_that_ship_can_be_counted(tower: str, inputs):
    bundle = Bundle.load("edge")
    found = count(traced(bundle.read(bundle.graph_name(tower)), inputs(bundle.preprocess)))
    assert found.flops > 1e6
    assert found.activations > 1e4
    assert found.weights > 1e3


def test_a_graph_that_cannot_run_is_refused():
    with pytest.raises(EngineError, match="cannot be counted"):
        traced(graph([("MatMul", ["x", "w"], "y", {})], {"w": (4, 8)}, 4), x(1, 5))


def test_the_processor_has_rates():
    found = processor_rates("fp32", threads=1, seconds=0.01, shapes=((64, 64, 128),))
    assert found.matrix > found.copy > 0
    assert found.matrix == max(found.by_shape.values())
    with pytest.raises(EngineError, match="multiplies at fp8"):
        processor_rates("fp8")


def test_without_a_gpu_its_rates_are_refused_with_a_remedy():
    if "torch" in sys.modules and sys.modules["torch"].cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(EngineError, match=r"GPU's rates.*pip install torch"):
        torch_on_gpu()


def test_it_says_so_where_onnx_is_not_installed():
    script = (
        "import sys; sys.modules['onnx'] = None\n"
        "from engines.tracing import traced\n"
        "traced(b'', {})"
    )  # fmt: skip
    told = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert "the package onnx is not installed" in told.stderr
