"""The tiny bundle with graphs of its own at fp16 and bf16, and events enough to judge them by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from engines.bundle import EVALUATION, write_bundle
from engines.evaluation import write_evaluation
from tests import tiny_bundle
from tests.tiny_bundle import LABELS, TOKENS, WIDTH, examples

EVENTS = 420
KINDS = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}
TOWERS = ("text", "image", "audio")


def build(folder: Path) -> Path:
    """Write the bundle into `folder` (made if need be) and return it."""
    tiny_bundle.build(folder, ("fp32", *KINDS))
    for tower in TOWERS:
        for precision, kind in KINDS.items():
            onnx.save(
                _rounded(onnx.load(folder / f"{tower}.onnx"), kind), folder / f"{tower}.{precision}.onnx"
            )
    blank = np.full((EVENTS, len(LABELS)), -1, np.int8)
    write_evaluation(folder / EVALUATION, examples(EVENTS, 3), blank[:, 0], blank, ("ids",))
    narrow = {tower: {p: f"{tower}.{p}.onnx" for p in KINDS} for tower in TOWERS}
    write_bundle(
        folder,
        name="narrow",
        version="1",
        synthetic=TOWERS,
        width=WIDTH,
        tokens=TOKENS,
        graphs={each: {"fp32": f"{each}.onnx"} | narrow.get(each, {}) for each in (*TOWERS, "head")},
        licence="Apache-2.0",
        provenance={"made": "by hand, for tests"},
    )
    return folder


def _rounded(model: onnx.ModelProto, kind: int) -> onnx.ModelProto:
    """The same graph, what it gives rounded to another precision."""
    (output,) = model.graph.output
    for node in model.graph.node:
        node.output[:] = ["wide" if name == output.name else name for name in node.output]
    model.graph.node.append(helper.make_node("Cast", ["wide"], ["narrow"], "narrow", to=kind))
    model.graph.node.append(
        helper.make_node("Cast", ["narrow"], [output.name], "widen", to=TensorProto.FLOAT)
    )
    return model
