"""CUDA through its bindings: every status in words, everything given back, nothing out of order."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines import cuda
from engines.cuda import CaptureBroken, DeviceBuffer, Event, Graph, Pinned, Stream
from engines.cuda.devices import driver_version
from engines.cuda.runtime import runtime
from engines.errors import DeviceLost, EngineError, NoDevice, OutOfMemory
from tests.standin import Gpu, Machine, environment, installed


def test_a_device_says_what_it_is(gpu: Machine) -> None:
    gpu.gpus.append(Gpu("NVIDIA L4", (8, 9), 24 << 30, bytes(16)))
    first, second = cuda.devices()
    assert (first.name, first.capability, first.index) == ("NVIDIA H100 80GB HBM3", (9, 0), 0)
    assert first.uuid == "GPU-00010203-0405-0607-0809-0a0b0c0d0e0f"
    assert (second.name, second.capability, second.memory, second.index) == ("NVIDIA L4", (8, 9), 24 << 30, 1)
    assert first.driver == second.driver == driver_version() > 0


@pytest.mark.parametrize(
    "line",
    [
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27 07:10:14 UTC 2025",
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.82.07  Release Build  (root@host)",
        "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  580.95.05  Release Build",
    ],
)
def test_the_drivers_version_is_read_of_either_kind_of_module(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "version").write_text(f"{line}\nGCC version:  gcc version 13.3.0 (Ubuntu 13.3.0-6)\n")
    monkeypatch.setattr(sys.modules["engines.cuda.devices"], "_MODULE", tmp_path / "version")
    assert driver_version() == 580


@pytest.mark.parametrize(
    ("knobs", "why", "remedy"),
    [
        ({"driver": 0}, "driver is not installed", "Install a driver for CUDA 13.0 or later"),
        (
            {"driver": 12040},
            "too old: it is for CUDA 12.4, the package cuda-bindings for CUDA 13.0",
            "Upgrade the driver, or install packages for CUDA 12: cuda-bindings 12.* and tensorrt-cu12",
        ),
        ({"driver": 11080}, "too old: it is for CUDA 11.8", "Upgrade the driver"),
        ({"gpus": []}, "there is no GPU", "nvidia-smi"),
        ({"absent": "cudaErrorSystemDriverMismatch"}, "of different versions", "Reboot"),
        ({"absent": "cudaErrorSystemNotReady"}, "fabric manager", "Start nvidia-fabricmanager"),
        ({"absent": "cudaErrorDevicesUnavailable"}, "another process", "compute mode"),
        ({"absent": "cudaErrorUnknown"}, "CUDA does not start", "Reboot"),
        ({"absent": "cudaErrorInvalidValue"}, "cudaErrorInvalidValue 1", "nvidia-smi"),
    ],
)
def test_why_there_is_no_device_and_what_to_do(knobs: dict[str, Any], why: str, remedy: str) -> None:
    with installed(**knobs), pytest.raises(NoDevice) as raised:
        cuda.devices()
    assert why in raised.value.why
    assert remedy in raised.value.remedy


def test_devices_that_the_environment_hides(gpu: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    del gpu
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(NoDevice, match=r"CUDA_VISIBLE_DEVICES is '', which shows none.*Unset it"):
        cuda.devices()


def test_a_number_that_no_device_has(gpu: Machine) -> None:
    with pytest.raises(NoDevice, match=r"device 3.*there is 1, counted from 0"):
        cuda.activate(3)
    cuda.activate(0)
    assert cuda.memory() == (gpu.gpus[0].memory, gpu.gpus[0].memory)


@pytest.mark.parametrize(
    ("status", "kind", "remedy"),
    [
        ("cudaErrorMemoryAllocation", OutOfMemory, "end what else holds the GPU's memory"),
        ("cudaErrorECCUncorrectable", DeviceLost, "Restart the process"),
        ("cudaErrorDevicesUnavailable", NoDevice, "compute mode"),
    ],
)
def test_a_device_that_is_full_or_lost_is_not_said_to_be_missing(
    gpu: Machine, status: str, kind: type[EngineError], remedy: str
) -> None:
    gpu.fail("cudaSetDevice", status)
    with pytest.raises(kind) as raised:
        cuda.activate(0)
    assert remedy in raised.value.remedy


def test_each_thread_has_a_device_of_its_own(gpu: Machine) -> None:
    gpu.gpus = [Gpu(memory=1 << 20), Gpu(memory=1 << 30)]
    sizes: list[int] = []

    def work() -> None:
        cuda.activate(1)
        with DeviceBuffer(1 << 24):
            sizes.append(cuda.memory()[0])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert sizes == [(1 << 30) - (1 << 24)]
    assert cuda.memory() == (1 << 20, 1 << 20)


def test_without_the_bindings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", None)
    runtime.cache_clear()
    try:
        assert cuda.missing() == "the package cuda-bindings is not installed"
        with pytest.raises(NoDevice, match="pip install 'tidegate"):
            cuda.devices()
    finally:
        runtime.cache_clear()


def test_the_real_bindings_on_this_machine() -> None:
    """Whatever there is here, it is said in words: devices, or why there are none."""
    pytest.importorskip("cuda.bindings.runtime")
    runtime.cache_clear()
    try:
        said = [device.name for device in cuda.devices()]
    except NoDevice as error:
        said = [error.why, error.remedy]
    assert all(said)


def test_nothing_is_imported_before_it_is_used() -> None:
    code = (
        "import sys, engines.cuda, engines.tensorrt.api\n"
        "print([name for name in sys.modules if name.startswith(('cuda', 'tensorrt'))])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def copied(work: Callable[[Stream, Callable[[], None]], None]) -> None:
    """A copy to the device and back, put on the stream as `work` likes; then checked."""
    rows = np.arange(100, dtype=np.int32).reshape(20, 5)
    with Stream() as stream, DeviceBuffer(rows.nbytes) as buffer, Pinned(2 * rows.nbytes) as pinned:
        there, back = pinned.view(rows.shape, np.int32), pinned.view(rows.shape, np.int32, rows.nbytes)

        def put() -> None:
            cuda.copy_in(buffer.address, pinned.address, rows.nbytes, stream)
            cuda.copy_out(pinned.address + rows.nbytes, buffer.address, rows.nbytes, stream)

        there[:], back[:] = rows, 0
        work(stream, put)
        assert (back == rows).all()


def test_copies_in_order(gpu: Machine) -> None:
    def work(stream: Stream, put: Callable[[], None]) -> None:
        put()
        stream.wait()

    copied(work)
    assert gpu.held() == gpu.held("pinned") == 0


def test_a_graph_copies_what_lies_there_when_it_is_launched(gpu: Machine) -> None:
    def work(stream: Stream, put: Callable[[], None]) -> None:
        with Graph(stream, put) as graph, Event() as event:
            graph.launch(stream)
            event.record(stream)
            event.wait()

    copied(work)
    assert not any(gpu.live.values())


def test_a_stream_waits_for_an_event_of_another(gpu: Machine) -> None:
    gpu.copy_seconds = 0.05
    rows = np.full(64, 7, np.int32)
    with (
        Stream() as one,
        Stream() as other,
        Event() as event,
        DeviceBuffer(256) as buffer,
        Pinned(512) as both,
    ):
        both.view((64,), np.int32)[:] = rows
        cuda.copy_in(buffer.address, both.address, 256, one)
        event.record(one)
        other.after(event)
        cuda.copy_out(both.address + 256, buffer.address, 256, other)
        other.wait()
        assert (both.view((64,), np.int32, 256) == rows).all()


def test_time_between_events(gpu: Machine) -> None:
    del gpu
    with Stream() as stream, Event(timed=True) as start, Event(timed=True) as end:
        start.record(stream)
        end.record(stream)
        stream.wait()
        assert end.since(start) >= 0


def test_memory_that_does_not_suffice(gpu: Machine) -> None:
    gpu.gpus[0].memory = 1 << 20
    with DeviceBuffer(1 << 19):
        with pytest.raises(
            OutOfMemory, match=r"out of memory .cudaErrorMemoryAllocation 2.*engine.gpu_memory"
        ):
            DeviceBuffer(1 << 20)
        DeviceBuffer(1 << 19).close()
    gpu.fail("cudaHostAlloc", "cudaErrorMemoryAllocation", times=1)
    with pytest.raises(OutOfMemory):
        Pinned(1 << 10)
    Pinned(1 << 10).close()


def test_a_device_that_falls_off_the_bus(gpu: Machine) -> None:
    stream, event, buffer = Stream(), Event(), DeviceBuffer(16)
    event.record(stream)
    gpu.lose("cudaErrorECCUncorrectable")
    for lost in (
        stream.wait,
        event.wait,
        lambda: DeviceBuffer(1),
        lambda: cuda.clear(buffer.address, 16, stream),
    ):
        with pytest.raises(DeviceLost, match=r"cudaErrorECCUncorrectable 214.*Restart the process"):
            lost()
    for each in (stream, event, buffer):
        each.close()  # and is quiet about it
    assert gpu.held() == 0
    assert not any(gpu.live.values())


def test_a_call_that_is_wrong_is_no_lost_device(gpu: Machine) -> None:
    gpu.fail("cudaMemcpyAsync", "cudaErrorInvalidValue", times=1)
    with Stream() as stream, DeviceBuffer(16) as buffer, Pinned(16) as pinned:
        with pytest.raises(EngineError, match="cudaMemcpyAsync") as raised:
            cuda.copy_in(buffer.address, pinned.address, 16, stream)
        assert type(raised.value) is EngineError


def test_what_goes_wrong_within_a_capture_ends_it(gpu: Machine) -> None:
    with Stream() as stream:
        with pytest.raises(ZeroDivisionError):
            Graph(stream, lambda: 1 // 0 and None)
        with Pinned(16) as pinned, DeviceBuffer(16) as buffer:
            Graph(stream, lambda: cuda.copy_in(buffer.address, pinned.address, 16, stream)).close()
        stream.wait()
    assert not any(gpu.live.values())


def test_allocating_within_a_capture_is_an_error(gpu: Machine) -> None:
    with Stream() as stream, pytest.raises(EngineError, match="cudaErrorStreamCaptureUnsupported"):
        Graph(stream, lambda: DeviceBuffer(16).close())
    assert gpu.faults == ["cudaMalloc within a capture"]
    gpu.faults.clear()


def test_a_capture_that_another_thread_spoils_says_so(gpu: Machine) -> None:
    def work() -> None:
        thread = threading.Thread(target=runtime().cudaDeviceSynchronize)
        thread.start()
        thread.join()

    def fail() -> None:
        work()
        raise EngineError("A graph failed", why="no reason")

    with Stream() as stream:
        for spoilt in (work, fail):
            with pytest.raises(CaptureBroken):
                Graph(stream, spoilt)
        Graph(stream, lambda: None).close()
    assert gpu.faults == ["cudaDeviceSynchronize within a capture"] * 2
    gpu.faults.clear()


def test_other_threads_allocate_during_a_capture(gpu: Machine) -> None:
    def allocate() -> None:
        DeviceBuffer(16).close()

    def work() -> None:
        thread = threading.Thread(target=allocate)
        thread.start()
        thread.join()

    with Stream() as stream:
        Graph(stream, work).close()
    assert gpu.held() == 0


def test_memory_that_was_given_back_is_not_used(gpu: Machine) -> None:
    with Stream() as stream, Pinned(16) as pinned:
        buffer = DeviceBuffer(16)
        address = buffer.address
        buffer.close()
        buffer.close()
        cuda.copy_in(address, pinned.address, 16, stream)
        with pytest.raises(DeviceLost):
            stream.wait()
    assert len(gpu.faults) == 1
    gpu.faults.clear()


def test_pinned_memory_is_there_as_long_as_its_views_are_used(gpu: Machine) -> None:
    with Pinned(64) as pinned:
        view = pinned.view((4, 4), np.float32)
        view[:] = 1
        gc.collect()
        assert view.sum() == 16
        with pytest.raises((TypeError, ValueError)):
            pinned.view((5, 4), np.float32)
    assert gpu.held("pinned") == 0


def test_a_process_of_its_own_finds_the_stand_ins() -> None:
    code = (
        "from engines import cuda; from engines.tensorrt import api\n"
        "print(cuda.devices()[0].name, api.load().version)"
    )
    env = os.environ | environment(tensorrt="11.2.1.2", gpus=[{"name": "NVIDIA L4", "capability": [8, 9]}])
    assert (
        subprocess.check_output([sys.executable, "-c", code], text=True, env=env).strip()
        == "NVIDIA L4 11.2.1.2"
    )
