"""Stands in for `tensorrt`: plans keep their ONNX graph, which ONNX Runtime runs where a GPU would.

What it refuses, it refuses as TensorRT does: answers None or False, and tells the logger why. Its plans are
of one version and one kind of device; shapes outside a profile, addresses that are missing and contexts
that share memory at the same time are errors.
"""

from __future__ import annotations

import ctypes
import enum
import json
import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.standin import cudart
from tests.standin.graphs import Graph
from tests.standin.machine import ALIGNMENT, Built, machine

_MAGIC = b"stand-in plan\n"
_CACHE = b"stand-in cache\n"
_MULTIPLE_PROFILES = (10, 8)
"""The release from which several profiles in one engine compute what they should."""


class _Enum(enum.Enum):
    def __int__(self) -> int:
        return int(self.value)

    __index__ = __int__


class NetworkDefinitionCreationFlag(_Enum):
    STRONGLY_TYPED = 1


class BuilderFlag(_Enum):
    DISABLE_TIMING_CACHE = 6
    TF32 = 7
    VERSION_COMPATIBLE = 13
    STRIP_PLAN = 20
    STRICT_NANS = 24
    MONITOR_MEMORY = 25


class MemoryPoolType(_Enum):
    WORKSPACE = 0


class TensorIOMode(_Enum):
    NONE = 0
    INPUT = 1
    OUTPUT = 2


class DataType(_Enum):
    FLOAT = 0
    HALF = 1
    INT8 = 2
    INT32 = 3
    BOOL = 4
    UINT8 = 5
    FP8 = 6
    BF16 = 7
    INT64 = 8


class ExecutionContextAllocationStrategy(_Enum):
    STATIC = 0
    ON_PROFILE_CHANGE = 1
    USER_MANAGED = 2


class HardwareCompatibilityLevel(_Enum):
    NONE = 0
    AMPERE_PLUS = 1


class ProfilingVerbosity(_Enum):
    LAYER_NAMES_ONLY = 0
    NONE = 1
    DETAILED = 2


class ILogger:
    class Severity(_Enum):
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


class ITensor:
    def __init__(self, name: str, dtype: DataType, shape: Sequence[int]) -> None:
        self.name, self.dtype, self.shape = name, dtype, Dims(shape)


class INetworkDefinition:
    def __init__(self) -> None:
        self._graph: Graph | None = None
        self._inputs: list[ITensor] = []
        self._outputs: list[ITensor] = []

    @property
    def num_inputs(self) -> int:
        return len(self._inputs)

    @property
    def num_outputs(self) -> int:
        return len(self._outputs)

    def get_input(self, index: int) -> ITensor:
        return self._inputs[index]

    def get_output(self, index: int) -> ITensor:
        return self._outputs[index]


class ParserError:
    def __init__(self, text: str, node: str = "", operator: str = "") -> None:
        self._text, self._node, self._operator = text, node, operator

    def desc(self) -> str:
        return self._text

    def node_name(self) -> str:
        return self._node

    def node_operator(self) -> str:
        return self._operator


class OnnxParser:
    def __init__(self, network: INetworkDefinition, logger: ILogger) -> None:
        self._network, self._logger = network, logger
        self._errors: list[ParserError] = []

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> ParserError:
        return self._errors[index]

    def parse(self, model: bytes, path: str | None = None) -> bool:
        del path
        try:
            graph = Graph(bytes(model))
        except ValueError as error:
            return self._refused(ParserError(str(error)))
        if machine.unsupported in graph.operators:
            text = f"No importer registered for op: {machine.unsupported}"
            return self._refused(ParserError(text, "node", machine.unsupported or ""))
        self._network._graph = graph
        for tensors, sides in (
            (self._network._inputs, graph.inputs),
            (self._network._outputs, graph.outputs),
        ):
            for side in sides:
                shape = [-1 if isinstance(dim, str) else dim for dim in side.dims]
                tensors.append(ITensor(side.name, DataType[side.dtype], shape))
        return True

    def _refused(self, error: ParserError) -> bool:
        self._errors.append(error)
        self._logger.log(ILogger.Severity.ERROR, f"ModelImporter.cpp: {error.desc()}")
        return False


class IOptimizationProfile:
    def __init__(self) -> None:
        self._shapes: dict[str, list[Dims]] = {}

    def set_shape(self, input: str, min: Sequence[int], opt: Sequence[int], max: Sequence[int]) -> None:  # noqa: A002
        if not len(min) == len(opt) == len(max) or any(
            not 0 <= low <= best <= high for low, best, high in zip(min, opt, max, strict=True)
        ):
            raise ValueError("Shape provided for min is inconsistent with other shapes.")
        self._shapes[input] = [Dims(min), Dims(opt), Dims(max)]

    def get_shape(self, input: str) -> list[Dims]:  # noqa: A002
        return self._shapes.get(input, [])


class ITimingCache:
    def __init__(self, seen: set[str]) -> None:
        self._seen = seen

    def serialize(self) -> IHostMemory:
        return IHostMemory(_CACHE + json.dumps([_kind(), sorted(self._seen)]).encode())


class IBuilderConfig:
    def __init__(self, logger: ILogger) -> None:
        self._logger = logger
        self._profiles: list[IOptimizationProfile] = []
        self._pools: dict[MemoryPoolType, int] = {}
        self._flags = {BuilderFlag.TF32}
        self._cache = ITimingCache(set())
        self.progress_monitor: IProgressMonitor | None = None
        self.builder_optimization_level = 3
        self.max_aux_streams = 0
        self.hardware_compatibility_level = HardwareCompatibilityLevel.NONE
        self.profiling_verbosity = ProfilingVerbosity.LAYER_NAMES_ONLY

    @property
    def num_optimization_profiles(self) -> int:
        return len(self._profiles)

    def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
        self._profiles.append(profile)
        return len(self._profiles) - 1

    def set_memory_pool_limit(self, pool: MemoryPoolType, pool_size: int) -> None:
        self._pools[pool] = int(pool_size)

    def get_memory_pool_limit(self, pool: MemoryPoolType) -> int:
        return self._pools.get(pool, machine.gpus[cudart.current()].memory)

    def set_flag(self, flag: BuilderFlag) -> None:
        self._flags.add(flag)

    def clear_flag(self, flag: BuilderFlag) -> None:
        self._flags.discard(flag)

    def get_flag(self, flag: BuilderFlag) -> bool:
        return flag in self._flags

    def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache | None:
        data = bytes(serialized_timing_cache)
        if not data:
            return ITimingCache(set())
        try:
            kind, seen = json.loads(data.removeprefix(_CACHE)) if data.startswith(_CACHE) else (None, [])
        except ValueError:
            kind, seen = None, []
        if kind is None:
            self._logger.log(ILogger.Severity.ERROR, "The serialized timing cache is corrupt.")
            return None
        cache = ITimingCache(set(seen))
        cache._kind = kind  # type: ignore[attr-defined]
        return cache

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
        if getattr(cache, "_kind", _kind()) != _kind() and not ignore_mismatch:
            self._logger.log(ILogger.Severity.WARNING, "The timing cache is of another device or version.")
            return False
        self._cache = cache
        return True

    def get_timing_cache(self) -> ITimingCache:
        return self._cache


class Builder:
    def __init__(self, logger: ILogger) -> None:
        _started(logger)
        self._logger = logger
        self.max_threads = 1

    def create_network(self, flags: int = 0) -> INetworkDefinition:
        if not flags >> NetworkDefinitionCreationFlag.STRONGLY_TYPED.value & 1:
            machine.faults.append("a network that is not strongly typed")
        return INetworkDefinition()

    def create_builder_config(self) -> IBuilderConfig:
        return IBuilderConfig(self._logger)

    def create_optimization_profile(self) -> IOptimizationProfile:
        return IOptimizationProfile()

    def build_serialized_network(
        self, network: INetworkDefinition, config: IBuilderConfig
    ) -> IHostMemory | None:
        why = machine.build_error or _unbuildable(network, config)
        graph = network._graph
        if why or graph is None:
            return self._failed(why or "Error Code 4: API Usage Error (the network has no outputs)")
        needs = _weights(graph.source)
        if (
            config.get_memory_pool_limit(MemoryPoolType.WORKSPACE) < needs
            or machine.free(cudart.current()) < needs
        ):
            return self._failed("Error Code 2: OutOfMemory (Requested size was larger than what is left.)")
        known = graph.digest in config._cache._seen
        if not _steps(config.progress_monitor, known):
            return self._failed("Error Code 4: Build was cancelled")
        config._cache._seen.add(graph.digest)
        machine.built.append(
            Built(
                graph.precision,
                len(config._profiles),
                known,
                frozenset(flag.name for flag in config._flags),
                config._pools.get(MemoryPoolType.WORKSPACE),
            )
        )
        profiles = [profile._shapes for profile in config._profiles] or [{}]
        head = json.dumps({"kind": _kind(), "profiles": profiles, "bytes": len(graph.source)})
        return IHostMemory(_MAGIC + head.encode() + b"\n" + graph.source)

    def _failed(self, why: str) -> None:
        self._logger.log(ILogger.Severity.ERROR, why)


class Runtime:
    def __init__(self, logger: ILogger) -> None:
        _started(logger)
        self._logger = logger
        self.engine_host_code_allowed = False
        self.max_threads = 1

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
        data = bytes(serialized_engine)
        why = "Error Code 1: Serialization (Serialization assertion magicTagRead == kMAGIC_TAG failed.)"
        if machine.refuse_plans or not data.startswith(_MAGIC):
            return self._refused(why)
        head, _, source = data.removeprefix(_MAGIC).partition(b"\n")
        try:
            facts = json.loads(head)
            whole = len(source) == facts["bytes"]
        except (ValueError, KeyError, TypeError):
            return self._refused(why)
        if not whole:
            return self._refused("Error Code 1: Serialization (stream ended too early.)")
        if facts["kind"] != _kind():
            return self._refused(
                "Error Code 6: API Usage Error (The engine plan file is not compatible with this version "
                f"of TensorRT or this device: expecting {_kind()}, got {facts['kind']}.)"
            )
        try:
            return ICudaEngine(Graph(source), facts["profiles"], self._logger)
        except MemoryError:
            return self._refused("Error Code 2: OutOfMemory (no further information)")

    def _refused(self, why: str) -> None:
        self._logger.log(ILogger.Severity.ERROR, why)


class _Arena:
    """Memory that TensorRT takes for itself."""

    def __init__(self, size: int, kind: str) -> None:
        address = machine.take(size, "device", cudart.current())
        if address is None:
            raise MemoryError
        self.address, self.size, self.kind = address, size, kind
        machine.live[kind] += 1

    def __del__(self) -> None:
        address = getattr(self, "address", None)
        if address is not None and machine.give(address, "device"):
            machine.live[self.kind] -= 1


class ICudaEngine:
    def __init__(self, graph: Graph, profiles: list[dict[str, list[list[int]]]], logger: ILogger) -> None:
        self._graph, self._profiles, self._logger = graph, profiles, logger
        self._weights = _Arena(_weights(graph.source), "engines")
        self._sides = {side.name: side for side in (*graph.inputs, *graph.outputs)}
        self.name = ""

    @property
    def num_layers(self) -> int:
        return len(self._graph.operators)

    @property
    def num_io_tensors(self) -> int:
        return len(self._sides)

    @property
    def num_optimization_profiles(self) -> int:
        return len(self._profiles)

    @property
    def num_aux_streams(self) -> int:
        return 0

    @property
    def device_memory_size_v2(self) -> int:
        return max(self.get_device_memory_size_for_profile_v2(k) for k in range(len(self._profiles)))

    def get_device_memory_size_for_profile_v2(self, profile_index: int) -> int:
        shapes = self._profiles[profile_index].values()
        cells = sum(int(np.prod(highest)) for _, _, highest in shapes)
        return -(-64 * max(64, cells) // ALIGNMENT) * ALIGNMENT

    def get_tensor_name(self, index: int) -> str:
        return list(self._sides)[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        if name not in self._sides:
            return TensorIOMode.NONE
        return TensorIOMode.INPUT if self._sides[name] in self._graph.inputs else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        return DataType[self._sides[name].dtype]

    def get_tensor_shape(self, name: str) -> Dims:
        return Dims(-1 if isinstance(dim, str) else dim for dim in self._sides[name].dims)

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[Dims]:
        return [Dims(shape) for shape in self._profiles[profile_index].get(name, ())]

    def create_execution_context(
        self, strategy: ExecutionContextAllocationStrategy = ExecutionContextAllocationStrategy.STATIC
    ) -> IExecutionContext | None:
        try:
            return IExecutionContext(self, strategy)
        except MemoryError:
            self._logger.log(ILogger.Severity.ERROR, "Error Code 2: OutOfMemory (no further information)")
            return None


class IExecutionContext:
    def __init__(self, engine: ICudaEngine, strategy: ExecutionContextAllocationStrategy) -> None:
        self._engine, self._strategy, self._logger = engine, strategy, engine._logger
        self._profile = 0
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}
        self._arena: _Arena | None = None
        self._memory = (0, 0)
        self.name = ""
        self._take()

    def _take(self) -> None:
        strategies = ExecutionContextAllocationStrategy
        if self._strategy is strategies.USER_MANAGED:
            return
        static = self._strategy is strategies.STATIC
        size = (
            self._engine.device_memory_size_v2
            if static
            else self._engine.get_device_memory_size_for_profile_v2(self._profile)
        )
        if self._arena is None or self._arena.size != size:
            self._arena = None
            self._arena = _Arena(size, "contexts")
        self._memory = (self._arena.address, size)

    @property
    def active_optimization_profile(self) -> int:
        return self._profile

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        if not 0 <= profile_index < len(self._engine._profiles):
            return self._failed(f"Error Code 3: API Usage Error (no profile {profile_index})")
        self._profile = profile_index
        self._shapes.clear()
        self._take()
        return cudart.enqueue(stream_handle, lambda: None)

    def set_input_shape(self, name: str, shape: Sequence[int]) -> bool:
        if self._engine.get_tensor_mode(name) is not TensorIOMode.INPUT:
            return self._failed(f"Error Code 3: API Usage Error (no input {name})")
        limits = self._engine._profiles[self._profile].get(name)
        declared = self._engine.get_tensor_shape(name)
        low, high = (limits[0], limits[2]) if limits else (declared, declared)
        fits = len(shape) == len(low) and all(a <= n <= b for a, n, b in zip(low, shape, high, strict=True))
        if not fits:
            return self._failed(
                f"setInputShape: Error Code 3: API Usage Error (Parameter check failed: {name} "
                f"is {list(shape)}, not within {list(low)} and {list(high)} of profile {self._profile})"
            )
        self._shapes[name] = tuple(int(n) for n in shape)
        return True

    def infer_shapes(self) -> list[str]:
        return [side.name for side in self._engine._graph.inputs if side.name not in self._shapes]

    def get_tensor_shape(self, name: str) -> Dims:
        if name in self._shapes:
            return Dims(self._shapes[name])
        sizes: dict[str, int] = {}
        for side in self._engine._graph.inputs:
            for dim, size in zip(side.dims, self._shapes.get(side.name, ()), strict=False):
                if isinstance(dim, str):
                    sizes[dim] = size
        return Dims(
            sizes.get(dim, -1) if isinstance(dim, str) else dim for dim in self._engine._sides[name].dims
        )

    def set_tensor_address(self, name: str, memory: int) -> bool:
        if name not in self._engine._sides:
            return self._failed(f"Error Code 3: API Usage Error (no tensor {name})")
        self._addresses[name] = int(memory)
        return True

    def get_tensor_address(self, name: str) -> int:
        return self._addresses.get(name, 0)

    def set_device_memory(self, memory: int, size: int) -> None:
        if memory % ALIGNMENT or size < self._engine.get_device_memory_size_for_profile_v2(self._profile):
            self._failed("Error Code 3: API Usage Error (device memory is not aligned, or too small)")
            return
        self._memory = (int(memory), int(size))

    def update_device_memory_size_for_shapes(self) -> int:
        return self._engine.get_device_memory_size_for_profile_v2(self._profile)

    def execute_async_v3(self, stream_handle: int) -> bool:
        if machine.run_error:
            return self._failed(machine.run_error)
        if missing := self.infer_shapes():
            return self._failed(f"Error Code 3: API Usage Error (shapes of {missing} are not set)")
        if absent := [name for name in self._engine._sides if not self._addresses.get(name)]:
            return self._failed(f"Error Code 3: API Usage Error (addresses of {absent} are not set)")
        if not self._memory[0]:
            return self._failed("Error Code 3: API Usage Error (the context has no device memory)")
        run = _Run(self, dict(self._shapes), dict(self._addresses), self._memory)
        return cudart.enqueue(stream_handle, run)

    def _failed(self, why: str) -> bool:
        self._logger.log(ILogger.Severity.ERROR, why)
        return False


_busy: set[int] = set()
_busy_lock = threading.Lock()


class _Run:
    """One run as it was put on a stream: shapes and addresses are those of then."""

    def __init__(
        self,
        context: IExecutionContext,
        shapes: dict[str, tuple[int, ...]],
        addresses: dict[str, int],
        memory: tuple[int, int],
    ) -> None:
        self.engine, self.profile = context._engine, context._profile
        self.shapes, self.addresses, self.memory = shapes, addresses, memory
        self.context = id(context)
        self.arena = context._arena

    def __call__(self) -> None:
        mine = {self.memory[0], self.context}
        with _busy_lock:
            if _busy & mine:
                machine.lose(
                    "cudaErrorIllegalAddress", "a context, or its memory, was used by two runs at once"
                )
                return
            _busy.update(mine)
            machine.running += 1
            machine.most_at_once = max(machine.most_at_once, machine.running)
        try:
            self._compute()
        finally:
            with _busy_lock:
                _busy.difference_update(mine)
                machine.running -= 1

    def _compute(self) -> None:
        if machine.run_seconds:
            time.sleep(machine.run_seconds)
        if not machine.inside(*self.memory):
            machine.lose("cudaErrorIllegalAddress", "a context's memory was given back")
            return
        graph = self.engine._graph
        inputs: dict[str, NDArray[Any]] = {}
        for side in graph.inputs:
            found = self._array(side.name, self.shapes[side.name], side.numpy)
            if found is None:
                return
            inputs[side.name] = found.copy()
        wrong = self.profile > 0 and _release() < _MULTIPLE_PROFILES
        for side, value in zip(graph.outputs, graph.run(inputs), strict=True):
            target = self._array(side.name, value.shape, side.numpy)
            if target is None:
                return
            noise = machine.noise.get(graph.precision, 0.0) + float(wrong)
            if noise and value.dtype.kind == "f":
                value = value + np.where(np.arange(value.size).reshape(value.shape) % 2, noise, -noise)
            target[...] = np.nan if graph.precision in machine.nan and value.dtype.kind == "f" else value

    def _array(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any] | None:
        size = int(np.prod(shape)) * dtype.itemsize
        if not machine.inside(self.addresses[name], size):
            machine.lose(
                "cudaErrorIllegalAddress", f"{name} lies beyond the end of its buffer, or was given back"
            )
            return None
        block = (ctypes.c_uint8 * size).from_address(self.addresses[name])
        return np.ndarray(shape, dtype, buffer=block)  # type: ignore[arg-type]


def __getattr__(name: str) -> str:
    if name == "__version__":
        return machine.tensorrt
    raise AttributeError(name)


def _release() -> tuple[int, ...]:
    return tuple(int(part) for part in machine.tensorrt.split(".")[:2])


def _kind() -> list[Any]:
    """What a plan is good for."""
    gpu = machine.gpus[cudart.current()]
    return [machine.tensorrt, gpu.name, *gpu.capability]


def _weights(source: bytes) -> int:
    return -(-max(len(source), ALIGNMENT) // ALIGNMENT) * ALIGNMENT


def _started(logger: ILogger) -> None:
    if not getattr(logger, "_made", False):
        raise TypeError("ILogger.__init__() must be called when overriding __init__")
    if cudart.cudaGetDeviceCount()[0]:
        logger.log(ILogger.Severity.ERROR, "CUDA initialization failure with error: 35")
        raise TypeError("pybind11::init(): factory function returned nullptr")


def _unbuildable(network: INetworkDefinition, config: IBuilderConfig) -> str | None:
    """Why a network cannot be built: dynamic inputs that a profile gives no range of."""
    for tensor in network._inputs:
        if -1 not in tensor.shape:
            continue
        if not config._profiles:
            return f"Error Code 4: API Usage Error (Network has dynamic input {tensor.name}, but no profile)"
        for profile in config._profiles:
            for shape in profile.get_shape(tensor.name) or [Dims()]:
                if len(shape) != len(tensor.shape) or any(
                    declared not in (-1, size) for declared, size in zip(tensor.shape, shape, strict=True)
                ):
                    return f"Error Code 4: API Usage Error ({tensor.name}: a profile's shape is another)"
    return None


def _steps(monitor: IProgressMonitor | None, known: bool) -> bool:
    """Tell a monitor of a build; False where it wants no more of it."""
    outer, inner = "Building Engine", "Tactic Selection"
    steps = max(1, machine.build_steps // 4 if known else machine.build_steps)
    if monitor is not None:
        monitor.phase_start(outer, None, 2)
        monitor.phase_start(inner, outer, steps)
    going = True
    for step in range(steps):
        time.sleep(machine.build_seconds / steps)
        going = monitor is None or monitor.step_complete(inner, step)
        if not going:
            break
    if monitor is not None:
        monitor.phase_finish(inner)
        going = going and monitor.step_complete(outer, 0)
        monitor.phase_finish(outer)
    return going
