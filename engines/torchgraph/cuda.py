"""All that only a GPU can run: streams, page-locked memory, captured graphs. Nothing else here needs one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.cuda import ALONE
from engines.tensorrt.buckets import Bucket
from engines.tensorrt.signature import Signature
from engines.tensorrt.staging import Inbox
from engines.torchgraph.library import Tensor, exact, torch
from engines.torchgraph.program import Memo, Program

_WARM: Final = 2
"""Runs before a capture: libraries choose their kernels and make their workspaces in these."""


def prepare(device: int, share: float) -> None:
    """Exact products at fp32, and no more of a device's memory than a share; raises what torch raises."""
    exact()
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    torch.cuda.set_per_process_memory_fraction(min(1.0, share), device)


class CudaLane:
    """A stream, and the memory that its graphs share: they never run at the same time."""

    def __init__(self, program: Program, signature: Signature, device: int) -> None:
        self._program, self._signature, self.device = program, signature, device
        self.weights = program.bytes
        with torch.cuda.device(device):
            self._stream = torch.cuda.Stream()
            self._pool = torch.cuda.graph_pool_handle()

    def prepare(self, bucket: Bucket) -> CudaReady:
        """Capture a bucket."""
        with ALONE, torch.cuda.device(self.device):  # torch waits for the whole device around a capture
            return CudaReady(self._program, self._signature, bucket, self._stream, self._pool)

    def held(self) -> int:
        """Bytes that torch has reserved on the device, captured graphs' among them."""
        return int(torch.cuda.memory_reserved(self.device))

    def close(self) -> None:
        """Wait for what runs; the memory goes with what holds it."""
        self._stream.synchronize()


class CudaReady:
    """A bucket's inputs and outputs, page-locked here and on the device, and its captured graph."""

    def __init__(
        self, program: Program, signature: Signature, bucket: Bucket, stream: Tensor, pool: Tensor
    ) -> None:
        self._stream, self._memo = stream, Memo()
        self._staged = {
            one.name: torch.from_numpy(np.zeros(bucket.shape(one), one.dtype)).pin_memory()
            for one in signature.inputs
        }
        self.inbox = Inbox({name: tensor.numpy() for name, tensor in self._staged.items()})
        with torch.inference_mode(), torch.cuda.stream(stream):
            self._inputs = {
                name: tensor.to(program.device, non_blocking=True) for name, tensor in self._staged.items()
            }
            for _ in range(_WARM):
                program.run(self._inputs, self._memo)
            stream.synchronize()
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
                self._outputs = program.run(self._inputs, self._memo)
        self._taken = {
            name: torch.empty(tensor.shape, dtype=tensor.dtype).pin_memory()
            for name, tensor in self._outputs.items()
        }
        self.outbox: Mapping[str, NDArray[Any]] = {
            name: tensor.numpy() for name, tensor in self._taken.items()
        }
        self._done = torch.cuda.Event(blocking=True)  # else who waits spins, and takes a core from the rest

    def launch(self) -> None:
        """Copy in, compute, copy out, and wait; torch lets go of the interpreter lock while it waits."""
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            for name, tensor in self._inputs.items():
                tensor.copy_(self._staged[name], non_blocking=True)
            self._graph.replay()
            for name, tensor in self._outputs.items():
                self._taken[name].copy_(tensor, non_blocking=True)
            self._done.record()
        self._done.synchronize()
