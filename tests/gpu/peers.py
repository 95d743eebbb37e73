"""The same model by other means, in the same run: torch eager and compiled, ONNX Runtime's GPU providers."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engines.bundle import Bundle
from engines.sessions.base import Arrays
from tests.gpu.ground import Ground
from tests.gpu.models import Shape, config_of, size_of
from tests.gpu.results import not_measured

Run = Callable[[], object]
CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"
PROVIDERS = {"ONNX Runtime CUDA": CUDA, "ONNX Runtime TensorRT": TENSORRT}
_FLAGS = {"fp16": "trt_fp16_enable", "bf16": "trt_bf16_enable", "fp8": "trt_fp16_enable"}
"""Its networks are weakly typed: without these they compute at FP32, or are refused. For 8-bit floats it has
none: there the rest of the graph is at 16 bits."""


@dataclass(frozen=True)
class Peer:
    """What to time, and what a reader has to know of it."""

    run: Run
    note: str = ""


def torch_peers(ground: Ground, shape: Shape, precision: str, rows: int, check: str) -> dict[str, Peer]:
    """Eager and compiled, with fused attention, its inputs on the device and nothing copied."""
    try:
        import torch
        import transformers
    except ImportError as error:
        ground.tell(not_measured(f"{check}: against torch", str(error), "> 1"))
        return {}
    kinds = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
    if precision not in kinds:
        why = f"torch has no ready path for {precision}"
        ground.tell(not_measured(f"{check}: against torch", why, "> 1"))
        return {}
    device = "cuda" if ground.cuda else "cpu"
    config = config_of(shape, ground.small)
    config._attn_implementation = "sdpa"
    name = {"bert": "BertModel", "vit": "ViTModel", "wav2vec2": "Wav2Vec2Model"}[shape.name]
    try:
        model = getattr(transformers, name)(config).eval().to(device, kinds[precision])
        given = _inputs(torch, shape, ground, rows, device, kinds[precision])
    except Exception as error:
        why = f"it cannot be made here: {type(error).__name__} {str(error)[:200]}"
        ground.tell(not_measured(f"{check}: against torch", why, "> 1"))
        return {}

    def run(call: Any) -> Run:
        def once() -> None:
            with torch.inference_mode():
                call(**given)
            if ground.cuda:
                torch.cuda.synchronize()

        return once

    mode = "reduce-overhead" if ground.cuda else "default"
    ways = {"torch eager": lambda: model, "torch compile": lambda: torch.compile(model, mode=mode)}
    found = {}
    for way, made in ways.items():
        try:
            tried = run(made())
            tried()  # one that cannot run must not cost the others their figures
            found[way] = Peer(tried, "no copies")
        except Exception as error:
            why = f"it does not run here: {type(error).__name__} {str(error)[:200]}"
            ground.tell(not_measured(f"{check}: against {way}", why, "> 1"))
    return found


def onnx_peers(ground: Ground, bundle: Bundle, shape: Shape, precision: str, inputs: Arrays,
               check: str) -> dict[str, Peer]:  # fmt: skip
    """Providers for GPUs, where this ONNX Runtime has them and they do the work themselves."""
    import onnxruntime as ort

    found: dict[str, Peer] = {}
    here = ort.get_available_providers()
    wanted = PROVIDERS if ground.cuda else {"ONNX Runtime CPU": CPU}
    graph = bundle.read(bundle.graph_name(shape.tower, precision))
    for name, provider in wanted.items():
        if provider not in here:
            why = f"this ONNX Runtime {ort.__version__} has only {', '.join(here)}"
            ground.tell(not_measured(f"{check}: against {name}", why, "> 1"))
            continue
        try:
            found[name] = onnx_peer(graph, provider, precision, dict(inputs))
        except Exception as error:
            why = f"it does not run the graph at {precision}: {str(error)[:200]}"
            ground.tell(not_measured(f"{check}: against {name}", why, "> 1"))
    return found


def onnx_peer(graph: bytes, provider: str, precision: str, feeds: Arrays) -> Peer:
    """A graph on a provider, warm, and seen to run there; raises whatever says that it doesn't.

    A provider that fails must not hand its figure to the next one, as ONNX Runtime lets it by itself: with
    TensorRT that may be as late as its first run, which is when it builds. What it leaves to others is told.
    """
    import onnxruntime as ort

    with tempfile.TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.enable_profiling = True
        options.profile_file_prefix = f"{folder}/run"
        session = ort.InferenceSession(
            graph, options, providers=asked(provider, precision), enable_fallback=0
        )
        session.run(None, feeds)
        placed = _placed(Path(session.end_profiling()))
    if provider not in session.get_providers():  # it goes on without one that does not start
        raise OSError(f"{provider} does not start: see its libraries")
    if not placed[provider]:
        raise OSError(f"{provider} runs none of it: {_spelt(placed)}")
    others = Counter({name: count for name, count in placed.items() if name != provider})
    note = "copies included" + (f"; {_spelt(others)} run by others" if others else "")
    return Peer(lambda: session.run(None, feeds), note)


def asked(provider: str, precision: str) -> list[tuple[str, dict[str, str]]]:
    """Providers in order, with options: what TensorRT does not take stays on the GPU."""
    if provider != TENSORRT:
        return [(provider, {})]
    flags = {_FLAGS[precision]: "True"} if precision in _FLAGS else {}
    return [(TENSORRT, flags), (CUDA, {})]


def _placed(profile: Path) -> Counter[str]:
    """How many operators ran on each provider."""
    found: Counter[str] = Counter()
    for event in json.loads(profile.read_text("utf-8")):
        provider = event.get("args", {}).get("provider")
        if provider and event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            found[provider] += 1
    return found


def _spelt(placed: Mapping[str, int]) -> str:
    return ", ".join(f"{count} operators on {name}" for name, count in placed.items()) or "nothing"


def _inputs(torch: Any, shape: Shape, ground: Ground, rows: int, device: str, kind: Any) -> dict[str, Any]:
    size, random = size_of(shape, ground.small), np.random.default_rng(0)
    if shape.tower == "text":
        ids = torch.from_numpy(random.integers(4, 60, (rows, size)))
        return {"input_ids": ids.to(device)}
    form = (rows, 3, size, size) if shape.tower == "image" else (rows, size * 16_000)
    values = torch.from_numpy(random.standard_normal(form, np.float32)).to(device, kind)
    return {"pixel_values" if shape.tower == "image" else "input_values": values}
