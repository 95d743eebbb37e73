"""The graphs that ship, run by torch: as ONNX Runtime runs them."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

import engines
from engines.bundle import Bundle
from engines.tensorrt.signature import Signature
from engines.torchgraph.program import Program, tensors
from tests.engines.torchgraph.inputs import error, inputs_of, reference

BUNDLES = Path(engines.__file__).parent / "bundles"
GRAPHS = [(bundle, tower) for bundle in ("starter", "edge") for tower in ("text", "image", "audio", "head")]
BOUNDS = {"fp32": 1e-4, "bf16": 6e-2, "fp16": 1e-2}
ATTENTIONS = {("starter", "head"): 2, ("edge", "head"): 2, ("edge", "text"): 0}


@cache
def graph_of(bundle: str, tower: str) -> bytes:
    found = Bundle.load(BUNDLES / bundle)
    return found.read(found.graph_name(tower))


def run(program: Program, inputs: dict) -> dict:
    return {name: value.numpy() for name, value in program.run(tensors(inputs)).items()}


@pytest.mark.parametrize(("bundle", "tower"), GRAPHS)
@pytest.mark.parametrize("precision", BOUNDS)
def test_answers_as_onnx_runtime_does(bundle: str, tower: str, precision: str):
    graph = graph_of(bundle, tower)
    program, signature = Program(graph, precision), Signature.of(graph)
    for rows in (1, 7):
        inputs = inputs_of(signature, rows)
        got = run(program, inputs)
        assert error(got, reference(graph, inputs)) < BOUNDS[precision]
        assert error(run(program, inputs), got) == 0, "what is remembered of a shape changes nothing"


@pytest.mark.parametrize(("bundle", "tower"), GRAPHS)
def test_no_shape_is_read_from_the_device(bundle: str, tower: str):
    graph = graph_of(bundle, tower)
    signature = Signature.of(graph)
    inputs = tensors(inputs_of(signature, 3), "meta")
    answer = Program(graph, "bf16" if tower != "head" else "fp32", "meta").run(inputs)
    assert {name: value.device.type for name, value in answer.items()} == dict.fromkeys(answer, "meta")


@pytest.mark.parametrize(("bundle", "tower"), GRAPHS)
def test_attention_is_recognised(bundle: str, tower: str):
    operators = Counter(Program(graph_of(bundle, tower)).operators)
    found = operators["ScaledAttention"]
    if (bundle, tower) == ("starter", "text"):
        assert found >= 6, "six layers"
    else:
        assert found == ATTENTIONS.get((bundle, tower), 0)


def test_weights_stored_as_bytes_are_widened_once():
    operators = Counter(Program(graph_of("starter", "text")).operators)
    assert operators["Linear"] >= 36
    assert operators["Cast"] < 20, "46 in the file, of which most are of weights"
