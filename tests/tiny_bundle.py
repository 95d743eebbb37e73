"""A bundle that builds in milliseconds, with real ONNX graphs that keep every rule of the graph I/O.

Each tower averages its input in some way and spreads the result over its tokens; the head mixes the shown
modalities linearly, plus a product of text and image, so that no answer is trivial and all are exact.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engines import calibration
from engines.batch import Batch, Example
from engines.bundle import Bundle, write_bundle
from engines.calibration import Calibration
from engines.engine import EngineChoice, FusedEngine
from engines.golden import write_golden
from engines.labels import Label, Labels
from engines.preprocess.spec import AudioSpec, ImageSpec, Preprocess, TextSpec

WIDTH = 4
TOKENS = {"text": 2, "image": 1, "audio": 3}
VOCABULARY = 512
SIDE = 8
LABELS = Labels(
    (
        Label("harassment", (frozenset({"text"}), frozenset({"audio"}))),
        Label("violence/graphic", (frozenset({"image"}),)),
        Label("hate", (frozenset({"text", "image"}),)),
        Label("spam/ads"),
    )
)
ANSWERS = {"sentiment": 3, "moderation": len(LABELS), "embedding": WIDTH}


def build(folder: Path, precisions: tuple[str, ...] = ("fp32",)) -> Path:
    """Write the bundle into `folder` (made if need be) and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(7)
    for name, graph in (("text", _text), ("image", _image), ("audio", _audio), ("head", _head)):
        onnx.save(graph(random), folder / f"{name}.onnx")
    LABELS.dump(folder / "labels.yaml")
    spec = Preprocess(TextSpec(VOCABULARY, 64), ImageSpec(SIDE, SIDE, frames=2), AudioSpec(seconds=2.0))
    (folder / "preprocess.json").write_text(spec.to_json())
    calibration.dump(folder / "calibration.json", dict.fromkeys(precisions, _fit(random)))
    engine = FusedEngine(seal(folder), EngineChoice("onnxruntime", "fp32"), threads=1)
    samples = examples(7)
    answer = engine.logits(Batch.of(samples))[1]
    engine.close()
    fields = ("sentiment", "moderation", "unimodal")
    write_golden(folder / "golden.safetensors", samples, {name: getattr(answer, name) for name in fields})
    seal(folder)
    return folder


def seal(folder: Path) -> Bundle:
    """Write the manifest over whatever lies in the folder, as its maker could."""
    return write_bundle(
        folder,
        name="tiny",
        version="1",
        synthetic=("text", "image", "audio"),
        width=WIDTH,
        tokens=TOKENS,
        graphs={name: {"fp32": f"{name}.onnx"} for name in ("text", "image", "audio", "head")},
        licence="Apache-2.0",
        provenance={"made": "by hand, for tests"},
    )


def examples(count: int, seed: int = 0) -> list[Example]:
    """Events that the bundle takes: every mix of modalities in turn, at most one image and sound each."""
    return [_example(k % 7 + 1, np.random.default_rng((seed, k))) for k in range(count)]


def image(random: np.random.Generator) -> np.ndarray:
    """An image of the bundle's size."""
    return random.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


def sound(random: np.random.Generator) -> np.ndarray:
    """A sound of some length."""
    return random.integers(-9000, 9000, random.integers(400, 8000), dtype=np.int16)


def _example(presence: int, random: np.random.Generator) -> Example:
    text = random.integers(1, VOCABULARY, random.integers(1, 40), dtype=np.int32)
    return Example(
        (text,) if presence & 1 else None,
        [image(random)] if presence & 2 else [],
        [sound(random)] if presence & 4 else [],
    )


def _fit(random: np.random.Generator) -> Calibration:
    shape = (8, len(LABELS))
    scale = random.uniform(0.5, 2, shape).astype(np.float32)
    bias = random.normal(0, 0.5, shape).astype(np.float32)
    return Calibration(np.linspace(0.5, 2, 8, dtype=np.float32), scale, bias, np.ones(3, np.float32) * 1.5)


def _text(random: np.random.Generator) -> onnx.ModelProto:
    table = random.normal(0, 1, (VOCABULARY, TOKENS["text"] * WIDTH))
    nodes = [
        ("Gather", ["table", "ids"], "rows"),
        ("Greater", ["ids", "zero_id"], "real"),
        ("Cast", ["real"], "mask", {"to": TensorProto.FLOAT}),
        ("Unsqueeze", ["mask", "last"], "mask3"),
        ("Mul", ["rows", "mask3"], "kept"),
        ("ReduceSum", ["kept", "axis1"], "total", {"keepdims": 0}),
        ("ReduceSum", ["mask", "axis1"], "count", {"keepdims": 1}),
        ("Div", ["total", "count"], "flat"),
        ("Reshape", ["flat", "shape"], "tokens"),
    ]
    constants = {
        "table": table.astype(np.float32),
        "zero_id": np.array(0, np.int32),
        "last": np.array([2]),
        "axis1": np.array([1]),
        "shape": np.array([-1, TOKENS["text"], WIDTH]),
    }
    return _model("text", nodes, constants, {"ids": (TensorProto.INT32, ["rows", "length"])}, _tokens("text"))


def _image(random: np.random.Generator) -> onnx.ModelProto:
    nodes = [
        ("Cast", ["pixels"], "levels", {"to": TensorProto.FLOAT}),
        ("Mul", ["levels", "scale"], "small"),
        ("Reshape", ["small", "flat_shape"], "flat"),
        ("MatMul", ["flat", "weights"], "mixed"),
        ("Reshape", ["mixed", "shape"], "tokens"),
    ]
    inputs = SIDE * SIDE * 3
    constants = {
        "scale": np.array(1 / 255, np.float32),
        "flat_shape": np.array([-1, inputs]),
        "weights": random.normal(0, 0.2, (inputs, TOKENS["image"] * WIDTH)).astype(np.float32),
        "shape": np.array([-1, TOKENS["image"], WIDTH]),
    }
    pixels = {"pixels": (TensorProto.UINT8, ["rows", SIDE, SIDE, 3])}
    return _model("image", nodes, constants, pixels, _tokens("image"))


def _audio(random: np.random.Generator) -> onnx.ModelProto:
    nodes = [
        ("Mul", ["samples", "scale"], "wave"),
        ("Abs", ["wave"], "loud"),
        ("ReduceSum", ["loud", "axis1"], "total", {"keepdims": 1}),
        ("Cast", ["lengths"], "counts", {"to": TensorProto.FLOAT}),
        ("Unsqueeze", ["counts", "axis1"], "count"),
        ("Div", ["total", "count"], "level"),
        ("MatMul", ["level", "weights"], "mixed"),
        ("Reshape", ["mixed", "shape"], "tokens"),
    ]
    constants = {
        "scale": np.array(1 / 32768, np.float32),
        "axis1": np.array([1]),
        "weights": random.normal(0, 5, (1, TOKENS["audio"] * WIDTH)).astype(np.float32),
        "shape": np.array([-1, TOKENS["audio"], WIDTH]),
    }
    inputs = {
        "samples": (TensorProto.FLOAT, ["rows", "n"]),
        "lengths": (TensorProto.INT32, ["rows"]),
    }
    return _model("audio", nodes, constants, inputs, _tokens("audio"))


def _head(random: np.random.Generator) -> onnx.ModelProto:
    nodes, constants = [], {"half": np.array(0.5, np.float32), "last": np.array([1])}
    for k, name in enumerate(TOKENS):
        size = TOKENS[name] * WIDTH
        constants |= {
            f"{name}_index": np.array([k]),
            f"{name}_shape": np.array([-1, size]),
            f"{name}_missing": random.normal(0, 0.1, (1, size)).astype(np.float32),
            f"{name}_mix": random.normal(0, 1, (size, WIDTH)).astype(np.float32),
            f"{name}_says": random.normal(0, 1, (size, 3)).astype(np.float32),
        }
        nodes += [
            ("Reshape", [name, f"{name}_shape"], f"{name}_flat"),
            ("Gather", ["presence", f"{name}_index"], f"{name}_level", {"axis": 1}),
            ("Greater", [f"{name}_level", "half"], f"{name}_here"),
            # where, never a product: an absent slot may hold NaN
            ("Where", [f"{name}_here", f"{name}_flat", f"{name}_missing"], f"{name}_safe"),
            ("MatMul", [f"{name}_safe", f"{name}_mix"], f"{name}_part"),
            ("MatMul", [f"{name}_safe", f"{name}_says"], f"{name}_flat_say"),
            ("Unsqueeze", [f"{name}_flat_say", "last"], f"{name}_say"),
        ]
    nodes += [
        ("Sum", ["text_part", "image_part", "audio_part"], "linear"),
        ("Mul", ["text_part", "image_part"], "product"),
        ("Add", ["linear", "product"], "fused"),
        ("Concat", ["text_say", "image_say", "audio_say"], "unimodal", {"axis": 1}),
    ]
    for name, size in ANSWERS.items():
        constants[f"{name}_out"] = random.normal(0, 0.7, (WIDTH, size)).astype(np.float32)
        nodes.append(("MatMul", ["fused", f"{name}_out"], name))
    inputs = {m: (TensorProto.FLOAT, ["rows", TOKENS[m], WIDTH]) for m in TOKENS}
    inputs["presence"] = (TensorProto.FLOAT, ["rows", 3])
    outputs = {name: ["rows", size] for name, size in ANSWERS.items()} | {"unimodal": ["rows", 3, 3]}
    return _model("head", nodes, constants, inputs, outputs)


def _tokens(name: str) -> dict[str, list]:
    return {"tokens": ["rows", TOKENS[name], WIDTH]}


def _model(name, nodes, constants, inputs, outputs) -> onnx.ModelProto:
    made = [helper.make_node(n[0], n[1], [n[2]], **(n[3] if len(n) > 3 else {})) for n in nodes]
    graph = helper.make_graph(
        made,
        name,
        [helper.make_tensor_value_info(key, kind, shape) for key, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info(key, TensorProto.FLOAT, shape) for key, shape in outputs.items()],
        [numpy_helper.from_array(value, key) for key, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    return model
