"""What the parts of the stand-in for `tensorrt` share: enumerations, bases of classes, a plan's kind."""

from __future__ import annotations

import enum
from typing import Any

from tests.standin import cudart
from tests.standin.machine import ALIGNMENT, machine

MAGIC = b"stand-in plan\n"


class Enumeration(enum.Enum):
    def __int__(self) -> int:
        return int(self.value)

    __index__ = __int__


class NetworkDefinitionCreationFlag(Enumeration):
    STRONGLY_TYPED = 1


class BuilderFlag(Enumeration):
    DISABLE_TIMING_CACHE = 6
    TF32 = 7
    VERSION_COMPATIBLE = 13
    STRIP_PLAN = 20
    STRICT_NANS = 24
    MONITOR_MEMORY = 25


class MemoryPoolType(Enumeration):
    WORKSPACE = 0
    TACTIC_DRAM = 4


class TensorIOMode(Enumeration):
    NONE = 0
    INPUT = 1
    OUTPUT = 2


class DataType(Enumeration):
    FLOAT = 0
    HALF = 1
    INT8 = 2
    INT32 = 3
    BOOL = 4
    UINT8 = 5
    FP8 = 6
    BF16 = 7
    INT64 = 8


class ExecutionContextAllocationStrategy(Enumeration):
    STATIC = 0
    ON_PROFILE_CHANGE = 1
    USER_MANAGED = 2


class HardwareCompatibilityLevel(Enumeration):
    NONE = 0
    AMPERE_PLUS = 1


class ProfilingVerbosity(Enumeration):
    LAYER_NAMES_ONLY = 0
    NONE = 1
    DETAILED = 2


class ILogger:
    class Severity(Enumeration):
        INTERNAL_ERROR = 0
        ERROR = 1
        WARNING = 2
        INFO = 3
        VERBOSE = 4

    def __init__(self) -> None:
        self._made = True

    def log(self, severity: Severity, msg: str) -> None:
        raise NotImplementedError


class IProgressMonitor:
    def __init__(self) -> None:
        self._made = True

    def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
        raise NotImplementedError

    def step_complete(self, phase_name: str, step: int) -> bool:
        raise NotImplementedError

    def phase_finish(self, phase_name: str) -> None:
        raise NotImplementedError


class Dims(tuple[int, ...]):
    """Shapes."""


class IHostMemory(bytes):
    @property
    def nbytes(self) -> int:
        return len(self)


def release() -> tuple[int, ...]:
    return tuple(int(part) for part in machine.tensorrt.split(".")[:2])


def kind() -> list[Any]:
    """What a plan is good for."""
    gpu = machine.gpus[cudart.current()]
    return [machine.tensorrt, gpu.name, *gpu.capability]


def weights(source: bytes) -> int:
    return -(-max(len(source), ALIGNMENT) // ALIGNMENT) * ALIGNMENT


def started(logger: ILogger, what: str) -> None:
    if not getattr(logger, "_made", False):
        raise TypeError("ILogger.__init__() must be called when overriding __init__")
    status = int(cudart.cudaGetDeviceCount()[0]) or machine.initialization
    if status:
        logger.log(
            ILogger.Severity.ERROR,
            f"create{what}: Error Code 6: API Usage Error (CUDA initialization failure with error: {status}. "
            "Please check your CUDA installation: "
            "http://docs.nvidia.com/cuda/cuda-installation-guide-linux/index.html)",
        )
        raise TypeError("pybind11::init(): factory function returned nullptr")
