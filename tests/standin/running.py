"""Plans that are loaded, and run: on a stream, with the shapes and addresses of when they were put there."""

from __future__ import annotations

import ctypes
import json
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.standin import cudart
from tests.standin.graphs import Graph
from tests.standin.machine import ALIGNMENT, machine
from tests.standin.names import (
    MAGIC,
    DataType,
    Dims,
    ExecutionContextAllocationStrategy,
    ILogger,
    TensorIOMode,
    kind,
    release,
    started,
    weights,
)

_MULTIPLE_PROFILES = (10, 8)
"""The release from which several profiles in one engine compute what they should."""


class Runtime:
    def __init__(self, logger: ILogger) -> None:
        started(logger, "InferRuntime")
        self._logger = logger
        self.engine_host_code_allowed = False
        self.max_threads = 1

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
        data = bytes(serialized_engine)
        why = "Error Code 1: Serialization (Serialization assertion magicTagRead == kMAGIC_TAG failed.)"
        if machine.refuse_plans or not data.startswith(MAGIC):
            return self._refused(why)
        head, _, source = data.removeprefix(MAGIC).partition(b"\n")
        try:
            facts = json.loads(head)
            whole = len(source) == facts["bytes"]
        except (ValueError, KeyError, TypeError):
            return self._refused(why)
        if not whole:
            return self._refused("Error Code 1: Serialization (stream ended too early.)")
        if facts["kind"] != kind():
            return self._refused(
                "Error Code 6: API Usage Error (The engine plan file is not compatible with this version "
                f"of TensorRT or this device: expecting {kind()}, got {facts['kind']}.)"
            )
        try:
            return ICudaEngine(Graph(source), facts["profiles"], self._logger)
        except MemoryError:
            return self._refused("Error Code 2: OutOfMemory (no further information)")

    def _refused(self, why: str) -> None:
        self._logger.log(ILogger.Severity.ERROR, why)


class _Arena:
    """Memory that TensorRT takes for itself."""

    def __init__(self, size: int, what: str) -> None:
        address = machine.take(size, "device", cudart.current())
        if address is None:
            raise MemoryError
        self.address, self.size, self.what = address, size, what
        self.pieces = machine.pieces
        machine.live[what] += 1

    def __del__(self) -> None:
        address = getattr(self, "address", None)
        if address is None or machine.pieces is not self.pieces:  # of a machine that is no more
            return
        if machine.give(address, "device"):
            machine.live[self.what] -= 1


class ICudaEngine:
    def __init__(self, graph: Graph, profiles: list[dict[str, list[list[int]]]], logger: ILogger) -> None:
        self._graph, self._profiles, self._logger = graph, profiles, logger
        self._weights = _Arena(weights(graph.source), "engines")
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
        return _working(highest for _, _, highest in self._profiles[profile_index].values())

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
            self._failed(f"Error Code 3: API Usage Error (no profile {profile_index})")
            raise RuntimeError("Error in set optimization profile async.")
        self._profile = profile_index
        self._shapes.clear()
        self._take()
        if not cudart.enqueue(stream_handle, lambda: None):
            raise RuntimeError("Error in set optimization profile async.")
        return True

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
        whole = self._engine.get_device_memory_size_for_profile_v2(self._profile)
        enough = whole if self.infer_shapes() else _working(self._shapes.values())
        if memory % ALIGNMENT or size < enough:
            self._failed("Error Code 3: API Usage Error (device memory is not aligned, or too small)")
            return
        self._memory = (int(memory), int(size))

    def update_device_memory_size_for_shapes(self) -> int:
        if missing := self.infer_shapes():
            self._failed(f"Error Code 3: API Usage Error (shapes of {missing} are not set)")
            return 0
        return _working(self._shapes.values())

    def execute_async_v3(self, stream_handle: int) -> bool:
        if machine.run_error:
            return self._failed(machine.run_error)
        if missing := self.infer_shapes():
            return self._failed(f"Error Code 3: API Usage Error (shapes of {missing} are not set)")
        if absent := [name for name in self._engine._sides if not self._addresses.get(name)]:
            return self._failed(f"Error Code 3: API Usage Error (addresses of {absent} are not set)")
        if not self._memory[0] or self._memory[1] < _working(self._shapes.values()):
            return self._failed("Error Code 3: API Usage Error (the context has too little device memory)")
        run = _Run(self, dict(self._shapes), dict(self._addresses), self._memory)
        return cudart.enqueue(stream_handle, run)

    def _failed(self, why: str) -> bool:
        self._logger.log(ILogger.Severity.ERROR, why)
        return False


_busy: set[int] = set()
_busy_lock = threading.Lock()


def _working(shapes: Iterable[Sequence[int]]) -> int:
    """The bytes that a context works in, for inputs of these shapes."""
    cells = sum(int(np.prod(shape)) for shape in shapes)
    return -(-64 * max(64, cells) // ALIGNMENT) * ALIGNMENT


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
        wrong = self.profile > 0 and release() < _MULTIPLE_PROFILES
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
