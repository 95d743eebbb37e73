"""Graphs at other precisions, as NVIDIA's optimiser makes them under our policy."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto

from engines import golden
from engines.bundle import Bundle
from engines.errors import EngineError
from engines.precision import cast
from engines.precision.cast import Wanted, cast_graph, cast_graphs
from engines.precision.compare import compare, golden_error, inputs_of
from engines.precision.policy import KEPT, kinds_of
from tests.engines.precision.graphs import encoder, ids, lengths, paced, samples, spectrum

needs_optimiser = pytest.mark.skipif(cast.missing() is not None, reason="needs the quantise extra")
LOW = {"bf16": TensorProto.BFLOAT16, "fp16": TensorProto.FLOAT16}
BOUNDS = {"bf16": 0.02, "fp16": 2e-3, "fp8": 0.1, "int8": 0.05}
LOWER = ("bf16", "fp16", "fp8", "int8")


def text() -> bytes:
    return bytes(encoder().SerializeToString())


def sound() -> bytes:
    return bytes(spectrum().SerializeToString())


def padded() -> bytes:
    return bytes(encoder(float(np.finfo(np.float32).min), added=True).SerializeToString())


def counted() -> bytes:
    return bytes(paced().SerializeToString())


@pytest.fixture(scope="module")
def made() -> Mapping[tuple[str, str], ModelProto]:
    """Every tiny graph at every precision, in one process: loading the optimiser is what takes time."""
    if cast.missing() is not None:
        pytest.skip("needs the quantise extra")
    wanted = [Wanted(text(), p, "text", [ids(), ids(3)]) for p in LOWER]
    wanted += [Wanted(sound(), p, "audio", [samples(), samples(3)]) for p in LOWER]
    wanted += [Wanted(padded(), p, "padded", [ids(), ids(3)]) for p in LOWER]
    wanted += [Wanted(counted(), p, "counted", [lengths(), lengths(3)]) for p in LOWER]
    graphs = cast_graphs(wanted)
    return {(w.tower, w.precision): onnx.load_from_string(g) for w, g in zip(wanted, graphs, strict=True)}


def operators(model: ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


@pytest.mark.parametrize("precision", LOWER)
@pytest.mark.parametrize("tower", ["text", "audio"])
def test_inputs_and_outputs_stay(made, tower, precision):
    before = encoder() if tower == "text" else spectrum()
    after = made[tower, precision]
    assert [x.SerializeToString() for x in after.graph.input] == [
        x.SerializeToString() for x in before.graph.input
    ]
    assert [x.name for x in after.graph.output] == ["tokens"]
    assert after.graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT


@pytest.mark.parametrize("tower", ["text", "audio"])
@pytest.mark.parametrize("precision", LOWER)
def test_answers_stay_near(made, tower, precision):
    before, taken = (text(), ids()) if tower == "text" else (sound(), samples())
    found = compare(before, made[tower, precision].SerializeToString(), [taken])
    assert found.typical < BOUNDS[precision]
    assert found.as_it_is == (precision != "bf16")


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_row_of_padding_alone_is_no_nan(made, precision):
    taken = ids()
    taken["ids"][1] = 0
    found = compare(padded(), made["padded", precision].SerializeToString(), [taken])
    assert found.typical < BOUNDS[precision]


@pytest.mark.parametrize("precision", LOWER)
def test_a_length_beyond_half_precision_is_counted_and_divided_in_32_bits(made, precision):
    model = made["counted", precision]
    kinds = kinds_of(model)
    assert {kinds[n.output[0]] for n in model.graph.node if "lengths" in n.input} == {TensorProto.FLOAT}
    if precision != "bf16":  # which has the range of 32 bits
        assert [kinds[n.output[0]] for n in model.graph.node if n.op_type == "Div"] == [TensorProto.FLOAT]
    found = compare(counted(), model.SerializeToString(), [lengths()])
    assert found.typical < BOUNDS[precision]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_layers_compute_in_16_bits_and_sums_in_32(made, precision):
    model = made["text", precision]
    kinds = kinds_of(model)
    computed = {
        op: {kinds[n.output[0]] for n in model.graph.node if n.op_type == op} for op in operators(model)
    }
    assert computed["MatMul"] == {LOW[precision]}
    assert all(computed[op] == {TensorProto.FLOAT} for op in KEPT if op in computed)


@pytest.mark.parametrize("precision", LOWER)
def test_what_a_logarithm_is_made_of_stays_in_32_bits(made, precision):
    model = made["audio", precision]
    kinds = kinds_of(model)
    products = [kinds[n.output[0]] for n in model.graph.node if n.op_type == "MatMul"]
    assert products[0] == TensorProto.FLOAT
    assert operators(model)["Log"] == 1


@pytest.mark.parametrize(
    ("precision", "eight"), [("int8", TensorProto.INT8), ("fp8", TensorProto.FLOAT8E4M3FN)]
)
def test_ranges_are_in_the_graph_and_never_from_a_batch(made, precision, eight):
    model = made["text", precision]
    held = {x.name: x for x in model.graph.initializer}
    steps = [n for n in model.graph.node if n.op_type == "QuantizeLinear"]
    assert steps
    assert all(n.input[1] in held and held[n.input[2]].data_type == eight for n in steps)
    assert operators(model)["DynamicQuantizeLinear"] == 0
    zeros = [onnx.numpy_helper.to_array(held[n.input[2]]).astype(np.float32) for n in steps]
    assert not any(x.any() for x in zeros)


def test_a_graph_without_attention_has_no_8_bit_floats(made):
    assert operators(made["audio", "fp8"])["QuantizeLinear"] == 0


def test_a_lookup_table_of_bytes_stays_so(made):
    for precision in LOWER:
        held = {x.name: x.data_type for x in made["text", precision].graph.initializer}
        assert TensorProto.INT8 in held.values(), precision


@needs_optimiser
def test_the_starters_text_graph_at_bf16():
    bundle = Bundle.load("starter")
    graph = bundle.read(bundle.graph_name("text"))
    made = cast_graph(graph, "bf16", "text")
    taken = inputs_of(bundle, golden.batch_of(bundle.golden, bundle.preprocess.text.channels))["text"]
    assert compare(graph, made, taken).typical < 0.01
    assert golden_error(bundle, {"text": made}) < golden.bound("bf16")
    assert len(made) < 1.7 * len(graph)  # matrices take two bytes instead of one, tables stay


def test_fp32_and_the_head_are_left_as_they_are():
    assert cast_graph(text(), "fp32") == text()
    assert cast_graph(text(), "fp16", "head") == text()


def test_eight_bits_without_samples_are_refused():
    with pytest.raises(EngineError, match="needs samples"):
        cast_graph(text(), "int8", "text")


def test_an_unknown_precision_is_refused():
    with pytest.raises(EngineError, match="no precision fp4"):
        cast_graph(text(), "fp4")


def test_without_the_optimiser_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(cast, "find_spec", lambda name: None if name == "modelopt" else object())
    with pytest.raises(EngineError, match=r"not installed: modelopt\. pip install 'tidegate\[quantise\]'"):
        cast_graph(text(), "bf16", "text")


SLOW = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(60)"


def test_while_a_graph_is_cast_a_sign_of_life_is_given_and_may_end_it(tmp_path, monkeypatch):
    monkeypatch.setattr(cast, "_LOOK", 0.05)
    monkeypatch.chdir(tmp_path)
    heard = []

    def alive() -> None:
        heard.append(1)
        if Path("pid").exists() and Path("pid").read_text():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cast._ended([sys.executable, "-c", SLOW], tmp_path, alive)
    assert len(heard) > 1
    with pytest.raises(ProcessLookupError):
        os.kill(int(Path("pid").read_text()), 0)


def test_a_process_that_never_ends_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(cast, "_LOOK", 0.05)
    monkeypatch.setattr(cast, "_MOST", 0.2)
    found = cast._ended([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path, lambda: None)
    assert "did not end within" in found


def test_of_a_process_that_says_much_the_last_line_is_told(tmp_path):
    script = "import sys; sys.stderr.write('x' * 200_000 + '\\nno room\\n'); sys.exit(3)"
    found = cast._ended([sys.executable, "-c", script], tmp_path, lambda: None)
    assert found == "its process ended with 3: no room"


@needs_optimiser
def test_a_graph_that_is_none_is_said_to_be():
    with pytest.raises(EngineError, match="The text graph cannot be made at bf16"):
        cast_graph(b"no graph", "bf16", "text")
