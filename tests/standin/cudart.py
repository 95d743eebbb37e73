# ruff: noqa: N801, N802, N803, N815 -- names are the library's
"""Stands in for `cuda.bindings.runtime`: host memory for device memory, a thread for each stream.

It takes ill what a real device takes ill: memory that was given back, copies beyond a buffer's end, calls
that wait or allocate within a capture.
"""

from __future__ import annotations

import enum
import os
import queue
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.standin.machine import machine

Work = Callable[[], None]


class cudaError_t(enum.IntEnum):
    cudaSuccess = 0
    cudaErrorInvalidValue = 1
    cudaErrorMemoryAllocation = 2
    cudaErrorInitializationError = 3
    cudaErrorInsufficientDriver = 35
    cudaErrorDevicesUnavailable = 46
    cudaErrorNoDevice = 100
    cudaErrorInvalidDevice = 101
    cudaErrorECCUncorrectable = 214
    cudaErrorOperatingSystem = 304
    cudaErrorInvalidResourceHandle = 400
    cudaErrorNotReady = 600
    cudaErrorIllegalAddress = 700
    cudaErrorLaunchTimeout = 702
    cudaErrorLaunchFailure = 719
    cudaErrorSystemNotReady = 802
    cudaErrorSystemDriverMismatch = 803
    cudaErrorCompatNotSupportedOnDevice = 804
    cudaErrorStreamCaptureUnsupported = 900
    cudaErrorStreamCaptureInvalidated = 901
    cudaErrorCapturedEvent = 907
    cudaErrorUnknown = 999


class cudaMemcpyKind(enum.IntEnum):
    cudaMemcpyHostToHost = 0
    cudaMemcpyHostToDevice = 1
    cudaMemcpyDeviceToHost = 2
    cudaMemcpyDeviceToDevice = 3
    cudaMemcpyDefault = 4


class cudaStreamCaptureMode(enum.IntEnum):
    cudaStreamCaptureModeGlobal = 0
    cudaStreamCaptureModeThreadLocal = 1
    cudaStreamCaptureModeRelaxed = 2


OK = cudaError_t.cudaSuccess
_here = threading.local()


class _Stream:
    """Runs work in order on a thread of its own; while capturing, writes it down instead."""

    def __init__(self) -> None:
        self.work: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self.written: list[Work] | None = None
        self.captor: int | None = None
        self.mode = cudaStreamCaptureMode.cudaStreamCaptureModeGlobal
        self.broken = False
        self.thread = threading.Thread(target=self._run, daemon=True, name="standin-stream")
        self.thread.start()

    def put(self, work: Work) -> None:
        (self.work.put if self.written is None else self.written.append)(work)

    def drain(self) -> None:
        done = threading.Event()
        self.work.put(done.set)
        while not done.wait(0.02) and self.thread.is_alive():
            pass  # it may have been given back meanwhile

    def _run(self) -> None:
        while (work := self.work.get()) is not None:
            if machine.sticky and not getattr(work, "__self__", None):
                continue  # a lost device computes nothing; whoever waits still wakes up
            try:
                work()
            except Exception as error:
                machine.lose(why=f"work on a stream failed: {error!r}")


class _Mark:
    """An event."""

    def __init__(self, timed: bool) -> None:
        self.timed, self.captured = timed, False
        self.ticket: threading.Event | None = None
        self.at = 0.0

    def record(self) -> Work:
        self.ticket = ticket = threading.Event()

        def stamp() -> None:
            self.at = time.perf_counter()
            ticket.set()

        return _Waking(stamp).go


class _Waking:
    """Work that is done even on a lost device, so that nobody waits for ever."""

    def __init__(self, work: Work) -> None:
        self.go_on = work

    def go(self) -> None:
        self.go_on()


class _Handles:
    """Numbers for objects, as CUDA hands them out."""

    def __init__(self) -> None:
        self.next, self.objects = 1000, dict[int, Any]()

    def add(self, thing: Any) -> int:
        with machine.lock:
            self.next += 8
            self.objects[self.next] = thing
            return self.next

    def get(self, handle: Any, kind: type) -> Any:
        found = self.objects.get(int(handle))
        return found if isinstance(found, kind) else None


handles = _Handles()


class _Handle(int):
    """What CUDA's bindings wrap a pointer in."""


class cudaStream_t(_Handle):
    pass


class cudaEvent_t(_Handle):
    pass


class cudaGraph_t(_Handle):
    pass


class cudaGraphExec_t(_Handle):
    pass


def reset() -> None:
    """End every stream's thread and forget every handle."""
    for thing in handles.objects.values():
        if isinstance(thing, _Stream):
            thing.work.put(None)
    handles.objects.clear()
    _here.__dict__.clear()


def current() -> int:
    """The device of this thread."""
    return int(getattr(_here, "device", 0))


def _status(name: str) -> cudaError_t:
    """What a call gives before it does anything: no driver, a lost device, or a failure that was arranged."""
    machine.calls[name] += 1
    if machine.absent:
        return cudaError_t[machine.absent]
    if not machine.driver:
        return cudaError_t.cudaErrorInsufficientDriver
    if machine.driver // 1000 < machine.runtime // 1000:
        return cudaError_t.cudaErrorInsufficientDriver
    if not machine.gpus or os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return cudaError_t.cudaErrorNoDevice
    if machine.sticky:
        return cudaError_t[machine.sticky]
    arranged = machine.failures.get(name)
    if arranged is not None:
        if arranged.after:
            arranged.after -= 1
        elif arranged.times:
            arranged.times -= 1
            return cudaError_t[arranged.status]
    return OK


def _unsafe(name: str) -> cudaError_t:
    """As `_status`, for calls that wait or allocate: within a capture they spoil it.

    One that waits for the whole device spoils those of every thread, whatever their modes.
    """
    status = _status(name)
    if status:
        return status
    for thing in list(handles.objects.values()):
        if isinstance(thing, _Stream) and thing.written is not None:
            anyone = thing.mode == cudaStreamCaptureMode.cudaStreamCaptureModeGlobal
            anyone = anyone or name == "cudaDeviceSynchronize"
            if anyone or (thing.captor == threading.get_ident() and thing.mode != 2):
                thing.broken = True
                machine.faults.append(f"{name} within a capture")
                return cudaError_t.cudaErrorStreamCaptureUnsupported
    return OK


def cudaGetErrorName(error: cudaError_t) -> tuple[cudaError_t, bytes]:
    return OK, error.name.encode()


def cudaGetErrorString(error: cudaError_t) -> tuple[cudaError_t, bytes]:
    text = "out of memory" if error == cudaError_t.cudaErrorMemoryAllocation else error.name[9:]
    return OK, text.encode()


def cudaGetLastError() -> tuple[cudaError_t]:
    return (cudaError_t[machine.sticky] if machine.sticky else OK,)


def cudaDriverGetVersion() -> tuple[cudaError_t, int]:
    return OK, machine.driver


def cudaRuntimeGetVersion() -> tuple[cudaError_t, int]:
    return OK, machine.runtime


def cudaGetDeviceCount() -> tuple[cudaError_t, int | None]:
    status = _status("cudaGetDeviceCount")
    return (status, None) if status else (OK, len(machine.gpus))


def cudaGetDeviceProperties(device: int) -> tuple[cudaError_t, Any]:
    status = _status("cudaGetDeviceProperties")
    if status:
        return status, None
    if not 0 <= device < len(machine.gpus):
        return cudaError_t.cudaErrorInvalidDevice, None
    gpu = machine.gpus[device]
    return OK, SimpleNamespace(
        name=gpu.name.encode(),
        major=gpu.capability[0],
        minor=gpu.capability[1],
        totalGlobalMem=gpu.memory,
        uuid=SimpleNamespace(bytes=gpu.uuid),
    )


def cudaSetDevice(device: int) -> tuple[cudaError_t]:
    status = _status("cudaSetDevice")
    if status:
        return (status,)
    if not 0 <= device < len(machine.gpus):
        return (cudaError_t.cudaErrorInvalidDevice,)
    _here.device = device
    return (OK,)


def cudaMemGetInfo() -> tuple[cudaError_t, int | None, int | None]:
    status = _status("cudaMemGetInfo")
    if status:
        return status, None, None
    return OK, machine.free(current()), machine.gpus[current()].memory


def cudaDeviceSynchronize() -> tuple[cudaError_t]:
    status = _unsafe("cudaDeviceSynchronize")
    if not status:
        _drain()
    return (status or _status("cudaDeviceSynchronize"),)


def _drain() -> None:
    for thing in list(handles.objects.values()):
        if isinstance(thing, _Stream):
            thing.drain()


def cudaMalloc(size: int) -> tuple[cudaError_t, int | None]:
    return _allocated("cudaMalloc", size, "device")


def cudaHostAlloc(size: int, flags: int) -> tuple[cudaError_t, int | None]:
    del flags
    return _allocated("cudaHostAlloc", size, "pinned")


def _allocated(name: str, size: int, kind: str) -> tuple[cudaError_t, int | None]:
    status = _unsafe(name)
    if status:
        return status, None
    address = machine.take(int(size), kind, current())
    return (cudaError_t.cudaErrorMemoryAllocation, None) if address is None else (OK, address)


def cudaFree(devPtr: int) -> tuple[cudaError_t]:
    return _released("cudaFree", devPtr, "device")


def cudaFreeHost(ptr: int) -> tuple[cudaError_t]:
    return _released("cudaFreeHost", ptr, "pinned")


def _released(name: str, address: int, kind: str) -> tuple[cudaError_t]:
    status = _unsafe(name)
    if not status:
        _drain()  # as the real one does
    if not machine.give(int(address), kind):
        machine.faults.append(f"{name} of what was never given, or twice")
        return (cudaError_t.cudaErrorInvalidValue,)
    return (status,)


def cudaMemcpyAsync(dst: int, src: int, count: int, kind: Any, stream: Any) -> tuple[cudaError_t]:
    status, found = _on(stream, "cudaMemcpyAsync")
    if status:
        return (status,)
    kind = cudaMemcpyKind(int(kind))
    dst, src, count = int(dst), int(src), int(count)
    sides = {
        cudaMemcpyKind.cudaMemcpyHostToDevice: (dst, src),
        cudaMemcpyKind.cudaMemcpyDeviceToHost: (src, dst),
    }
    device, host = sides[kind]

    def copy() -> None:
        if not machine.inside(device, count):
            machine.lose(
                "cudaErrorIllegalAddress", "a copy beyond the end of a device buffer, or of one given back"
            )
            return
        if machine.copy_seconds:
            time.sleep(machine.copy_seconds)
        machine.copy(dst, src, count)

    if not machine.inside(host, count, "pinned"):
        machine.faults.append("a copy from or to memory that is not page-locked, or beyond its end")
        return (cudaError_t.cudaErrorInvalidValue,)
    found.put(copy)
    return (OK,)


def cudaMemsetAsync(devPtr: int, value: int, count: int, stream: Any) -> tuple[cudaError_t]:
    status, found = _on(stream, "cudaMemsetAsync")
    if status:
        return (status,)
    fill = np.full(int(count), value, np.uint8)

    def write() -> None:
        if not machine.inside(int(devPtr), int(count)):
            machine.lose("cudaErrorIllegalAddress", "a memset beyond the end of a device buffer")
            return
        machine.copy(int(devPtr), fill.ctypes.data, int(count))

    found.put(write)
    return (OK,)


def _on(stream: Any, name: str) -> tuple[cudaError_t, Any]:
    status = _status(name)
    found = handles.get(stream, _Stream)
    return status or (OK if found else cudaError_t.cudaErrorInvalidResourceHandle), found


def enqueue(stream: int, work: Work) -> bool:
    """What TensorRT puts on a stream."""
    status, found = _on(stream, "enqueue")
    if not status:
        found.put(work)
    return not status


def cudaStreamCreateWithFlags(flags: int) -> tuple[cudaError_t, Any]:
    del flags
    status = _unsafe("cudaStreamCreateWithFlags")
    return (status, None) if status else (OK, cudaStream_t(_new(_Stream(), "streams")))


def cudaStreamDestroy(stream: Any) -> tuple[cudaError_t]:
    found = _gone(stream, _Stream, "streams")
    if found is None:
        return (cudaError_t.cudaErrorInvalidResourceHandle,)
    found.work.put(None)
    return (_status("cudaStreamDestroy"),)


def cudaStreamSynchronize(stream: Any) -> tuple[cudaError_t]:
    status = _unsafe("cudaStreamSynchronize")
    if status:
        return (status,)
    found = handles.get(stream, _Stream)
    if found is None:
        return (cudaError_t.cudaErrorInvalidResourceHandle,)
    found.drain()
    return (cudaError_t[machine.sticky] if machine.sticky else OK,)


def cudaStreamWaitEvent(stream: Any, event: Any, flags: int) -> tuple[cudaError_t]:
    del flags
    status, found = _on(stream, "cudaStreamWaitEvent")
    mark = handles.get(event, _Mark)
    if status or mark is None:
        return (status or cudaError_t.cudaErrorInvalidResourceHandle,)
    ticket = mark.ticket
    if ticket is not None and found.written is None:
        found.put(lambda: ticket.wait() and None)
    return (OK,)


def cudaEventCreateWithFlags(flags: int) -> tuple[cudaError_t, Any]:
    status = _status("cudaEventCreateWithFlags")
    return (status, None) if status else (OK, cudaEvent_t(_new(_Mark(not flags & 2), "events")))


def cudaEventRecord(event: Any, stream: Any) -> tuple[cudaError_t]:
    status, found = _on(stream, "cudaEventRecord")
    mark = handles.get(event, _Mark)
    if status or mark is None:
        return (status or cudaError_t.cudaErrorInvalidResourceHandle,)
    mark.captured = found.written is not None
    if not mark.captured:
        found.put(mark.record())
    return (OK,)


def cudaEventSynchronize(event: Any) -> tuple[cudaError_t]:
    status = _status("cudaEventSynchronize")
    mark = handles.get(event, _Mark)
    if status or mark is None:
        return (status or cudaError_t.cudaErrorInvalidResourceHandle,)
    if mark.captured:
        return (cudaError_t.cudaErrorCapturedEvent,)
    if mark.ticket is not None:
        mark.ticket.wait()
    return (cudaError_t[machine.sticky] if machine.sticky else OK,)


def cudaEventElapsedTime(start: Any, end: Any) -> tuple[cudaError_t, float | None]:
    first, last = handles.get(start, _Mark), handles.get(end, _Mark)
    status = _status("cudaEventElapsedTime")
    if status or not (first and last and first.timed and last.timed):
        return status or cudaError_t.cudaErrorInvalidResourceHandle, None
    if not (first.ticket and last.ticket and first.ticket.is_set() and last.ticket.is_set()):
        return cudaError_t.cudaErrorNotReady, None
    return OK, (last.at - first.at) * 1000


def cudaEventDestroy(event: Any) -> tuple[cudaError_t]:
    gone = _gone(event, _Mark, "events")
    return (cudaError_t.cudaErrorInvalidResourceHandle if gone is None else OK,)


def cudaStreamBeginCapture(stream: Any, mode: Any) -> tuple[cudaError_t]:
    status, found = _on(stream, "cudaStreamBeginCapture")
    if status:
        return (status,)
    found.written, found.captor = [], threading.get_ident()
    found.mode, found.broken = cudaStreamCaptureMode(int(mode)), False
    return (OK,)


def cudaStreamEndCapture(stream: Any) -> tuple[cudaError_t, Any]:
    found = handles.get(stream, _Stream)
    if found is None or found.written is None:
        return cudaError_t.cudaErrorInvalidResourceHandle, None
    written, found.written = found.written, None
    status = _status("cudaStreamEndCapture")
    if status or found.broken:
        return status or cudaError_t.cudaErrorStreamCaptureInvalidated, None
    return OK, cudaGraph_t(_new(_Recording(written), "graphs"))


class _Recording(list[Work]):
    """A graph."""


class _Executable(list[Work]):
    """A graph that can be launched."""


def cudaGraphInstantiate(graph: Any, flags: int) -> tuple[cudaError_t, Any]:
    del flags
    status = _status("cudaGraphInstantiate")
    found = handles.get(graph, _Recording)
    if status or found is None:
        return status or cudaError_t.cudaErrorInvalidValue, None
    return OK, cudaGraphExec_t(_new(_Executable(found), "graphs"))


def cudaGraphLaunch(graphExec: Any, stream: Any) -> tuple[cudaError_t]:
    status, found = _on(stream, "cudaGraphLaunch")
    works = handles.get(graphExec, _Executable)
    if status or works is None:
        return (status or cudaError_t.cudaErrorInvalidValue,)
    for work in works:
        found.put(work)
    return (OK,)


def cudaGraphDestroy(graph: Any) -> tuple[cudaError_t]:
    gone = _gone(graph, _Recording, "graphs")
    return (cudaError_t.cudaErrorInvalidValue if gone is None else OK,)


def cudaGraphExecDestroy(graphExec: Any) -> tuple[cudaError_t]:
    gone = _gone(graphExec, _Executable, "graphs")
    return (cudaError_t.cudaErrorInvalidValue if gone is None else OK,)


def _new(thing: Any, kind: str) -> int:
    with machine.lock:
        machine.live[kind] += 1
    return handles.add(thing)


def _gone(handle: Any, kind: type, name: str) -> Any:
    with machine.lock:
        found = handles.get(handle, kind)
        if found is None:
            machine.faults.append(f"one of the {name} was given back twice")
        else:
            machine.live[name] -= 1
            del handles.objects[int(handle)]
        return found
