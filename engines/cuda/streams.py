"""Work in order: streams, events to wait on, and graphs that replay what was captured."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final, Self

from engines.cuda.runtime import CaptureBroken, call, disturbed, quietly, runtime
from engines.errors import EngineError

ALONE: Final = threading.Lock()
"""Held, in a process, by who captures a graph, and by who makes or gives back what a library may wait for the
whole device for: no capture of another thread survives that."""

_NON_BLOCKING: Final = 1
_BLOCKING_SYNC: Final = 1
_DISABLE_TIMING: Final = 2


class Stream:
    """Runs what it is given in order, beside other streams of the device; `handle` is CUDA's."""

    def __init__(self) -> None:
        self._stream = call("cudaStreamCreateWithFlags", _NON_BLOCKING)
        self.handle = int(self._stream)

    def wait(self) -> None:
        """Wait until everything in it is done."""
        call("cudaStreamSynchronize", self.handle)

    def after(self, event: Event) -> None:
        """What comes next waits for an event."""
        call("cudaStreamWaitEvent", self.handle, event.handle, 0)

    def close(self) -> None:
        """Give it back; harmless when done twice."""
        if self.handle:
            handle, self.handle = self.handle, 0
            quietly("cudaStreamDestroy", handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Event:
    """A mark in a stream. A thread that waits for it sleeps, unless `timed`, which is for measuring."""

    def __init__(self, timed: bool = False) -> None:
        flags = 0 if timed else _BLOCKING_SYNC | _DISABLE_TIMING
        self._event = call("cudaEventCreateWithFlags", flags)
        self.handle = int(self._event)

    def record(self, stream: Stream) -> None:
        """Set the mark behind what the stream has been given so far."""
        call("cudaEventRecord", self.handle, stream.handle)

    def wait(self) -> None:
        """Wait until the stream has come to the mark; raises what went wrong before it."""
        call("cudaEventSynchronize", self.handle)

    def since(self, start: Event) -> float:
        """Seconds on the device from another mark to this one; both timed and passed."""
        return float(call("cudaEventElapsedTime", start.handle, self.handle)) / 1000

    def close(self) -> None:
        """Give it back; harmless when done twice."""
        if self.handle:
            handle, self.handle = self.handle, 0
            quietly("cudaEventDestroy", handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Graph:
    """Work captured once, launched as one: the same addresses and shapes, their contents anew."""

    def __init__(self, stream: Stream, work: Callable[[], None]) -> None:
        """Capture what `work` puts on the stream, which runs none of it; raises EngineError.

        CaptureBroken where it was spoilt, which is as a rule another thread's doing.
        """
        graph = _captured(stream, work)
        try:
            self._graph = call("cudaGraphInstantiate", graph, 0)
        finally:
            quietly("cudaGraphDestroy", graph)

    def launch(self, stream: Stream) -> None:
        """Put all of it on a stream."""
        call("cudaGraphLaunch", self._graph, stream.handle)

    def close(self) -> None:
        """Give it back; harmless when done twice."""
        if self._graph is not None:
            graph, self._graph = self._graph, None
            quietly("cudaGraphExecDestroy", graph)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _captured(stream: Stream, work: Callable[[], None]) -> Any:
    """A graph of the work; other threads may go on allocating meanwhile."""
    mode = runtime().cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
    call("cudaStreamBeginCapture", stream.handle, mode)
    try:
        work()
    except BaseException as error:
        status, graph = runtime().cudaStreamEndCapture(stream.handle)
        if graph is not None and int(graph):
            quietly("cudaGraphDestroy", graph)
        if type(error) is EngineError and disturbed(status):  # a library says no more than that it failed
            raise CaptureBroken(error.what, where=error.where, why=error.why) from error
        raise
    return call("cudaStreamEndCapture", stream.handle)
