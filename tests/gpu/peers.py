"""The same model by other means, in the same run: torch eager and compiled, ONNX Runtime's GPU providers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from engines.bundle import Bundle
from engines.sessions.base import Arrays
from tests.gpu.ground import Ground
from tests.gpu.models import Shape, config_of, size_of
from tests.gpu.results import not_measured

Run = Callable[[], object]
PROVIDERS = {
    "ONNX Runtime CUDA": "CUDAExecutionProvider",
    "ONNX Runtime TensorRT": "TensorrtExecutionProvider",
}


def torch_peers(ground: Ground, shape: Shape, precision: str, rows: int, check: str) -> dict[str, Run]:
    """Eager and compiled, with fused attention, its inputs on the device and nothing copied."""
    try:
        import torch
        import transformers
    except ImportError as error:
        ground.tell(not_measured(f"{check}: against torch", str(error), "> 1"))
        return {}
    kinds = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
    if precision not in kinds:
        ground.tell(not_measured(f"{check}: against torch", f"torch has no ready path for {precision}"))
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
            found[way] = tried
        except Exception as error:
            why = f"it does not run here: {type(error).__name__} {str(error)[:200]}"
            ground.tell(not_measured(f"{check}: against {way}", why, "> 1"))
    return found


def onnx_peers(ground: Ground, bundle: Bundle, shape: Shape, precision: str, inputs: Arrays,
               check: str) -> dict[str, Run]:  # fmt: skip
    """Providers for GPUs, where this ONNX Runtime has them."""
    import onnxruntime as ort

    found: dict[str, Run] = {}
    here = ort.get_available_providers()
    wanted = PROVIDERS if ground.cuda else {"ONNX Runtime CPU": "CPUExecutionProvider"}
    for name, provider in wanted.items():
        if provider not in here:
            why = f"this ONNX Runtime {ort.__version__} has only {', '.join(here)}"
            ground.tell(not_measured(f"{check}: against {name}", why, "> 1"))
            continue
        try:
            options = ort.SessionOptions()
            options.log_severity_level = 3
            session = ort.InferenceSession(
                bundle.read(bundle.graph_name(shape.tower, precision)), options, providers=[provider]
            )
            if provider not in session.get_providers():  # it goes on without one that does not start
                raise OSError(f"{provider} does not start: see its libraries")
            feeds = dict(inputs)
            session.run(None, feeds)
            found[name] = lambda session=session, feeds=feeds: session.run(None, feeds)
        except Exception as error:
            why = f"it does not run the graph at {precision}: {str(error)[:200]}"
            ground.tell(not_measured(f"{check}: against {name}", why, "> 1"))
    return found


def _inputs(torch: Any, shape: Shape, ground: Ground, rows: int, device: str, kind: Any) -> dict[str, Any]:
    size, random = size_of(shape, ground.small), np.random.default_rng(0)
    if shape.tower == "text":
        ids = torch.from_numpy(random.integers(4, 60, (rows, size)))
        return {"input_ids": ids.to(device)}
    form = (rows, 3, size, size) if shape.tower == "image" else (rows, size * 16_000)
    values = torch.from_numpy(random.standard_normal(form, np.float32)).to(device, kind)
    return {"pixel_values" if shape.tower == "image" else "input_values": values}
