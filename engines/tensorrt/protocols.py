# ruff: noqa: A002, D102, N802 -- names and documentation are the library's
"""What is used of the module `tensorrt`: the part that releases 10.6 to 11 have in common.

Methods that answer None or False have told the logger why.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

Shape = Sequence[int]


class Member(Protocol):
    """One value of an enumeration."""

    @property
    def name(self) -> str: ...

    def __int__(self) -> int: ...


class HostMemory(Protocol):
    """Bytes that the library owns; `bytes()` and `memoryview()` read them."""

    @property
    def nbytes(self) -> int: ...

    def __buffer__(self, flags: int, /) -> memoryview: ...


class Tensor(Protocol):
    """An input or output of a network: -1 stands for a dimension that profiles give the range of."""

    @property
    def name(self) -> str: ...

    @property
    def shape(self) -> Shape: ...

    @property
    def dtype(self) -> Member: ...


class Network(Protocol):
    """What the parser fills and the builder compiles."""

    @property
    def num_inputs(self) -> int: ...

    @property
    def num_outputs(self) -> int: ...

    def get_input(self, index: int) -> Tensor: ...

    def get_output(self, index: int) -> Tensor: ...


class ParserError(Protocol):
    """One thing in a graph that the parser cannot take."""

    def desc(self) -> str: ...

    def node_name(self) -> str: ...

    def node_operator(self) -> str: ...


class OnnxParser(Protocol):
    """Reads an ONNX graph into a network."""

    @property
    def num_errors(self) -> int: ...

    def get_error(self, index: int) -> ParserError: ...

    def parse(self, model: bytes) -> bool: ...


class OptimizationProfile(Protocol):
    """The range of every input's shape, and the shape to be fastest at."""

    def set_shape(self, input: str, min: Shape, opt: Shape, max: Shape) -> None: ...


class TimingCache(Protocol):
    """What the builder measured, to build again sooner."""

    def serialize(self) -> HostMemory: ...


class BuilderConfig(Protocol):
    """How to build."""

    builder_optimization_level: int
    max_aux_streams: int
    hardware_compatibility_level: Member
    profiling_verbosity: Member
    progress_monitor: Any

    @property
    def num_optimization_profiles(self) -> int: ...

    def add_optimization_profile(self, profile: OptimizationProfile) -> int: ...

    def set_memory_pool_limit(self, pool: Member, pool_size: int) -> None: ...

    def get_memory_pool_limit(self, pool: Member) -> int: ...

    def set_flag(self, flag: Member) -> None: ...

    def clear_flag(self, flag: Member) -> None: ...

    def get_flag(self, flag: Member) -> bool: ...

    def create_timing_cache(self, serialized_timing_cache: bytes) -> TimingCache | None: ...

    def set_timing_cache(self, cache: TimingCache, ignore_mismatch: bool) -> bool: ...

    def get_timing_cache(self) -> TimingCache | None: ...


class Builder(Protocol):
    """Compiles networks into plans."""

    max_threads: int

    def create_network(self, flags: int) -> Network: ...

    def create_builder_config(self) -> BuilderConfig: ...

    def create_optimization_profile(self) -> OptimizationProfile: ...

    def build_serialized_network(self, network: Network, config: BuilderConfig) -> HostMemory | None: ...


class ExecutionContext(Protocol):
    """One run at a time of an engine: shapes, addresses and working memory."""

    name: str

    @property
    def active_optimization_profile(self) -> int: ...

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool: ...

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool: ...

    def infer_shapes(self) -> list[str]: ...

    def get_tensor_shape(self, name: str) -> Shape: ...

    def set_tensor_address(self, name: str, memory: int) -> bool: ...

    def get_tensor_address(self, name: str) -> int: ...

    def set_device_memory(self, memory: int, size: int) -> None: ...

    def update_device_memory_size_for_shapes(self) -> int: ...

    def execute_async_v3(self, stream_handle: int) -> bool: ...


class CudaEngine(Protocol):
    """A plan that is loaded: its weights lie on the device that was current then."""

    @property
    def name(self) -> str: ...

    @property
    def num_layers(self) -> int: ...

    @property
    def num_io_tensors(self) -> int: ...

    @property
    def num_optimization_profiles(self) -> int: ...

    @property
    def num_aux_streams(self) -> int: ...

    @property
    def device_memory_size_v2(self) -> int: ...

    def get_device_memory_size_for_profile_v2(self, profile_index: int) -> int: ...

    def get_tensor_name(self, index: int) -> str: ...

    def get_tensor_mode(self, name: str) -> Member: ...

    def get_tensor_dtype(self, name: str) -> Member: ...

    def get_tensor_shape(self, name: str) -> Shape: ...

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[Shape]: ...

    def create_execution_context(self, strategy: Member) -> ExecutionContext | None: ...


class Runtime(Protocol):
    """Loads plans."""

    engine_host_code_allowed: bool
    max_threads: int

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> CudaEngine | None: ...


class NetworkFlags(Protocol):
    """`NetworkDefinitionCreationFlag`."""

    STRONGLY_TYPED: Member


class Pools(Protocol):
    """`MemoryPoolType`."""

    WORKSPACE: Member
    TACTIC_DRAM: Member


class Modes(Protocol):
    """`TensorIOMode`."""

    INPUT: Member
    OUTPUT: Member


class Strategies(Protocol):
    """`ExecutionContextAllocationStrategy`: who holds a context's working memory, and how much of it."""

    STATIC: Member
    ON_PROFILE_CHANGE: Member
    USER_MANAGED: Member


class Flags(Protocol):
    """`BuilderFlag`: those that no release of the range lacks."""

    TF32: Member
    DISABLE_TIMING_CACHE: Member
    VERSION_COMPATIBLE: Member
    STRIP_PLAN: Member
    STRICT_NANS: Member
    MONITOR_MEMORY: Member


class Compatibility(Protocol):
    """`HardwareCompatibilityLevel`."""

    NONE: Member
    AMPERE_PLUS: Member


class Verbosity(Protocol):
    """`ProfilingVerbosity`."""

    LAYER_NAMES_ONLY: Member
    DETAILED: Member
    NONE: Member


class Severities(Protocol):
    """`ILogger.Severity`."""

    INTERNAL_ERROR: Member
    ERROR: Member
    WARNING: Member
    INFO: Member
    VERBOSE: Member


class Trt(Protocol):
    """The module. Builders and runtimes are made by `engines.tensorrt.api`, never of it directly."""

    __version__: str
    ILogger: Any
    IProgressMonitor: Any

    @property
    def NetworkDefinitionCreationFlag(self) -> NetworkFlags: ...

    @property
    def MemoryPoolType(self) -> Pools: ...

    @property
    def TensorIOMode(self) -> Modes: ...

    @property
    def ExecutionContextAllocationStrategy(self) -> Strategies: ...

    @property
    def BuilderFlag(self) -> Flags: ...

    @property
    def HardwareCompatibilityLevel(self) -> Compatibility: ...

    @property
    def ProfilingVerbosity(self) -> Verbosity: ...

    def Builder(self, logger: Any) -> Builder: ...

    def OnnxParser(self, network: Network, logger: Any) -> OnnxParser: ...

    def Runtime(self, logger: Any) -> Runtime: ...
