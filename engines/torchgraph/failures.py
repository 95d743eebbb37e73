"""What torch raises, as errors in words: of a GPU's memory, of a GPU that is lost, or of the graph."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from engines.errors import DeviceLost, EngineError, OutOfMemory
from engines.torchgraph.library import torch

RAISED: Final = (RuntimeError, ValueError, TypeError, IndexError, KeyError, NotImplementedError)
"""Whatever torch raises, its own errors among it."""

_FULL: Final = re.compile(r"out of memory|ALLOC(ATION)?_FAILED")
"""CUDA's word for it and its libraries': they allocate beside torch, which has a class for its own alone."""
_CUDA: Final = re.compile(r"CUDA (driver )?error\b|cuDNN error\b")
LOST: Final = {
    "Assert": "device-side assert triggered",
    "ContextIsDestroyed": "context is destroyed",
    "Contained": "Invalid access of peer GPU memory over nvlink or a hardware error",
    "DeviceUninitialized": "invalid device context",
    "DevicesUnavailable": "CUDA-capable device(s) is/are busy or unavailable",
    "ECCUncorrectable": "uncorrectable ECC error encountered",
    "ExternalDevice": "in external entity outside of CUDA",
    "HardwareStackError": "hardware stack error",
    "IllegalAddress": "an illegal memory access was encountered",
    "IllegalInstruction": "an illegal instruction was encountered",
    "InvalidAddressSpace": "operation not supported on global/shared address space",
    "InvalidPc": "invalid program counter",
    "LaunchFailure": "unspecified launch failure",
    "LaunchTimeout": "the launch timed out and was terminated",
    "MisalignedAddress": "misaligned address",
    "MpsConnectionFailed": "MPS client failed to connect",
    "MpsServerNotReady": "MPS server is not ready to accept new MPS client requests",
    "NoDevice": "no CUDA-capable device is detected",
    "NvlinkUncorrectable": "uncorrectable NVLink error detected",
    "TensorMemoryLeak": "tensor memory not completely freed",
    "Unknown": "unknown error",
}
"""Errors after which nothing of CUDA works in a process, cudaError…, and their words: not every release of
torch gives the name."""
_NAME: Final = re.compile(r"\bcudaError(\w+)")
_OTHER: Final = (
    "Install a torch that is made for this GPU and its driver, or set engine.backend to another one"
)
_ELSE: Final = "Set engine.backend to another one"


def failure(error: Exception, what: str, where: str) -> EngineError:
    """The error that an exception of torch is: OutOfMemory, DeviceLost, or an EngineError with `what`."""
    why = _first(error)
    if _full(error):
        return _memory(why, where)
    if _lost(error):
        remedy = "Start the daemon anew; where it comes back, look for Xid in the kernel's log"
        return DeviceLost("A GPU failed", where=where, why=why, remedy=remedy)
    behind = next(filter(_full, _behind(error)), None)
    if behind is not None:  # a capture that memory ran out in ends with an error of its own
        return _memory(_first(behind), where)
    return EngineError(what, where=where, why=why, remedy=_OTHER if _of_cuda(error) else _ELSE)


def _memory(why: str, where: str) -> OutOfMemory:
    remedy = "Raise engine.gpu_memory, or free the GPU of other programs"
    return OutOfMemory("A GPU's memory is full", where=where, why=why, remedy=remedy)


def _full(error: BaseException) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or _FULL.search(_first(error)) is not None


def _lost(error: BaseException) -> bool:
    if not _of_cuda(error):
        return False
    named = {found[1] for found in _NAME.finditer(str(error))}
    return not named.isdisjoint(LOST) or any(text in _first(error) for text in LOST.values())


def _of_cuda(error: BaseException) -> bool:
    accelerator = getattr(torch, "AcceleratorError", ())
    return isinstance(error, accelerator) or _CUDA.match(str(error)) is not None


def _behind(error: BaseException) -> Iterator[BaseException]:
    """The errors that torch was dealing with when this one came."""
    seen = error.__context__
    while isinstance(seen, RAISED):
        yield seen
        seen = seen.__context__


def _first(error: BaseException) -> str:
    return str(error).partition("\n")[0][:300]
