"""Inputs of any tower, made of nothing but a seed; and what ONNX Runtime answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime

from engines.tensorrt.signature import Signature

HIGHEST = {"ids": 40, "words": 1 << 30, "chars": 0x9000}


def inputs_of(signature: Signature, rows: int) -> dict[str, np.ndarray]:
    """Rows of different lengths where there are lengths."""
    random = np.random.default_rng(rows)
    made: dict[str, np.ndarray] = {}
    for one in signature.inputs:
        if one.name == "samples":
            lengths = 4000 + 3700 * np.arange(rows)
            made["samples"] = _ragged(lengths, lambda n: 3000 * random.standard_normal(n), np.float32)
            made["lengths"] = lengths.astype(np.int32)
        elif one.name in HIGHEST or one.name.startswith("ids"):
            lengths = (3 + 5 * np.arange(rows)) * (3 if one.name == "chars" else 1)
            high = HIGHEST.get(one.name, 40)
            made[one.name] = _ragged(lengths, lambda n, high=high: random.integers(2, high, n), np.int32)
        elif one.name == "pixels":
            made["pixels"] = random.integers(0, 256, (rows, *one.dims[1:]), dtype=np.uint8)
        elif one.name == "presence":
            made["presence"] = random.integers(0, 2, (rows, 3)).astype(np.float32)
        elif one.name != "lengths":
            made[one.name] = random.standard_normal((rows, *one.dims[1:])).astype(np.float32)
    return made


def reference(graph: bytes, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs by name, of ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, inputs), strict=True))


def error(got: dict[str, Any], want: dict[str, np.ndarray]) -> float:
    """The largest difference of any output."""
    assert set(got) == set(want)
    assert all(got[name].shape == want[name].shape for name in want)
    return max(float(np.abs(np.asarray(got[name]) - want[name]).max(initial=0)) for name in want)


def _ragged(lengths: np.ndarray, row: Any, kind: Any) -> np.ndarray:
    table = np.zeros((len(lengths), int(lengths.max())), kind)
    for k, length in enumerate(lengths):
        table[k, :length] = row(length)
    return table
