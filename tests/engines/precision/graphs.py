"""Tiny graphs with what the shipped ones hold: byte weights, masks, attention, spectra."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

WIDTH, WORDS = 32, 50
LONGEST = 60_000
Node = tuple[str, list[str], str, dict[str, Any]]


def model(
    nodes: list[Node], constants: dict[str, np.ndarray], inputs: dict[str, tuple[int, list[Any]]], last: str,
    dims: list[Any],
) -> ModelProto:  # fmt: skip
    made = [
        helper.make_node(op, taken, [gives], name=f"{op}_{gives}", **more) for op, taken, gives, more in nodes
    ]
    graph = helper.make_graph(
        made,
        "tiny",
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, dims)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def encoder(mask: float = float("-inf"), *, added: bool = False) -> ModelProto:
    """Byte rows looked up, one attention over what is no padding, byte layers, a norm: ids → tokens.

    Scores of padding are replaced by the mask, or have (padding · mask) `added` to them.
    """
    random = np.random.default_rng(3)

    def layer(name: str, taken: str) -> list[Node]:
        return [
            ("Cast", [f"{name}.bytes"], f"{name}.wide", {"to": TensorProto.FLOAT}),
            ("MatMul", [taken, f"{name}.wide"], f"{name}.raw", {}),
            ("Mul", [f"{name}.raw", f"{name}.scale"], name, {}),
        ]

    hiding: list[Node] = [("Where", ["hidden", "far", "scores"], "masked", {})]
    if added:
        hiding = [
            ("Cast", ["hidden"], "share", {"to": TensorProto.FLOAT}),
            ("Mul", ["share", "far"], "below", {}),
            ("Add", ["scores", "below"], "masked", {}),
        ]
    nodes: list[Node] = [
        ("Gather", ["table", "ids"], "rows", {}),
        ("Cast", ["rows"], "float_rows", {"to": TensorProto.FLOAT}),
        ("Mul", ["float_rows", "rows.scale"], "x", {}),
        *layer("query", "x"),
        *layer("key", "x"),
        *layer("value", "x"),
        ("Transpose", ["key"], "turned", {"perm": [0, 2, 1]}),
        ("MatMul", ["query", "turned"], "scores", {}),
        ("Equal", ["ids", "nothing"], "padding", {}),
        ("Unsqueeze", ["padding", "middle"], "hidden", {}),
        *hiding,
        ("Softmax", ["masked"], "shares", {"axis": -1}),
        ("MatMul", ["shares", "value"], "seen", {}),
        *layer("out", "seen"),
        ("Add", ["x", "out"], "sum", {}),
        ("LayerNormalization", ["sum", "gain", "shift"], "tokens", {"axis": -1}),
    ]
    constants = {
        "table": random.integers(-127, 128, (WORDS, WIDTH)).astype(np.int8),
        "rows.scale": np.full(WIDTH, 0.02, np.float32),
        "nothing": np.array(0, np.int32),
        "middle": np.array([1]),
        "far": np.array(mask, np.float32),
        "gain": np.ones(WIDTH, np.float32),
        "shift": np.zeros(WIDTH, np.float32),
    }
    for name in ("query", "key", "value", "out"):
        constants[f"{name}.bytes"] = random.integers(-127, 128, (WIDTH, WIDTH)).astype(np.int8)
        constants[f"{name}.scale"] = random.uniform(0.0008, 0.0016, WIDTH).astype(np.float32)
    return model(nodes, constants, {"ids": (TensorProto.INT32, ["rows", "length"])}, "tokens",
                 ["rows", "length", WIDTH])  # fmt: skip


def spectrum() -> ModelProto:
    """The logarithm of energies far beyond half precision, then a layer: samples → tokens."""
    random = np.random.default_rng(5)
    nodes: list[Node] = [
        ("MatMul", ["samples", "waves"], "amplitudes", {}),
        ("Mul", ["amplitudes", "amplitudes"], "energies", {}),
        ("Add", ["energies", "least"], "positive", {}),
        ("Log", ["positive"], "levels", {}),
        ("MatMul", ["levels", "weights"], "tokens", {}),
    ]
    constants = {
        "waves": random.normal(0, 1, (32, 16)).astype(np.float32),
        "least": np.array(1e-10, np.float32),
        "weights": random.normal(0, 0.1, (16, WIDTH)).astype(np.float32),
    }
    return model(nodes, constants, {"samples": (TensorProto.FLOAT, ["rows", 32])}, "tokens", ["rows", WIDTH])


def paced() -> ModelProto:
    """The encoder, its tokens times a length's share of LONGEST: ids, lengths → tokens."""
    made = encoder()
    graph = made.graph
    graph.node[-1].output[0] = "normed"
    graph.node.extend(
        [
            helper.make_node("Cast", ["lengths"], ["counted"], name="Cast_counted", to=TensorProto.FLOAT),
            helper.make_node("Div", ["counted", "longest"], ["share"], name="Div_share"),
            helper.make_node("Unsqueeze", ["share", "last"], ["pace"], name="Unsqueeze_pace"),
            helper.make_node("Mul", ["normed", "pace"], ["tokens"], name="Mul_tokens"),
        ]
    )
    constants = {"longest": np.array(LONGEST, np.float32), "last": np.array([1, 2])}
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    graph.input.append(helper.make_tensor_value_info("lengths", TensorProto.INT32, ["rows"]))
    return made


def ids(rows: int = 4) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    table = random.integers(1, WORDS, (rows, 16)).astype(np.int32)
    table[::2, 9:] = 0
    return {"ids": table}


def lengths(rows: int = 4) -> dict[str, np.ndarray]:
    """Beyond what half precision holds, as ten seconds of sound are."""
    return ids(rows) | {"lengths": np.linspace(160_000, 80_000, rows).astype(np.int32)}


def samples(rows: int = 4) -> dict[str, np.ndarray]:
    return {"samples": np.random.default_rng(2).normal(0, 3000, (rows, 32)).astype(np.float32)}
