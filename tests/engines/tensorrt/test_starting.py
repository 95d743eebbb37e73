"""TensorRT starts on a device that works, or says why it does not, and what to do about it."""

from __future__ import annotations

from typing import Any

import pytest

from engines.errors import EngineError, NoDevice, OutOfMemory
from engines.tensorrt import api
from tests.standin import Machine, installed


def test_nothing_is_started_where_no_device_works() -> None:
    """Without a driver the real one hands out a runtime that takes the process down."""
    with installed(driver=0) as machine:
        found = api.load()
        for start in (found.runtime, found.builder):
            with pytest.raises(NoDevice, match="driver is not installed"):
                start()
        assert machine.live["engines"] == 0


def test_a_runtime_that_does_not_start(gpu: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    del gpu
    found = api.load()

    def refuse(logger: Any) -> None:
        logger.log(found.trt.ILogger.Severity.ERROR, "CUDA out of memory")
        raise TypeError("pybind11::init(): factory function returned nullptr")

    monkeypatch.setattr(found.trt, "Runtime", refuse)
    with pytest.raises(OutOfMemory, match=r"TensorRT does not start.*CUDA out of memory") as caught:
        found.runtime()
    assert caught.value.remedy == "End what else holds the GPU's memory", "none of our settings plays a part"


@pytest.mark.parametrize(
    ("status", "kind", "remedy"),
    [
        (
            35,
            NoDevice,
            "Upgrade the NVIDIA driver, or install the TensorRT package for CUDA 12 (tensorrt-cu12)",
        ),
        (2, OutOfMemory, "End what else holds the GPU's memory"),
        (214, EngineError, ""),
    ],
)
def test_a_cuda_that_does_not_start_for_tensorrt(
    gpu: Machine, status: int, kind: type[EngineError], remedy: str
) -> None:
    """Its own CUDA runtime may be newer than the one that lists the devices."""
    gpu.initialization = status
    found = api.load()
    for start in (found.runtime, found.builder):
        with pytest.raises(EngineError, match=f"TensorRT does not start.*with error: {status}") as caught:
            start()
        assert type(caught.value) is kind
        assert caught.value.remedy == remedy


@pytest.mark.parametrize("given", [None, object()])
def test_a_start_that_is_only_warned_of_is_none(
    gpu: Machine, monkeypatch: pytest.MonkeyPatch, given: object
) -> None:
    del gpu
    found = api.load()

    def warn(logger: Any) -> object:
        logger.log(
            found.trt.ILogger.Severity.WARNING,
            "CUDA initialization failure with error: 35. Please check your CUDA installation",
        )
        return given

    monkeypatch.setattr(found.trt, "Runtime", warn)
    with pytest.raises(NoDevice, match=r"with error: 35.*tensorrt-cu12"):
        found.runtime()
