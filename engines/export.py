"""Torch networks → ONNX graphs with the names and types that every engine relies on."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Final

import onnx
import torch
from torch import Tensor, nn
from torch.export import Dim

from engines.errors import EngineError
from engines.model.config import ModelConfig

OPSET: Final = 20
FORBIDDEN: Final = frozenset({"If", "Loop", "Scan", "NonZero"})
"""Operators whose shapes depend on data: engines that plan ahead cannot hold them."""

_INPUTS: Final = {
    "text": ("ids",),
    "image": ("pixels",),
    "audio": ("samples", "lengths"),
    "head": ("text", "image", "audio", "presence"),
}
_OUTPUTS: Final = {"head": ("sentiment", "moderation", "unimodal", "embedding")}


def export(name: str, net: nn.Module, config: ModelConfig, path: Path) -> None:
    """Write one graph (text, image, audio or head) as one self-contained file; raises EngineError."""
    example, shapes = _example(name, config)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns of every optional package
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's notes on its own internals
        program = torch.onnx.export(
            net.eval(),
            example,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(_INPUTS[name]),
            output_names=list(_OUTPUTS.get(name, ("tokens",))),
            dynamic_shapes=shapes,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    used = {node.op_type for node in model.graph.node} & FORBIDDEN
    if used:
        raise EngineError(
            f"The {name} graph cannot be exported",
            why=f"it would hold {', '.join(sorted(used))}, whose shapes depend on data",
            remedy="Write the network with where() and masks instead of branches",
        )
    for node in model.graph.node:
        del node.metadata_props[:]  # stack traces with this machine's paths
        node.doc_string = ""
    del model.graph.metadata_props[:], model.metadata_props[:], model.graph.value_info[:]
    onnx.checker.check_model(model)
    onnx.save_model(model, path, save_as_external_data=False)


def _example(name: str, config: ModelConfig) -> tuple[tuple[Tensor, ...], tuple[dict[int, Dim], ...]]:
    rows = Dim("rows", min=1)
    if name == "text":
        return (torch.ones(2, 7, dtype=torch.int32),), ({0: rows, 1: Dim("length", min=1)},)
    if name == "image":
        return (torch.zeros(2, config.image_height, config.image_width, 3, dtype=torch.uint8),), ({0: rows},)
    if name == "audio":
        samples, lengths = torch.zeros(2, 9_000), torch.tensor([9_000, 5_000], dtype=torch.int32)
        return (samples, lengths), ({0: rows, 1: Dim("samples", min=1)}, {0: rows})
    slot = torch.zeros(2, config.tokens, config.width)
    return (slot, slot.clone(), slot.clone(), torch.ones(2, 3)), tuple({0: rows} for _ in range(4))
