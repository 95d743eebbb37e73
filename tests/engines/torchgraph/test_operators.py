"""Each operator by itself, as ONNX Runtime computes it; and what is refused, at load."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from engines.errors import EngineError  # noqa: E402
from engines.torchgraph.program import Program, tensors  # noqa: E402
from engines.torchgraph.table import OPERATORS  # noqa: E402
from tests.engines.torchgraph.inputs import reference  # noqa: E402

RANDOM = np.random.default_rng(1)
X = RANDOM.standard_normal((2, 3, 8)).astype(np.float32)
Y = RANDOM.standard_normal((2, 3, 8)).astype(np.float32)
POSITIVE = np.abs(X) + 0.5
IMAGE = RANDOM.standard_normal((2, 4, 9, 7)).astype(np.float32)
WHOLE = RANDOM.integers(-9, 9, (2, 3, 8)).astype(np.int32)
MORE = RANDOM.integers(1, 7, (2, 3, 8)).astype(np.int32)
LONG = np.array([-7, 7, 5], np.int64)
TRUE = X > 0
FUSED = {"Linear", "ScaledAttention"}


def i64(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def f32(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def scalar(value: Any) -> np.ndarray:
    return np.array(value)


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


# (operator, its inputs: the first is given, the others are constants or left out, attributes)
Case = tuple[str, list[Any], dict[str, Any]]
CASES: list[Case] = [
    *((op, [X], {}) for op in ("Abs", "Ceil", "Cos", "Erf", "Exp", "Floor", "Neg", "Relu", "Round")),
    *((op, [X], {}) for op in ("Sign", "Sin", "Softplus", "Tanh", "Identity", "HardSwish", "IsNaN")),
    *((op, [X], {}) for op in ("Shape", "Sigmoid")),
    *((op, [POSITIVE], {}) for op in ("Log", "Sqrt", "Reciprocal", "Size")),
    *((op, [X, Y], {}) for op in ("Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Greater", "Less")),
    *((op, [X, Y], {}) for op in ("Equal", "GreaterOrEqual", "LessOrEqual")),
    *((op, [TRUE, Y > 0], {}) for op in ("And", "Or", "Xor")),
    *((op, [WHOLE, MORE], {}) for op in ("Add", "Sub", "Mul", "Div", "Mod")),
    ("Mod", [X, POSITIVE], {"fmod": 1}),
    ("Not", [TRUE], {}),
    ("Pow", [POSITIVE, f32(2.5)], {}),
    ("Where", [TRUE, X, Y], {}),
    *(("Cast", [X * 9], {"to": to}) for to in (1, 6, 7, 9, 11)),
    ("Clip", [X, np.float32(-0.5), np.float32(0.5)], {}),
    ("Clip", [X, None, np.float32(0.5)], {}),
    ("Gelu", [X], {}),
    ("Gelu", [X], {"approximate": "tanh"}),
    ("LeakyRelu", [X], {"alpha": 0.2}),
    ("Softmax", [X], {"axis": 1}),
    ("LogSoftmax", [X], {}),
    ("CumSum", [X, scalar(np.int64(1))], {}),
    ("ArgMax", [X], {"axis": 2, "keepdims": 0}),
    ("ReduceMean", [X, i64(-1)], {"keepdims": 0}),
    ("ReduceMean", [X], {}),
    ("ReduceSum", [WHOLE, i64(0, 2)], {}),
    ("ReduceSum", [X], {"noop_with_empty_axes": 1}),
    *((f"Reduce{op}", [X, i64(1)], {}) for op in ("Sum", "Max", "Min", "L1", "L2", "SumSquare", "LogSumExp")),
    ("ReduceProd", [X, i64(0, 1)], {"keepdims": 0}),
    ("Reshape", [X, i64(0, -1)], {}),
    ("Flatten", [IMAGE], {"axis": 2}),
    ("Transpose", [X], {"perm": [2, 0, 1]}),
    ("Transpose", [X], {}),
    ("Expand", [X[:, :1], i64(1, 5, 1)], {}),
    ("Tile", [X, i64(2, 1, 3)], {}),
    ("Unsqueeze", [X, i64(0, -1)], {}),
    ("Squeeze", [X[:, :1], i64(1)], {}),
    ("Squeeze", [X[:1]], {}),
    ("Concat", [X, Y], {"axis": -1}),
    ("Slice", [X, i64(1, -6), i64(3, -1), i64(1, 2), i64(1, 2)], {}),
    ("Slice", [X, i64(-1), i64(-(1 << 62)), i64(2), i64(-2)], {}),
    ("Slice", [X, i64(5), i64(0), i64(2), i64(-1)], {}),
    ("Slice", [X, i64(0), i64(1 << 62)], {}),
    ("Pad", [X, i64(0, 0, 1, 0, 2, 0)], {}),
    ("Pad", [WHOLE, i64(2, -1), scalar(np.int32(7)), i64(-1)], {}),
    ("Pad", [X, i64(0, 0, 3, 0, 0, 2)], {"mode": "reflect"}),
    ("Pad", [X, i64(0, 0, 3, 0, 0, 2)], {"mode": "edge"}),
    ("Gather", [X, i64(2, -1, 0)], {"axis": 1}),
    ("Gather", [X, scalar(np.int64(-1))], {"axis": 1}),
    ("Gather", [X[0], np.array([[0, 2], [-1, 1]])], {}),
    ("GatherElements", [X, WHOLE[:, :, :4] % 8], {"axis": -1}),
    ("GatherND", [X, np.array([[0, 1], [1, -1]])], {}),
    ("Trilu", [X, scalar(np.int64(1))], {"upper": 0}),
    ("MatMul", [X, normal(8, 5)], {}),
    ("MatMul", [X, Y.transpose(0, 2, 1)], {}),
    ("Gemm", [X[0], normal(5, 8), normal(5)], {"transB": 1, "alpha": 0.5}),
    ("Gemm", [X[0], normal(3, 5)], {"transA": 1, "alpha": 2.0}),
    ("Conv", [IMAGE, normal(6, 2, 3, 3), normal(6)], {"group": 2, "pads": [1, 1, 1, 1], "strides": [2, 1]}),
    ("Conv", [IMAGE, normal(6, 4, 3, 3)], {"pads": [0, 1, 2, 1]}),
    ("Conv", [X, normal(5, 3, 3)], {"dilations": [2]}),
    ("MaxPool", [IMAGE], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("MaxPool", [IMAGE], {"kernel_shape": [2, 2], "pads": [0, 0, 1, 1]}),
    ("AveragePool", [IMAGE], {"kernel_shape": [3, 3], "strides": [2, 2]}),
    ("GlobalAveragePool", [IMAGE], {}),
    ("LayerNormalization", [X, normal(8), normal(8)], {"epsilon": 1e-3}),
    ("LayerNormalization", [X, normal(3, 8)], {"axis": 1}),
    ("BatchNormalization", [IMAGE, normal(4), normal(4), normal(4), np.abs(normal(4)) + 1], {}),
    ("InstanceNormalization", [IMAGE, normal(4), normal(4)], {}),
    ("Resize", [IMAGE, None, None, i64(2, 4, 5, 14)],
     {"mode": "cubic", "coordinate_transformation_mode": "align_corners"}),
    ("Resize", [IMAGE, None, None, i64(2, 4, 18, 14)], {"mode": "linear"}),
    ("Resize", [IMAGE, None, None, i64(2, 4, 18, 14)],
     {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}),
]  # fmt: skip


def graph(
    nodes: list[Any], inputs: dict[str, np.ndarray], constants: dict[str, np.ndarray], outputs: int = 1
):
    """The bytes of a graph whose outputs are o0, o1, …"""
    made = helper.make_graph(
        nodes,
        "it",
        [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), [None] * v.ndim)
            for n, v in inputs.items()
        ],
        [helper.make_empty_tensor_value_info(f"o{k}") for k in range(outputs)],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(
        made, opset_imports=[helper.make_opsetid("", 20)], ir_version=9
    ).SerializeToString()


def agree(data: bytes, inputs: dict[str, np.ndarray]) -> Program:
    program = Program(data)
    answer = program.run(tensors(inputs))
    for name, want in reference(data, inputs).items():
        got = answer[name].numpy()
        assert got.shape == want.shape
        np.testing.assert_allclose(got, want, atol=2e-5, rtol=2e-5)
    return program


@pytest.mark.parametrize("case", range(len(CASES)), ids=lambda k: f"{CASES[k][0]}{k}")
@pytest.mark.parametrize("fixed", [True, False], ids=["constants", "given"])
def test_an_operator_computes_as_onnx_runtime_does(case: int, fixed: bool):
    op, given, attributes = CASES[case]
    names = [f"i{k}" if value is not None else "" for k, value in enumerate(given)]
    values = {name: np.asarray(value) for name, value in zip(names, given, strict=True) if name}
    told = {name for name, value in values.items() if name != "i0" and value.dtype == np.int64}
    loose = {
        n: v for n, v in values.items() if n == "i0" or not (fixed or n in told or op in ("Pad", "CumSum"))
    }
    held = {name: value for name, value in values.items() if name not in loose}
    node = helper.make_node(op, names, ["o0"], **attributes)
    agree(graph([node], loose, held), loose)


def test_a_split_gives_its_parts():
    nodes = [helper.make_node("Split", ["x", "s"], ["o0", "o1"], axis=2)]
    agree(graph(nodes, {"x": X}, {"s": i64(3, 5)}, 2), {"x": X})
    nodes = [helper.make_node("Split", ["x"], ["o0", "o1", "o2"], axis=2, num_outputs=3)]
    agree(graph(nodes, {"x": X}, {}, 3), {"x": X})


def test_shapes_are_made_on_the_host():
    nodes = [
        helper.make_node("Shape", ["x"], ["n"], start=2, end=3),
        helper.make_node("Squeeze", ["n"], ["limit"]),
        helper.make_node("Range", ["zero", "limit", "one"], ["places"]),
        helper.make_node("ConstantOfShape", ["n"], ["ones"], value=numpy_helper.from_array(i64(3))),
        helper.make_node("Add", ["places", "ones"], ["o0"]),
    ]
    data = graph(nodes, {"x": X}, {"zero": scalar(np.int64(0)), "one": scalar(np.int64(1))})
    program = agree(data, {"x": X})
    assert {"n", "limit"} <= program.host
    assert not {"places", "ones"} & program.host, "as long as an input: made on the device"
    agree(data, {"x": X[:, :, :1]})


def test_what_is_constant_is_computed_once():
    nodes = [
        helper.make_node("Cast", ["w"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["x", "wide"], ["product"]),
        helper.make_node("Mul", ["product", "scale"], ["scaled"]),
        helper.make_node("Add", ["bias", "scaled"], ["o0"]),
    ]
    weight = RANDOM.integers(-127, 127, (8, 5)).astype(np.int8)
    program = agree(
        graph(nodes, {"x": X}, {"w": weight, "scale": normal(5) / 100, "bias": normal(5)}), {"x": X}
    )
    assert program.operators == ("Linear",)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("rank", [3, 4])
def test_attention_is_one_step(masked: bool, rank: int):
    shape = (2, 3, 5, 4)[4 - rank :]
    q, k, v = (normal(*shape) * s for s in (1.0, 0.7, 0.3))
    mask = np.where(normal(*shape[:-1])[..., None, :] > 0, 0, -3.4e38).astype(np.float32)
    nodes = [
        helper.make_node("Transpose", ["k"], ["turned"], perm=[*range(rank - 2), rank - 1, rank - 2]),
        helper.make_node("MatMul", ["q", "turned"], ["products"]),
        helper.make_node("Div", ["products", "root"], ["scores"]),
        *([helper.make_node("Add", ["mask", "scores"], ["added"])] if masked else []),
        helper.make_node("Softmax", ["added" if masked else "scores"], ["weights"], axis=-1),
        helper.make_node("MatMul", ["weights", "v"], ["o0"]),
    ]
    inputs = {"q": q, "k": k, "v": v} | ({"mask": mask} if masked else {})
    data = graph(nodes, inputs, {"root": scalar(np.float32(2))})
    assert agree(data, inputs).operators == ("Transpose", "ScaledAttention")
    low = Program(data, "fp16").run(tensors(inputs))["o0"].numpy()
    np.testing.assert_allclose(low, reference(data, inputs)["o0"], atol=2e-3)


def test_weights_that_something_else_reads_are_no_attention():
    nodes = [
        helper.make_node("MatMul", ["q", "k"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["o1"], axis=-1),
        helper.make_node("MatMul", ["o1", "v"], ["o0"]),
    ]
    inputs = {"q": X, "k": Y.transpose(0, 2, 1).copy(), "v": Y}
    assert "Softmax" in agree(graph(nodes, inputs, {}, 2), inputs).operators


def test_a_mask_beyond_half_precision_stays_finite():
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["y"]),
        helper.make_node("Where", ["m", "y", "least"], ["o0"]),
    ]
    inputs = {"x": X, "m": np.zeros((2, 3, 5), bool)}
    data = graph(nodes, inputs, {"w": normal(8, 5), "least": scalar(np.float32(-3.4e38))})
    for precision in ("bf16", "fp16"):
        assert np.isfinite(Program(data, precision).run(tensors(inputs))["o0"].numpy()).all()


def test_what_leads_to_a_decision_is_exact():
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["y"]),
        helper.make_node("Greater", ["y", "zero"], ["o0"]),
    ]
    data = graph(nodes, {"x": X}, {"w": normal(8, 5), "zero": scalar(np.float32(0.013))})
    exact, low = (Program(data, each).run(tensors({"x": X}))["o0"].numpy() for each in ("fp32", "bf16"))
    np.testing.assert_array_equal(low, exact)


def test_an_operator_that_is_not_known_is_named_at_load():
    nodes = [helper.make_node("Det", ["x"], ["y"]), helper.make_node("Celu", ["y"], ["o0"])]
    with pytest.raises(EngineError, match="does not know: Celu, Det"):
        Program(graph(nodes, {"x": X}, {}))


def test_an_operator_of_another_domain_is_named_at_load():
    nodes = [helper.make_node("FusedMatMul", ["x", "x"], ["o0"], domain="com.microsoft")]
    with pytest.raises(EngineError, match="FusedMatMul"):
        Program(graph(nodes, {"x": X}, {}))


def test_a_shape_that_depends_on_data_is_refused_at_load():
    nodes = [helper.make_node("Reshape", ["x", "shape"], ["o0"])]
    with pytest.raises(EngineError, match="shapes depend on its data"):
        Program(graph(nodes, {"x": X, "shape": i64(6, 8)}, {}))


@pytest.mark.parametrize(
    ("op", "given", "attributes"),
    [
        ("CumSum", [X, scalar(np.int64(1))], {"reverse": 1}),
        ("Pad", [X, i64(0, 0, 3, 0, 0, 2)], {"mode": "wrap"}),
        ("Conv", [X, normal(5, 3, 3)], {"auto_pad": "SAME_UPPER"}),
        ("GatherND", [X, np.array([[0], [1]])], {"batch_dims": 1}),
        ("Resize", [IMAGE, None, None, i64(2, 4, 5, 14)], {"mode": "linear", "antialias": 1}),
    ],
)
def test_an_attribute_that_is_not_supported_is_refused_at_load(op: str, given: list, attributes: dict):
    names = [f"i{k}" if value is not None else "" for k, value in enumerate(given)]
    held = {name: value for name, value in zip(names[1:], given[1:], strict=True) if name}
    node = helper.make_node(op, names, ["o0"], **attributes)
    with pytest.raises(EngineError):
        Program(graph([node], {"i0": given[0]}, held))


def test_every_operator_of_the_table_is_tested():
    tested = {op for op, _, _ in CASES} | FUSED | {"Split", "Range", "ConstantOfShape"}
    assert set(OPERATORS) - tested == {"Attention"}, "of opset 23, which is tested below"


@pytest.mark.parametrize("flat", [True, False])
def test_attention_of_opset_23(flat: bool):
    if onnx.defs.onnx_opset_version() < 23:
        pytest.skip("this onnx does not know it")
    q, k = (normal(2, 5, 8), normal(2, 6, 8)) if flat else (normal(2, 4, 5, 2), normal(2, 4, 6, 2))
    heads = {"q_num_heads": 4, "kv_num_heads": 4} if flat else {}
    node = helper.make_node("Attention", ["q", "k", "v"], ["o0"], **heads)
    inputs = {"q": q, "k": k, "v": k * 2}
    answer = Program(graph([node], inputs, {})).run(tensors(inputs))["o0"].numpy()

    def split(x: np.ndarray) -> np.ndarray:
        return x.reshape(*x.shape[:2], 4, 2).transpose(0, 2, 1, 3) if flat else x

    scores = split(q) @ split(k).transpose(0, 1, 3, 2) / np.sqrt(2)
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    want = weights @ split(k * 2)
    want = want.transpose(0, 2, 1, 3).reshape(answer.shape) if flat else want
    np.testing.assert_allclose(answer, want, atol=1e-5)
