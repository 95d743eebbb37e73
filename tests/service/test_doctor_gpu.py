"""What doctor says of GPUs: nothing much where none is meant, and what is wrong where one is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engines import cuda
from engines.bundle import GRAPHS, Bundle
from engines.errors import EngineError
from engines.sessions import tensorrt
from engines.tensorrt import api
from engines.tensorrt.key import PlanKey
from engines.tensorrt.store import PlanStore
from service import doctor, doctor_gpu
from service.config import Settings
from service.diagnosis import Result
from service.errors import Exit
from service.plans import unbuilt
from tests.standin import Gpu, Machine, installed
from tests.standin import tensorrt as trt


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def gpu() -> Iterator[Machine]:
    with installed(gpus=[Gpu(), Gpu()]) as machine:
        yield machine


def found(tiny: Path, **engine: object) -> list[Result]:
    settings = Settings.model_validate({"bundle": str(tiny), "engine": engine})
    return list(doctor_gpu.gpu(settings))


def of(results: list[Result], name: str) -> list[Result]:
    return [result for result in results if result.name == name]


def test_a_configuration_for_the_processor_gets_one_quiet_line(tiny):
    (line,) = found(tiny, backend="onnxruntime")
    assert (line.state, line.detail) == ("PASS", "not asked for: engine.backend is onnxruntime")


def test_so_does_a_machine_without_one(tiny, monkeypatch, tmp_path):
    monkeypatch.setattr(doctor_gpu, "DRIVER", tmp_path / "nowhere")
    with installed(absent="cudaErrorNoDevice"):
        (line,) = found(tiny)
        assert (line.state, line.remedy) == ("PASS", "")


def test_a_driver_without_a_gpu_that_works_is_a_warning(tiny, monkeypatch):
    monkeypatch.setattr(doctor_gpu, "DRIVER", Path(__file__))
    with installed(absent="cudaErrorNoDevice"):
        (line,) = found(tiny)
        assert line.state == "WARN"
        assert line.remedy


def test_where_a_gpu_is_asked_for_there_must_be_one(tiny):
    with installed(driver=0, absent="cudaErrorInsufficientDriver"):
        (line,) = found(tiny, backend="tensorrt")
        assert (line.state, line.exit_code) == ("FAIL", Exit.CONFIG)
        assert "driver is not installed" in line.detail
        assert line.remedy


def test_a_device_is_named_with_what_it_can_and_has(tiny, gpu):
    (line,) = of(found(tiny, backend="tensorrt"), "gpu")
    assert line.state == "PASS"
    assert line.detail.startswith("0: NVIDIA H100 80GB HBM3, compute capability 9.0, driver ")
    assert "of 80.0 GiB free" in line.detail
    assert len(of(found(tiny, backend="tensorrt", devices="all"), "gpu")) == 2


def test_a_device_that_others_fill_is_a_warning(tiny, gpu):
    gpu.gpus[0] = Gpu(memory=1 << 20)
    assert gpu.take(1 << 19, "device", 0)
    (line,) = of(found(tiny, backend="tensorrt"), "gpu")
    assert (line.state, line.remedy) == ("WARN", "End what else holds its memory, or lower engine.gpu_memory")


def test_a_number_that_is_no_device_says_which_there_are(tiny, gpu):
    line = of(found(tiny, backend="tensorrt", devices=[0, 5]), "gpu")[-1]
    assert line.state == "FAIL"
    assert "names 5; there are 0 (NVIDIA H100" in line.detail


def test_a_library_of_another_version_fails_where_tensorrt_is_pinned(tiny, gpu):
    gpu.library = "10.6.0"
    (line,) = of(found(tiny, backend="tensorrt"), "tensorrt")
    assert (line.state, line.exit_code) == ("FAIL", Exit.CONFIG)
    assert "10.6.0" in line.detail
    (line,) = of(found(tiny), "tensorrt")
    assert line.state != "FAIL", "auto may do without"


def test_a_gpu_that_is_there_and_cannot_be_used_fails_unless_the_processor_may_serve(
    tiny, monkeypatch, tmp_path
):
    monkeypatch.setattr(tensorrt, "NODES", tmp_path)
    (tmp_path / "nvidia0").touch()
    with installed(driver=12020, absent="cudaErrorInsufficientDriver"):
        (line,) = found(tiny)
        assert (line.state, line.exit_code) == ("FAIL", Exit.CONFIG)
        assert line.remedy
        (line,) = found(tiny, cpu_fallback=True)
        assert line.state == "WARN"


@pytest.fixture
def unstarted(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorRT loads, and neither its runtime nor its builder starts."""

    def refuse(logger: Any) -> None:
        logger.log(logger.Severity.ERROR, "CUDA initialization failure with error: 35")
        raise TypeError("pybind11::init(): factory function returned nullptr")

    for name in ("Runtime", "Builder"):
        monkeypatch.setattr(trt, name, refuse)


def test_tensorrt_that_loads_and_does_not_start_fails_with_what_it_says(tiny, gpu, unstarted):
    results = found(tiny, backend="tensorrt")
    (line,) = of(results, "tensorrt")
    assert (line.state, line.exit_code) == ("FAIL", Exit.CONFIG)
    assert "error: 35" in line.detail
    assert line.remedy
    assert not of(results, "plans"), "none can be built"
    (line,) = of(found(tiny), "tensorrt")
    assert line.state == "WARN", "it is installed, so somebody meant it to be used"


def test_where_tensorrt_does_not_start_the_engine_is_tried_at_once(tiny, gpu, unstarted):
    settings = Settings.model_validate({"bundle": str(tiny), "engine": {"backend": "tensorrt"}})
    with pytest.raises(EngineError, match="error: 35"):
        list(doctor.CHECKS["engine"](settings))


def test_tensorrt_and_its_bindings_are_named(tiny, gpu):
    (line,) = of(found(tiny, backend="tensorrt"), "tensorrt")
    assert line.state == "PASS"
    assert gpu.tensorrt in line.detail
    assert "cuda-bindings" in line.detail


def test_plans_that_are_not_there_are_to_be_built_and_the_engine_is_not_tried(tiny, gpu):
    (line,) = of(found(tiny, backend="tensorrt"), "plans")
    assert line.state == "WARN"
    assert "to be built" in line.detail
    assert "tidegate engine build tiny" in line.remedy
    settings = Settings.model_validate({"engine": {"backend": "tensorrt"}})
    assert unbuilt(settings.engine, Bundle.load(tiny))
    (line,) = of(found(tiny, backend="tensorrt", build=False), "plans")
    assert (line.state, "engine.build is false" in line.detail) == ("WARN", True)
    assert "tidegate engine build tiny" in line.remedy


def test_where_nothing_may_be_built_the_engine_is_tried_and_says_what_it_lacks(tiny, gpu):
    engine = {"backend": "tensorrt", "build": False}
    settings = Settings.model_validate({"bundle": str(tiny), "engine": engine})
    with pytest.raises(EngineError, match="tidegate engine build tiny"):
        list(doctor.CHECKS["engine"](settings))
    assert gpu.built == []


def test_plans_that_are_there_are_found_by_graph_device_and_version(tiny, gpu, tmp_path):
    bundle, (device, _), store = Bundle.load(tiny), cuda.devices(), PlanStore(tmp_path / "plans")
    for tower in GRAPHS:
        graph = bundle.read(bundle.graph_name(tower, "fp16"))
        key = PlanKey.of(graph, tower, "fp16", api.load().version, device, {}, [])
        store.put(key, b"a plan", {})
    engine = {"backend": "tensorrt", "precision": "fp16", "plans": str(tmp_path / "plans")}
    (line,) = of(found(tiny, **engine), "plans")
    assert (line.state, line.remedy) == ("PASS", "")
    assert "built at fp16" in line.detail
    settings = Settings.model_validate({"engine": engine})
    assert not unbuilt(settings.engine, bundle)
    gpu.tensorrt = "10.13.2.6"
    api.load.cache_clear()
    (line,) = of(found(tiny, **engine), "plans")
    assert line.state == "WARN", "another version builds its own"
