"""Stands in for `tensorrt`: plans keep their ONNX graph, which ONNX Runtime runs where a GPU would.

What it refuses, it refuses as TensorRT does: answers None or False, and tells the logger why. Its plans are
of one version and one kind of device; shapes outside a profile, addresses that are missing and contexts
that share memory at the same time are errors.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

from tests.standin import cudart
from tests.standin.graphs import Graph
from tests.standin.machine import Built, machine
from tests.standin.names import (
    MAGIC,
    BuilderFlag,
    DataType,
    Dims,
    ExecutionContextAllocationStrategy,
    HardwareCompatibilityLevel,
    IHostMemory,
    ILogger,
    IProgressMonitor,
    MemoryPoolType,
    NetworkDefinitionCreationFlag,
    ProfilingVerbosity,
    TensorIOMode,
    kind,
    started,
    weights,
)  # fmt: skip
from tests.standin.running import ICudaEngine, IExecutionContext, Runtime

__all__ = [
    "Builder",
    "BuilderFlag",
    "DataType",
    "ExecutionContextAllocationStrategy",
    "HardwareCompatibilityLevel",
    "IBuilderConfig",
    "ICudaEngine",
    "IExecutionContext",
    "IHostMemory",
    "ILogger",
    "INetworkDefinition",
    "IOptimizationProfile",
    "IProgressMonitor",
    "ITensor",
    "ITimingCache",
    "MemoryPoolType",
    "NetworkDefinitionCreationFlag",
    "OnnxParser",
    "ParserError",
    "ProfilingVerbosity",
    "Runtime",
    "TensorIOMode",
]  # fmt: skip

_CACHE = b"stand-in cache\n"


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
            raise RuntimeError("Shape provided for min is inconsistent with other shapes.")
        self._shapes[input] = [Dims(min), Dims(opt), Dims(max)]

    def get_shape(self, input: str) -> list[Dims]:  # noqa: A002
        return self._shapes.get(input, [])


class ITimingCache:
    def __init__(self, seen: set[str]) -> None:
        self._seen = seen

    def serialize(self) -> IHostMemory:
        return IHostMemory(_CACHE + json.dumps([kind(), sorted(self._seen)]).encode())


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
            made, seen = json.loads(data.removeprefix(_CACHE)) if data.startswith(_CACHE) else (None, [])
        except ValueError:
            made, seen = None, []
        if made is None:
            self._logger.log(ILogger.Severity.ERROR, "The serialized timing cache is corrupt.")
            return None
        cache = ITimingCache(set(seen))
        cache._kind = made  # type: ignore[attr-defined]
        return cache

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
        if getattr(cache, "_kind", kind()) != kind() and not ignore_mismatch:
            self._logger.log(ILogger.Severity.WARNING, "The timing cache is of another device or version.")
            return False
        self._cache = cache
        return True

    def get_timing_cache(self) -> ITimingCache:
        return self._cache


class Builder:
    def __init__(self, logger: ILogger) -> None:
        started(logger, "InferBuilder")
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
        needs = weights(graph.source)
        if (
            config.get_memory_pool_limit(MemoryPoolType.WORKSPACE) < needs
            or machine.free(cudart.current()) < needs
        ):
            return self._failed("Error Code 2: OutOfMemory (Requested size was larger than what is left.)")
        tactics = config.get_memory_pool_limit(MemoryPoolType.TACTIC_DRAM)
        if machine.tactic_bytes > tactics:
            self._logger.log(
                ILogger.Severity.WARNING,
                f"Tactic Device request: {machine.tactic_bytes >> 20}MB Available: {tactics >> 20}MB. "
                "Device memory is insufficient to use tactic.",
            )
            return self._failed(
                "Error Code 10: Internal Error (Could not find any implementation for node X.)"
            )
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
                config._pools.get(MemoryPoolType.TACTIC_DRAM),
            )
        )
        profiles = [profile._shapes for profile in config._profiles] or [{}]
        facts = {"kind": kind(), "profiles": profiles, "bytes": len(graph.source)}
        head = json.dumps(facts | {"build": len(machine.built)})  # no two builds give the same plan
        return IHostMemory(MAGIC + head.encode() + b"\n" + graph.source)

    def _failed(self, why: str) -> None:
        self._logger.log(ILogger.Severity.ERROR, why)


def __getattr__(name: str) -> str:
    if name == "__version__":
        return machine.tensorrt
    raise AttributeError(name)


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
