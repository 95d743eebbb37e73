"""Graphs on torch, for GPUs without TensorRT; importable without torch.

`auto` takes it only where there is a GPU. Terms without devices, `Terms(devices=())`, mean the processor: a
plain run without buckets, for tests and for comparing.
"""

from __future__ import annotations

import ctypes
from functools import cache
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, Final

from engines.bundle import Bundle
from engines.errors import EngineError, NoDevice
from engines.lanes import EACH
from engines.sessions.base import Backend, Session, Terms

_PRECISIONS: Final = ("fp32", "bf16", "fp16")


def opened(bundle: Bundle, tower: str, precision: str, terms: Terms) -> Session:
    """A tower's graph at a precision that is cast here, the head at fp32; raises EngineError."""
    where = f"{bundle.name}/{tower} on torch, {precision}"
    for package in ("torch", "onnx"):
        if find_spec(package) is None:
            raise EngineError(
                "A graph cannot be loaded", where=where, why=f"the package {package} is not installed",
                remedy=f"pip install {package}",
            )  # fmt: skip
    if precision not in _PRECISIONS:
        raise EngineError(
            "A graph cannot be loaded", where=where, why=f"torch runs {', '.join(_PRECISIONS)} here",
            remedy="Set engine.precision to one of these, or engine.backend to tensorrt",
        )  # fmt: skip
    from engines.tensorrt.buckets import buckets_of
    from engines.tensorrt.signature import Signature
    from engines.torchgraph.program import Program
    from engines.torchgraph.session import HostSession, LanesSession, told

    data = bundle.read(bundle.graph_name(tower))
    kind = "fp32" if tower == "head" else precision
    with told(where, "A graph cannot be loaded"):
        signature = Signature.of(data)
        if not terms.devices:
            return HostSession(Program(data, kind), signature, where)
        from engines.torchgraph import cuda

        _checked(where, terms.devices)
        lanes = []
        for device in dict.fromkeys(terms.devices):
            cuda.prepare(device, terms.gpu_memory)
            program = Program(data, kind, f"cuda:{device}")
            lanes += [cuda.CudaLane(program, signature, device) for _ in range(EACH)]
        buckets = buckets_of(tower, signature, bundle.preprocess, terms.budget)
        heard = terms.progress
        told_of = (lambda share: heard(where, share)) if heard else (lambda share: None)
        return LanesSession(lanes, signature, buckets, where, told_of)


def _checked(where: str, devices: tuple[int, ...]) -> None:
    missing = _missing()
    wrong = [device for device in devices if missing is None and device >= _torch().cuda.device_count()]
    if missing or wrong:
        raise NoDevice(
            "A graph cannot be loaded", where=where,
            why=missing or f"there is no GPU {', '.join(map(str, wrong))}",
            remedy="See what `tidegate doctor` says of the GPU, or set engine.backend to auto",
        )  # fmt: skip


@cache
def _torch() -> Any:
    return import_module("torch")


def _missing() -> str | None:
    for package in ("torch", "onnx"):
        if find_spec(package) is None:
            return f"the package {package} is not installed"
    return _no_device()


def _no_device() -> str | None:
    try:
        ctypes.CDLL("libcuda.so.1")  # importing torch takes seconds, which a machine without a GPU is spared
    except OSError:
        return "torch sees no CUDA device: the NVIDIA driver is not installed"
    try:
        torch = _torch()
    except (ImportError, OSError, RuntimeError) as error:
        return f"torch does not start: {str(error)[:200]}"
    if torch.version.cuda is None:
        return f"torch sees no CUDA device: torch {torch.__version__} is built without CUDA"
    if not torch.cuda.is_available():
        return f"torch sees no CUDA device: {_reason(torch)}"
    return None


def _reason(torch: Any) -> str:
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        return str(error).partition("\n")[0][:200]
    return "the driver names none"


def _native() -> tuple[str, ...]:
    if _no_device() is None and not _torch().cuda.is_bf16_supported(including_emulation=False):
        return ("fp32", "fp16")
    return _PRECISIONS


def _describe() -> str:
    if _no_device() is not None:
        return f"torch {version('torch')} CPU"
    torch = _torch()
    return f"torch {torch.__version__} CUDA {torch.version.cuda}, {torch.cuda.get_device_name()}"


BACKEND = Backend(
    name="torch",
    missing=_missing,
    native=_native,
    describe=_describe,
    open=opened,
    on_gpu=lambda: _no_device() is None,
    reads=_PRECISIONS,
)
