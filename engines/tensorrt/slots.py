"""What runs one micro-batch at a time, of one bucket: its memory lies still, so a graph can replay it."""

from __future__ import annotations

import logging
from contextlib import ExitStack, suppress

import numpy as np

from engines import cuda
from engines.errors import DeviceLost, EngineError, OutOfMemory
from engines.sessions.base import Arrays
from engines.tensorrt.buckets import Bucket
from engines.tensorrt.loaded import Loaded, check_room
from engines.tensorrt.protocols import ExecutionContext
from engines.tensorrt.staging import Answer, Inbox, Layout

log = logging.getLogger(__name__)


class Slot:
    """A context, a stream, staging both ways, working memory, and what was captured of all that.

    Raises OutOfMemory where `share` of the GPU's memory would be passed.
    """

    def __init__(self, loaded: Loaded, bucket: Bucket, share: float, graphs: bool = True) -> None:
        self.bucket, self.bytes = bucket, 0
        self._loaded, self._held = loaded, ExitStack()
        self._graph: cuda.Graph | None = None
        self._context: ExecutionContext | None = None
        signature = loaded.plans.signature
        self._in, self._out = (
            Layout.of(tensors, bucket) for tensors in (signature.inputs, signature.outputs)
        )
        cuda.activate(loaded.device)
        try:
            self._stream = self._held.enter_context(cuda.Stream())
            self._done = self._held.enter_context(cuda.Event())
            self._context = loaded.context(bucket, self._stream)
            self._hold(self._context, share)
            self._enqueue()  # warm: what TensorRT still makes on its first run cannot be captured
            self._stream.wait()
            if graphs:
                self._graph = self._captured()
        except BaseException:
            self.close()
            raise

    def run(self, inputs: Arrays, rows: slice, answer: Answer) -> None:
        """Run some rows of a micro-batch, and wait for what they give; raises EngineError."""
        cuda.activate(self._loaded.device)
        self._inbox.fill(inputs, rows)
        if self._graph is not None:
            self._graph.launch(self._stream)
        else:
            self._enqueue()
        self._done.record(self._stream)
        self._done.wait()
        answer.take(self._views, rows)

    @property
    def captured(self) -> bool:
        """Whether it replays a graph."""
        return self._graph is not None

    def close(self) -> None:
        """Give everything back once nothing runs, on a lost GPU what can be; harmless when done twice."""
        with suppress(EngineError):
            cuda.activate(self._loaded.device)
        if self._context is not None:
            with suppress(EngineError):
                self._stream.wait()  # a run that failed half-way may still be in it
        if self._graph is not None:
            self._graph.close()
        self._context = None  # before the memory that it works in
        self._held.close()
        self.bytes = 0

    def _hold(self, context: ExecutionContext, share: float) -> None:
        sizes = (self._in.bytes, self._out.bytes)
        working = context.update_device_memory_size_for_shapes()
        check_room(sum(sizes) + working, share, f"{self._loaded.where}, {self.bucket}")
        pinned = [self._held.enter_context(cuda.Pinned(size)) for size in sizes]
        device = [self._held.enter_context(cuda.DeviceBuffer(size)) for size in (*sizes, working)]
        self.bytes = sum(buffer.size for buffer in device)
        self._host = [block.address for block in pinned]
        self._device = [buffer.address for buffer in device[:2]]
        with self._loaded.api.listening() as heard:
            context.set_device_memory(device[2].address, working)
            good = not heard.errors
            for layout, base in zip((self._in, self._out), self._device, strict=True):
                for place in layout.places:
                    good = context.set_tensor_address(place.name, base + place.offset) and good
            if not good:
                raise heard.error("A plan cannot be run", f"{self._loaded.where}, {self.bucket}")
        blocks = [block.view((block.size,), np.uint8) for block in pinned]
        blocks[0][:] = 0
        self._inbox = Inbox(self._in.views(blocks[0]))
        self._views = self._out.views(blocks[1])

    def _enqueue(self) -> None:
        assert self._context is not None, "Run after it was closed. This is a bug."
        cuda.copy_in(self._device[0], self._host[0], self._in.bytes, self._stream)
        with self._loaded.api.listening() as heard:
            if not self._context.execute_async_v3(self._stream.handle):
                raise heard.error("A graph failed", self._loaded.where)
        cuda.copy_out(self._host[1], self._device[1], self._out.bytes, self._stream)

    def _captured(self) -> cuda.Graph | None:
        """What was captured, at the second try where the first was spoilt; None where it cannot be."""
        try:
            try:
                return cuda.Graph(self._stream, self._enqueue)
            except cuda.CaptureBroken:
                self._stream = self._held.enter_context(cuda.Stream())
                return cuda.Graph(self._stream, self._enqueue)
        except (DeviceLost, OutOfMemory):
            raise
        except EngineError as error:
            if not self._loaded.uncaptured:  # said once for a tower, not for every shape
                self._loaded.uncaptured = True
                log.warning("served without CUDA graphs, so small batches take longer: %s", error)
            self._stream = self._held.enter_context(cuda.Stream())  # the other one is spoilt
            return None
