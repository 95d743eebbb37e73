"""What only a GPU can run: captured graphs, their streams and staging. Skips where torch sees none."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import engines
from engines.bundle import Bundle
from engines.sessions.base import Terms
from engines.sessions.torch import BACKEND

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")

from engines.planner import Budget  # noqa: E402
from engines.tensorrt.signature import Signature  # noqa: E402
from tests.engines.torchgraph.inputs import error, inputs_of, reference  # noqa: E402

BUNDLES = Path(engines.__file__).parent / "bundles"
SMALL = Terms(lanes=2, budget=Budget(tokens=512, image_rows=8, audio_seconds=20.0, head_rows=32))
BOUNDS = {"fp32": 5e-4, "bf16": 6e-2, "fp16": 1e-2}


@pytest.mark.parametrize("precision", BOUNDS)
@pytest.mark.parametrize("tower", ["text", "image", "audio", "head"])
@pytest.mark.parametrize("bundle", ["starter", "edge"])
def test_captured_graphs_answer_as_onnx_runtime_does(bundle: str, tower: str, precision: str):
    found = Bundle.load(BUNDLES / bundle)
    graph = found.read(found.graph_name(tower))
    signature = Signature.of(graph)
    session = BACKEND.open(found, tower, precision, SMALL)
    batches = [inputs_of(signature, rows) for rows in (1, 7, 3, 1, 5)]
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(session.run, batches))
    for inputs, answer in zip(batches, answers, strict=True):
        assert error(answer, reference(graph, inputs)) < BOUNDS[precision]
    session.close()


def test_replaying_does_not_grow_the_memory():
    found = Bundle.load(BUNDLES / "edge")
    signature = Signature.of(found.read(found.graph_name("text")))
    session = BACKEND.open(found, "text", "bf16", SMALL)
    inputs = inputs_of(signature, 7)
    session.run(inputs)
    before = torch.cuda.memory_allocated()
    for _ in range(50):
        session.run(inputs)
    assert torch.cuda.memory_allocated() == before
    session.close()


def test_it_is_there_and_says_so():
    assert BACKEND.missing() is None
    assert BACKEND.on_gpu()
    assert "CUDA" in BACKEND.describe()
