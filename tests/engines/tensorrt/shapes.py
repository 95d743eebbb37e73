"""Graphs, budgets and micro-batches that the tests of planning share."""

from __future__ import annotations

from engines.preprocess.spec import AudioSpec, ImageSpec, Preprocess, TextSpec
from engines.tensorrt.signature import Input, Signature

TOKENS = (Input("tokens", "float32", ("rows", 2, 64)),)
AUDIO = Signature(
    (Input("samples", "float32", ("rows", "samples")), Input("lengths", "int32", ("rows",))), TOKENS
)
IMAGE = Signature((Input("pixels", "uint8", ("rows", 8, 8, 3)),), TOKENS)


def text(*channels: str) -> Signature:
    """A text graph: each channel varies in an axis of its own, named otherwise than the channel."""
    return Signature(tuple(Input(name, "int32", ("rows", f"{name}-axis")) for name in channels), TOKENS)


def spec(most: int = 256, kind: str = "hash-words", seconds: float = 10.0) -> Preprocess:
    files = {"tokenizer": ("a.json",), "bilingual": ("a.json", "b.json")}.get(kind, ())
    return Preprocess(TextSpec(1000, most, kind, files), ImageSpec(8, 8), AudioSpec(seconds))  # type: ignore[arg-type]
