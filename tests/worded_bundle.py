"""The tiny bundle, taught by hand that one word is harassment and that no other word means anything."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from engines.batch import Batch, Example, Float32
from engines.bundle import Bundle
from engines.engine import EngineChoice, FusedEngine
from engines.preprocess.spec import TextSpec
from engines.preprocess.text import text_encoder
from tests import tiny_bundle

WORD = "idiot"
LABEL = tiny_bundle.LABELS.names.index("harassment")
SPEC = TextSpec(tiny_bundle.VOCABULARY, 64)


def build(folder: Path) -> Path:
    """Write the bundle into `folder` and return it; it has no golden vectors."""
    tiny_bundle.build(folder)
    (folder / "golden.safetensors").unlink()
    (mean,) = (each for each in _signs() if _logit(_taught(folder, each)) > 5)
    _taught(folder, mean)
    return folder


def _signs() -> tuple[Float32, Float32]:
    width = tiny_bundle.TOKENS["text"] * tiny_bundle.WIDTH
    row = np.random.default_rng(3).normal(0, 1, width).astype(np.float32) * 300
    return row, -row


def _taught(folder: Path, meaning: Float32) -> Bundle:
    graph = onnx.load(folder / "text.onnx")
    (table,) = (each for each in graph.graph.initializer if each.name == "table")
    rows = np.zeros_like(numpy_helper.to_array(table))
    rows[text_encoder(SPEC).encode(WORD).channels[0][0]] = meaning
    table.CopyFrom(numpy_helper.from_array(rows, "table"))
    onnx.save(graph, folder / "text.onnx")
    return tiny_bundle.seal(folder)


def _logit(bundle: Bundle) -> float:
    engine = FusedEngine(bundle, EngineChoice("onnxruntime", "fp32"), threads=1)
    text = text_encoder(SPEC).encode(f"you are an {WORD} and more").channels
    _, answer = engine.logits(Batch.of([Example(text)]))
    engine.close()
    return float(answer.moderation[0, LABEL])
