"""Torch networks → ONNX graphs with the names and types that every engine relies on."""

from __future__ import annotations

import logging
import warnings
from inspect import signature
from pathlib import Path
from typing import Final

import onnx
import torch

from engines.errors import EngineError
from engines.model.parts import Graph

OPSET: Final = 20
FORBIDDEN: Final = frozenset({"If", "Loop", "Scan", "NonZero"})
"""Operators whose shapes depend on data: engines that plan ahead cannot hold them."""


def export(name: str, net: Graph, path: Path) -> None:
    """Write one graph (text, image, audio or head) as one self-contained file; raises EngineError."""
    example, shapes = net.example()
    varying = any(p.kind is p.VAR_POSITIONAL for p in signature(net.forward).parameters.values())
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns of every optional package
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's notes on its own internals
        program = torch.onnx.export(
            net.eval(),
            example,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(net.inputs),
            output_names=list(net.outputs),
            dynamic_shapes=(shapes,) if varying else shapes,
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
