"""Peers of `make gpu-check`: none is measured that does not run, or that lets another do its work."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import EPFail

from engines.bundle import Bundle
from engines.tensorrt.buckets import Bucket
from engines.tensorrt.signature import Signature
from engines.throughput import inputs_of
from tests.gpu.ground import Ground
from tests.gpu.models import SHAPES
from tests.gpu.peers import CPU, CUDA, PROVIDERS, TENSORRT, asked, onnx_peer, onnx_peers, torch_peers
from tests.gpu.results import Check


def test_without_transformers_torch_is_no_peer_and_the_part_goes_on(
    ground: Ground, told: list[Check], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert torch_peers(ground, SHAPES["bert"], "fp32", 2, "bert fp32") == {}
    assert [(one.check, one.verdict) for one in told] == [("bert fp32: against torch", "not measured")]
    assert "transformers" in told[0].reason


def test_a_peer_that_does_not_run_costs_no_figure_but_its_own(
    ground: Ground, told: list[Check], monkeypatch: pytest.MonkeyPatch
):
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")

    def full(*_: object, **__: object) -> object:
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(torch, "compile", full)
    assert list(torch_peers(ground, SHAPES["bert"], "fp32", 2, "bert fp32")) == ["torch eager"]
    (one,) = told
    assert (one.check, one.verdict) == ("bert fp32: against torch compile", "not measured")
    assert "out of memory" in told[0].reason


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_onnx_runtime_that_fell_back_to_the_processor_is_no_peer_on_a_gpu(
    tmp_path: Path, told: list[Check], monkeypatch: pytest.MonkeyPatch
):
    ground = Ground(cuda=True, small=True, work=tmp_path, tell=told.append)
    both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: both)
    assert onnx_peers(ground, Bundle.load("edge"), SHAPES["bert"], "fp32", {}, "bert fp32") == {}
    verdicts = {one.check: one.verdict for one in told}
    assert verdicts == {f"bert fp32: against {name}": "not measured" for name in PROVIDERS}


def test_a_provider_that_lets_others_do_its_work_is_no_peer():
    graph, inputs = of_edge()
    with pytest.raises(OSError, match=r"runs none of it: \d+ operators on CPUExecutionProvider"):
        onnx_peer(graph, "AzureExecutionProvider", "fp32", inputs)
    assert onnx_peer(graph, CPU, "fp32", inputs).note == "copies included"


def test_a_provider_that_fails_while_it_runs_does_not_hand_its_figure_to_the_next(
    monkeypatch: pytest.MonkeyPatch,
):
    import onnxruntime as ort

    graph, inputs = of_edge()

    class Native:
        def __init__(self, real: object) -> None:
            self.real = real

        def __getattr__(self, name: str) -> object:
            return getattr(self.real, name)

        def run(self, *_: object) -> object:
            raise EPFail("the engine cannot be built")

    class Late(ort.InferenceSession):
        def run(self, *given: object) -> object:
            self._sess = Native(self._sess)
            return super().run(*given)

    monkeypatch.setattr(ort, "InferenceSession", Late)
    with pytest.raises(EPFail, match="cannot be built"):
        onnx_peer(graph, CPU, "fp32", inputs)


def test_onnx_runtimes_tensorrt_is_told_the_precision_and_leaves_the_rest_on_the_gpu():
    assert asked(TENSORRT, "fp16") == [(TENSORRT, {"trt_fp16_enable": "True"}), (CUDA, {})]
    assert asked(TENSORRT, "bf16")[0][1] == {"trt_bf16_enable": "True"}
    assert asked(TENSORRT, "fp32")[0][1] == {}
    assert asked(CUDA, "fp16") == [(CUDA, {})]


def of_edge() -> tuple[bytes, dict]:
    bundle = Bundle.load("edge")
    graph = bundle.read(bundle.graph_name("image"))
    return graph, inputs_of(Signature.of(graph), Bucket(2), bundle.preprocess)
