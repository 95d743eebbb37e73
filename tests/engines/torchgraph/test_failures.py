"""What torch raises, told apart: only what ends CUDA in this process is a lost device."""

from __future__ import annotations

import pytest

from engines.cuda import runtime
from engines.errors import DeviceLost, EngineError, OutOfMemory

torch = pytest.importorskip("torch")

from engines.torchgraph.failures import LOST, failure  # noqa: E402

SEARCH = "\nSearch for `cudaError{}' in https://docs.nvidia.com/cuda for more information."
FULL = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."),
    torch.AcceleratorError("CUDA error: out of memory" + SEARCH.format("MemoryAllocation")),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("CUDA driver error: out of memory"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
]
OTHER = [
    torch.AcceleratorError("CUDA error: no kernel image is available for execution on the device"),
    torch.AcceleratorError("CUDA error: operation not permitted when stream is capturing"),
    torch.AcceleratorError("CUDA error: invalid argument" + SEARCH.format("InvalidValue")),
    RuntimeError("CUDA error: CUBLAS_STATUS_NOT_SUPPORTED when calling `cublasGemmEx`"),
    RuntimeError("mat1 and mat2 shapes cannot be multiplied: unknown error"),
    KeyError("words"),
]


def told(error: Exception) -> EngineError:
    return failure(error, "A graph failed", "here")


@pytest.mark.parametrize("error", FULL, ids=str)
def test_memory_may_be_full_beside_torchs_own(error: Exception):
    found = told(error)
    assert type(found) is OutOfMemory
    assert "engine.gpu_memory" in found.remedy


@pytest.mark.parametrize("error", OTHER, ids=str)
def test_what_leaves_cuda_as_it_is_loses_no_device(error: Exception):
    found = told(error)
    assert type(found) is EngineError
    assert found.what == "A graph failed"
    assert "engine.backend" in found.remedy


@pytest.mark.parametrize("name", LOST)
def test_what_ends_cuda_in_this_process_is_a_lost_device(name: str):
    assert type(told(torch.AcceleratorError(f"CUDA error: {LOST[name]}\nCUDA kernel errors…"))) is DeviceLost
    assert type(told(RuntimeError(f"CUDA error: {LOST[name]}"))) is DeviceLost
    assert type(told(torch.AcceleratorError("CUDA error: in new words" + SEARCH.format(name)))) is DeviceLost


def test_the_same_errors_are_lost_devices_as_in_calls_of_our_own():
    assert {f"cudaError{name}" for name in LOST} == runtime._LOST


def test_a_capture_that_memory_runs_out_in_is_out_of_memory():
    error = torch.AcceleratorError("CUDA error: operation failed due to a previous error during capture")
    error.__context__ = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
    found = told(error)
    assert type(found) is OutOfMemory
    assert "2 GiB" in found.why
