"""NVIDIA's bindings of the CUDA runtime, and what their statuses mean."""

from __future__ import annotations

import os
from functools import cache
from importlib import import_module
from typing import Any, Final

from engines.errors import DeviceLost, EngineError, NoDevice, OutOfMemory

MORE_MEMORY: Final = (
    "Lower engine.gpu_memory or the micro-batches' budgets, or end what else holds the GPU's memory"
)

_OLDEST: Final = 12
"""The oldest CUDA that these packages are still made for, by its major version."""
_INSTALL: Final = "Install it with: pip install 'tidegate[gpu]'"
_RESTART: Final = (
    "Restart the process; where it comes back, look for Xid errors in the kernel's log and at nvidia-smi"
)
_CHECK: Final = "Check that nvidia-smi lists it; in a container, that it was started with access to GPUs"
_MEMORY: Final = frozenset({"cudaErrorMemoryAllocation"})
_DISTURBED: Final = frozenset({"cudaErrorStreamCaptureUnsupported", "cudaErrorStreamCaptureInvalidated"})
_ABSENT: Final = {
    "cudaErrorNoDevice": ("there is no GPU", _CHECK),
    "cudaErrorDevicesUnavailable": (
        "every GPU is taken: another process holds it for itself alone",
        "End that process, or set the GPU's compute mode to DEFAULT with nvidia-smi -c 0",
    ),
    "cudaErrorSystemDriverMismatch": (
        "the driver's library and its kernel module are of different versions",
        "Reboot, or load the kernel module anew",
    ),
    "cudaErrorSystemNotReady": (
        "the system is not ready: its fabric manager does not run",
        "Start nvidia-fabricmanager, of the driver's version",
    ),
    "cudaErrorCompatNotSupportedOnDevice": (
        "CUDA's forward compatibility is not for this GPU",
        "Upgrade NVIDIA's driver, or remove the package cuda-compat",
    ),
    "cudaErrorInitializationError": ("CUDA does not start", _CHECK),
    "cudaErrorOperatingSystem": ("the operating system refuses access to the GPU", _CHECK),
    "cudaErrorUnknown": (
        "CUDA does not start",
        "Reboot, or load the kernel module anew: its version may not be the driver's",
    ),
}
_LOST: Final = frozenset(
    f"cudaError{name}"
    for name in (
        "Assert", "ContextIsDestroyed", "Contained", "DeviceUninitialized", "DevicesUnavailable",
        "ECCUncorrectable", "ExternalDevice", "HardwareStackError", "IllegalAddress", "IllegalInstruction",
        "InvalidAddressSpace", "InvalidPc", "LaunchFailure", "LaunchTimeout", "MisalignedAddress",
        "MpsConnectionFailed", "MpsServerNotReady", "NoDevice", "NvlinkUncorrectable", "TensorMemoryLeak",
        "Unknown",
    )
)  # fmt: skip


class CaptureBroken(EngineError):  # noqa: N818
    """A capture spoilt by a call that none survives, as a rule another thread's: it can be tried again."""


@cache
def runtime() -> Any:
    """The module cuda.bindings.runtime; raises NoDevice where it cannot be imported."""
    try:
        return import_module("cuda.bindings.runtime")
    except ModuleNotFoundError as error:
        raise NoDevice(
            "CUDA cannot be used", why="the package cuda-bindings is not installed", remedy=_INSTALL
        ) from error
    except (ImportError, OSError, RuntimeError) as error:
        raise NoDevice("CUDA cannot be used", why=str(error)[:300], remedy=_INSTALL) from error


def missing() -> str | None:
    """Why CUDA's bindings cannot be used, None where they can; says nothing of GPUs."""
    try:
        runtime()
    except NoDevice as error:
        return error.why
    return None


def call(name: str, *arguments: Any) -> Any:
    """One call: what it gives (nothing, one value or several); raises EngineError."""
    status, *values = getattr(runtime(), name)(*arguments)
    if int(status):
        raise failure(name, status)
    return values[0] if len(values) == 1 else tuple(values) or None


def quietly(name: str, *arguments: Any) -> None:
    """One call that gives back what is held: on a device that is lost there is nothing left to do."""
    getattr(runtime(), name)(*arguments)


def failure(name: str, status: Any) -> EngineError:
    """The error that a status of a call is."""
    text = runtime().cudaGetErrorString(status)[1]
    why = f"{text.decode() if isinstance(text, bytes) else text} ({status.name} {int(status)})"
    if status.name in _MEMORY:
        runtime().cudaGetLastError()  # this one does not stay
        return OutOfMemory("GPU memory does not suffice", where=name, why=why, remedy=MORE_MEMORY)
    if status.name in _LOST:
        return DeviceLost("A GPU failed", where=name, why=why, remedy=_RESTART)
    if disturbed(status):
        return CaptureBroken("A capture was disturbed", where=name, why=why)
    return EngineError("A call of CUDA failed", where=name, why=why)


def spoilt(status: Any) -> bool:
    """Whether a status says that a device which is there is full, or lost, not that there is none."""
    return status.name in (_MEMORY | _LOST) and status.name not in _ABSENT


def disturbed(status: Any) -> bool:
    """Whether a status says that a capture was spoilt by a call that none survives."""
    return status.name in _DISTURBED


def absence(status: Any) -> NoDevice:
    """Why no device can be counted, and what to do."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if status.name == "cudaErrorNoDevice" and hidden is not None:
        return NoDevice(
            "No GPU can be used",
            why=f"CUDA_VISIBLE_DEVICES is {hidden!r}, which shows none",
            remedy="Unset it, or set it to a GPU, or a MIG instance, that nvidia-smi -L lists",
        )
    if status.name == "cudaErrorInsufficientDriver":
        return _driver()
    why, remedy = _ABSENT.get(status.name, ("", _CHECK))
    return NoDevice("No GPU can be used", why=why or f"{status.name} {int(status)}", remedy=remedy)


def _driver() -> NoDevice:
    installed = int(runtime().cudaDriverGetVersion()[1] or 0)
    needed = int(runtime().cudaRuntimeGetVersion()[1] or 0)
    if not installed:
        return NoDevice(
            "No GPU can be used",
            why="NVIDIA's driver is not installed, or not within reach",
            remedy=f"Install a driver for CUDA {cuda_version(needed)} or later. {_CHECK}",
        )
    major = installed // 1000
    older = f", or install packages for CUDA {major}: cuda-bindings {major}.* and tensorrt-cu{major}"
    return NoDevice(
        "No GPU can be used",
        why=f"NVIDIA's driver is too old: it is for CUDA {cuda_version(installed)}, "
        f"the package cuda-bindings for CUDA {cuda_version(needed)}",
        remedy=f"Upgrade the driver{older if major >= _OLDEST else ''}",
    )


def cuda_version(number: int) -> str:
    """A version as CUDA numbers it: 13050 → 13.5."""
    return f"{number // 1000}.{number % 1000 // 10}"
