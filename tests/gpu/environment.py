"""Which device, driver and libraries these are, and the device's own rates."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

from engines import cuda
from engines.errors import EngineError
from engines.sessions.host import cpu_name
from engines.tensorrt import api
from tests.gpu.ground import Ground
from tests.gpu.results import Check, not_measured

PACKAGES = (
    "cuda-bindings", "torch", "onnx", "onnxruntime", "onnxruntime-gpu", "transformers", "nvidia-modelopt",
    "numpy",
)  # fmt: skip


def measure(ground: Ground) -> None:
    """The part `environment`."""
    tell = ground.tell
    tell(Check("processor", cpu_name(), reason=f"{os.cpu_count()} cores, {platform.platform()}"))
    tell(Check("Python", platform.python_version()))
    with ground.checking("devices"):
        for device in cuda.devices():
            major, minor = device.capability
            told = (
                f"compute capability {major}.{minor}, {device.memory / 2**30:.0f} GiB, driver {device.driver}"
            )
            tell(Check(f"device {device.index}", device.name, reason=told))
    with ground.checking("TensorRT"):
        tell(Check("TensorRT", api.load().version))
    for name in PACKAGES:
        try:
            tell(Check(name, version(name)))
        except PackageNotFoundError:
            tell(Check(name, "not installed"))
    for precision in ("fp32", "bf16", "fp16", "fp8", "int8") if ground.cuda else ("fp32",):
        if lacking := ground.lacks(precision):
            tell(not_measured(f"rates at {precision}", lacking))
            continue
        try:
            rates = ground.rates(precision)
        except EngineError as error:
            tell(not_measured(f"rates at {precision}", str(error)))
            continue
        shapes = "; ".join(f"{shape} {rate / 1e12:.0f}" for shape, rate in rates.by_shape.items())
        told = f"by shape: {shapes} TFLOP/s; copying {rates.copy / 1e12:.2f} TB/s read and written"
        tell(Check(f"matrix rate at {precision}", f"{rates.matrix / 1e12:.0f} TFLOP/s", reason=told))
