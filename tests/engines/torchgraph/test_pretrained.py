"""Every supported architecture as a tower, tiny, run by torch from its ONNX graph."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from engines.export import export  # noqa: E402
from engines.model.architectures import ARCHITECTURES  # noqa: E402
from engines.model.pretrained import PretrainedTower  # noqa: E402
from engines.tensorrt.signature import Signature  # noqa: E402
from engines.torchgraph.program import Program, tensors  # noqa: E402
from tests.engines.torchgraph.inputs import error, inputs_of, reference  # noqa: E402
from tests.tiny_checkpoints import save  # noqa: E402

pytestmark = pytest.mark.train

BOUNDS = {"fp32": 1e-4, "bf16": 0.15, "fp16": 2e-2}
"""Tiny random networks round badly: real ones stay well below."""
CONVOLUTIONAL = ("convnext", "convnextv2", "resnet")
OWN = {"deberta-v2": 0, "modernbert": 4}
"""DeBERTa masks its scores by where(), in another shape; ModernBERT has four layers, all others two."""


@pytest.mark.parametrize("kind", sorted(ARCHITECTURES))
def test_an_architecture_answers_as_onnx_runtime_does(kind: str, tmp_path: Path):
    torch.manual_seed(0)
    modality = ARCHITECTURES[kind].modality
    path = tmp_path / "tower.onnx"
    export(modality, PretrainedTower.load(modality, save(kind, tmp_path / "it"), 2, 8).eval(), path)
    graph = path.read_bytes()
    signature = Signature.of(graph)
    programs = {precision: Program(graph, precision) for precision in BOUNDS}
    for rows in (1, 7):
        inputs = inputs_of(signature, rows)
        want = reference(graph, inputs)
        for precision, program in programs.items():
            got = {name: value.numpy() for name, value in program.run(tensors(inputs)).items()}
            assert error(got, want) < BOUNDS[precision], precision
    layers = 0 if kind in CONVOLUTIONAL else OWN.get(kind, 2)
    assert Counter(programs["fp32"].operators)["ScaledAttention"] == layers
    Program(graph, "fp16", "meta").run(tensors(inputs_of(signature, 3), "meta"))  # nothing waits for a device
