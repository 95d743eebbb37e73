"""TensorRT found and checked: why it cannot be used, in words; and a graph all the way through."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from engines import cuda
from engines.bundle import Bundle
from engines.cuda import DeviceBuffer, Graph, Pinned, Stream
from engines.errors import DeviceLost, EngineError, OutOfMemory
from engines.tensorrt import api
from engines.tensorrt.protocols import CudaEngine, ExecutionContext
from tests.standin import Machine, installed

LIMITS = ((1, 1), (4, 8), (8, 16))
"""Rows and length: the least, the typical, the most."""


def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    """A package tensorrt that fails as it is imported."""
    (tmp_path / "tensorrt.py").write_text(line, "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    monkeypatch.setitem(sys.modules, "tensorrt_bindings", None)
    api.load.cache_clear()


def test_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tensorrt", "tensorrt_bindings"):
        monkeypatch.setitem(sys.modules, name, None)
    api.load.cache_clear()
    with pytest.raises(EngineError, match=r"not installed.*pip install 'tidegate\[gpu\]'"):
        api.load()
    assert api.missing() == "the package tensorrt is not installed"


@pytest.mark.parametrize(
    ("line", "what", "remedy"),
    [
        (
            "raise ImportError('libnvinfer.so.10: cannot open shared object file')",
            "TensorRT's library is missing",
            "LD_LIBRARY_PATH",
        ),
        ("raise OSError('libcudart.so.13: wrong ELF class')", "TensorRT does not load", "pip install"),
        ("import a_module_that_is_not_there", "TensorRT does not load", "pip install"),
    ],
)
def test_it_does_not_load(
    line: str, what: str, remedy: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken(tmp_path, monkeypatch, line)
    with pytest.raises(EngineError) as raised:
        api.load()
    assert raised.value.what == what
    assert remedy in raised.value.remedy
    assert raised.value.why == api.missing()


@pytest.mark.parametrize("version", ["8.6.1", "9.3.0.post12", "10.5.0"])
def test_it_is_too_old(version: str) -> None:
    with installed(tensorrt=version), pytest.raises(EngineError, match=r"too old.*needs 10.6 or later"):
        api.load()


@pytest.mark.parametrize("version", ["10.6.0.post1", "10.15.1.29", "11.2.1.2", "11.4.0.106"])
def test_releases_that_are_known(version: str, caplog: pytest.LogCaptureFixture) -> None:
    with installed(tensorrt=version):
        assert api.load().version == version
        assert api.load() is api.load()
        assert api.missing() is None
        assert version in api.describe()
        assert "H100" in api.describe()
    assert caplog.records == []


def test_it_is_newer_than_what_is_known(caplog: pytest.LogCaptureFixture) -> None:
    with installed(tensorrt="12.0.1"):
        assert api.load().release == (12, 0, 1)
    assert "TensorRT 12.0.1 is newer" in caplog.text


def test_library_and_bindings_are_of_different_versions() -> None:
    with installed(tensorrt="10.15.1.29", library="10.6.0"), pytest.raises(EngineError) as raised:
        api.load()
    assert "different versions (TensorRT 10.15.1.29): the library that was found is 10.6.0" in str(
        raised.value
    )


def test_the_version_of_a_library_that_is_loaded(tmp_path: Path) -> None:
    """The real question to a library, in a process that finds one by this name."""
    source = tmp_path / "nvinfer.c"
    source.write_text("int getInferLibVersion(void) { return 110203; }\n", "ascii")
    library = str(tmp_path / "libnvinfer.so.11")
    try:
        subprocess.run(["cc", "-shared", "-fPIC", "-nostdlib", "-o", library, str(source)], check=True)
    except FileNotFoundError:
        pytest.skip("no C compiler")
    code = (
        "from engines.tensorrt.api import _library_version as of\nprint(of('11.2.3.4'), of('10.6.0.post1'))"
    )
    env = {"LD_LIBRARY_PATH": str(tmp_path), "PYTHONPATH": ":".join(sys.path)}
    said = subprocess.check_output([sys.executable, "-c", code], text=True, env=env)
    assert said.strip() == "(11, 2, 3) None"


def test_errors_are_heard_by_who_listens_and_logged(gpu: Machine, caplog: pytest.LogCaptureFixture) -> None:
    del gpu
    found = api.load()
    with found.listening() as heard, found.listening() as other:
        found.logger.log(found.trt.ILogger.Severity.WARNING, "a warning")
        other.thread = 0
        found.logger.log(found.trt.ILogger.Severity.ERROR, "an error ")
    found.logger.log(found.trt.ILogger.Severity.ERROR, "later")
    assert heard.errors == ["an error"]
    assert other.errors == []
    assert [record.message for record in caplog.records] == [
        "TensorRT: a warning", "TensorRT: an error", "TensorRT: later"
    ]  # fmt: skip
    assert str(heard.error("A plan fails", "here")) == "A plan fails (here): an error"


def test_what_tensorrt_says_of_a_lost_device_is_told_apart(gpu: Machine) -> None:
    with api.load().listening() as heard:
        api.load().logger.log(
            api.load().trt.ILogger.Severity.ERROR, "Error Code 1: Cuda Runtime (unspecified)"
        )
    assert type(heard.error("A graph failed", "here")) is EngineError
    gpu.lose()
    assert isinstance(heard.error("A graph failed", "here"), DeviceLost)


def test_the_names_of_types(gpu: Machine) -> None:
    del gpu
    types = vars(api.load().trt)["DataType"]
    for name in ("float32", "float16", "int8", "int32", "int64", "bool", "uint8"):
        assert name in {api.numpy_name(each) for each in types if each.name not in ("BF16", "FP8")}
    with pytest.raises(EngineError, match="BF16"):
        api.numpy_name(types.BF16)


class Watching:
    """Writes down what a build tells."""

    def __init__(self, patience: int = 1000) -> None:
        self.said: list[str] = []
        self.patience = patience

    def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
        self.said.append(f"{parent}/{phase} {steps}")

    def step_complete(self, phase: str, step: int) -> bool:
        self.said.append(f"{phase} {step}")
        return step < self.patience

    def phase_finish(self, phase: str) -> None:
        self.said.append(f"{phase} done")


def planned(graph: bytes, profiles: int = 1, watch: Any = None, cache: bytes | None = None) -> bytes | None:
    """A plan of a text tower, with profiles for short and long texts."""
    found = api.load()
    trt, builder = found.trt, found.builder()
    network, parser = found.network(builder)
    assert parser.parse(graph)
    config = builder.create_builder_config()
    for k in range(profiles):
        profile = builder.create_optimization_profile()
        low, best, high = [[rows, length << k] for rows, length in LIMITS]
        for index in range(network.num_inputs):
            profile.set_shape(network.get_input(index).name, low, best, high)
        assert config.add_optimization_profile(profile) == k
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, 1 << 28)
    if cache is not None:
        known = config.create_timing_cache(cache)
        assert known is not None
        assert config.set_timing_cache(known, ignore_mismatch=False)
    if watch is not None:
        config.progress_monitor = monitor = found.monitor(watch)
        assert monitor is not None
    plan = builder.build_serialized_network(network, config)
    return None if plan is None else bytes(plan)


def loaded(plan: bytes) -> CudaEngine:
    engine = api.load().runtime().deserialize_cuda_engine(plan)
    assert engine is not None
    return engine


class Bound:
    """A context with its shapes and buffers; answers by a graph or without one."""

    def __init__(self, engine: CudaEngine, rows: int, length: int, profile: int = 0) -> None:
        trt = api.load().trt
        self.stream = Stream()
        context = engine.create_execution_context(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
        assert context is not None
        self.context: ExecutionContext = context
        assert context.set_optimization_profile_async(profile, self.stream.handle)
        size = engine.get_device_memory_size_for_profile_v2(profile)
        self.arena = DeviceBuffer(size)
        context.set_device_memory(self.arena.address, size)
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        self.inputs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        for name in self.inputs:
            assert context.set_input_shape(name, (rows, length))
        assert context.infer_shapes() == []
        self.sides: dict[str, tuple[DeviceBuffer, Pinned, Any]] = {}
        for name in names:
            dtype, shape = (
                api.numpy_name(engine.get_tensor_dtype(name)),
                tuple(context.get_tensor_shape(name)),
            )
            bytes_ = int(np.prod(shape)) * np.dtype(dtype).itemsize
            buffer, pinned = DeviceBuffer(bytes_), Pinned(bytes_)
            self.sides[name] = (buffer, pinned, pinned.view(shape, dtype))
            assert context.set_tensor_address(name, buffer.address)

    def put(self) -> None:
        for name in self.inputs:
            buffer, pinned, _ = self.sides[name]
            cuda.copy_in(buffer.address, pinned.address, pinned.size, self.stream)
        assert self.context.execute_async_v3(self.stream.handle)
        for name in self.sides.keys() - set(self.inputs):
            buffer, pinned, _ = self.sides[name]
            cuda.copy_out(pinned.address, buffer.address, pinned.size, self.stream)

    def run(self, ids: np.ndarray[Any, Any], launch: Callable[[], None]) -> np.ndarray[Any, Any]:
        for name in self.inputs:
            self.sides[name][2][:] = ids
        launch()
        self.stream.wait()
        answer: np.ndarray[Any, Any] = self.sides["tokens"][2].copy()
        return answer

    def close(self) -> None:
        for buffer, pinned, _ in self.sides.values():
            buffer.close()
            pinned.close()
        self.arena.close()
        self.stream.close()


@pytest.fixture(scope="session")
def text(built: Path) -> bytes:
    """The text tower of the tiny bundle."""
    bundle = Bundle.load(built)
    return bundle.read(bundle.graph_name("text", "fp32"))


def expected(graph: bytes, ids: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    outputs = session.run(["tokens"], {each.name: ids for each in session.get_inputs()})
    answer: np.ndarray[Any, Any] = outputs[0]
    return answer


def test_a_graph_all_the_way_through(gpu: Machine, text: bytes) -> None:
    plan = planned(text)
    assert plan is not None
    bound = Bound(loaded(plan), 2, 8)
    ids = np.random.default_rng(0).integers(1, 50, (2, 8)).astype(np.int32)
    np.testing.assert_array_equal(bound.run(ids, bound.put), expected(text, ids))
    with Graph(bound.stream, bound.put) as graph:
        for seed in (1, 2):
            ids = np.random.default_rng(seed).integers(1, 50, (2, 8)).astype(np.int32)
            answer = bound.run(ids, partial(graph.launch, bound.stream))
            np.testing.assert_array_equal(answer, expected(text, ids))
    bound.close()
    del bound
    assert gpu.held() == gpu.held("pinned") == 0
    assert not any(gpu.live.values())


def test_several_profiles_are_wrong_before_the_release_that_mended_them(text: bytes) -> None:
    ids = np.ones((1, 32), np.int32)
    for version, right in (("10.6.0.post1", False), ("10.8.0.43", True)):
        with installed(tensorrt=version):
            plan = planned(text, profiles=2)
            assert plan is not None
            bound = Bound(loaded(plan), 1, 32, profile=1)
            assert np.allclose(bound.run(ids, bound.put), expected(text, ids)) == right
            bound.close()


def test_progress_and_the_timing_cache(gpu: Machine, text: bytes) -> None:
    watching = Watching()
    assert planned(text, watch=watching)
    assert watching.said[0] == "None/Building Engine 2"
    assert watching.said[-1] == "Building Engine done"
    assert len(watching.said) == 9
    assert planned(text, watch=Watching(patience=1)) is None
    assert [built.precision for built in gpu.built] == ["fp32"]


def test_a_plan_is_of_one_version_and_device(text: bytes) -> None:
    with installed():
        plan = planned(text)
        assert plan is not None
    for knobs, data in (
        ({"tensorrt": "10.15.2"}, plan),
        ({"gpus": [{"name": "NVIDIA L4", "capability": [8, 9]}]}, plan),
        ({}, plan[:-1]),
        ({}, b"x" + plan),
        ({"refuse_plans": True}, plan),
    ):
        with installed(**knobs), api.load().listening() as heard:
            assert api.load().runtime().deserialize_cuda_engine(data) is None
            assert heard.errors


def test_shapes_outside_a_profile_and_what_is_not_set_are_refused(gpu: Machine, text: bytes) -> None:
    plan = planned(text)
    assert plan is not None
    bound = Bound(loaded(plan), 1, 8)
    name = bound.inputs[0]
    with api.load().listening() as heard:
        assert not bound.context.set_input_shape(name, (9, 8))
        assert not bound.context.set_input_shape(name, (1, 17))
        assert not bound.context.set_input_shape("nobody", (1, 8))
        assert bound.context.set_tensor_address(name, 0)
        assert not bound.context.execute_async_v3(bound.stream.handle)
    assert len(heard.errors) == 4
    gpu.run_error = "Error Code 1: Cuda Runtime (out of memory)"
    with api.load().listening() as heard:
        assert not bound.context.execute_async_v3(bound.stream.handle)
    assert heard.memory
    bound.close()


def test_memory_that_does_not_suffice_for_a_plan(gpu: Machine, text: bytes) -> None:
    plan = planned(text)
    assert plan is not None
    gpu.gpus[0].memory = 1 << 10
    with api.load().listening() as heard:
        assert api.load().runtime().deserialize_cuda_engine(plan) is None
        assert planned(text) is None
    assert isinstance(heard.error("No room", "here"), OutOfMemory)


def test_a_graph_that_cannot_be_parsed(gpu: Machine, text: bytes) -> None:
    found = api.load()
    builder = found.builder()
    _, parser = found.network(builder)
    assert not parser.parse(b"no graph")
    assert parser.num_errors == 1
    gpu.unsupported = onnx.load_from_string(text).graph.node[0].op_type
    _, parser = found.network(builder)
    assert not parser.parse(text)
    assert parser.get_error(0).node_operator() == gpu.unsupported
    assert "No importer" in parser.get_error(0).desc()


def test_plans_that_compute_nonsense(text: bytes) -> None:
    ids = np.ones((1, 8), np.int32)
    for knobs, check in (({"nan": ["fp32"]}, np.isnan), ({"noise": {"fp32": 5.0}}, lambda off: abs(off) > 4)):
        with installed(**knobs):
            plan = planned(text)
            assert plan is not None
            bound = Bound(loaded(plan), 1, 8)
            assert check(bound.run(ids, bound.put) - expected(text, ids)).all()
            bound.close()


def test_it_is_a_module_for_the_type_checker() -> None:
    with installed():
        assert isinstance(api.load().trt, ModuleType)
