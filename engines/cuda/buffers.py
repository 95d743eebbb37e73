"""Memory of a device, page-locked memory beside it, and copies between the two."""

from __future__ import annotations

import ctypes
from typing import Any, Final, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from engines.cuda.runtime import call, quietly, runtime
from engines.cuda.streams import Stream

_PORTABLE: Final = 1
"""Page-locked for every device, not only the one that was current."""


class _Held:
    """Memory that is given back once."""

    _free: str

    def __init__(self, size: int, address: int) -> None:
        self.size, self.address = size, address

    def close(self) -> None:
        """Give it back; harmless when done twice. No view of it may be used after this."""
        if self.address:
            address, self.address = self.address, 0
            quietly(self._free, address)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class DeviceBuffer(_Held):
    """So many bytes on the current device, aligned to 256; raises OutOfMemory."""

    _free = "cudaFree"

    def __init__(self, size: int) -> None:
        super().__init__(size, int(call("cudaMalloc", max(1, size))))


class Pinned(_Held):
    """Page-locked host memory, which a device reads and writes by itself; raises OutOfMemory."""

    _free = "cudaFreeHost"

    def __init__(self, size: int) -> None:
        super().__init__(size, int(call("cudaHostAlloc", max(1, size), _PORTABLE)))
        self._bytes = (ctypes.c_uint8 * max(1, size)).from_address(self.address)

    def view(self, shape: tuple[int, ...], dtype: DTypeLike, offset: int = 0) -> NDArray[Any]:
        """An array that lies in it, from a byte on."""
        return np.ndarray(shape, dtype, buffer=memoryview(self._bytes), offset=offset)


def copy_in(target: int, source: int, size: int, stream: Stream) -> None:
    """Copy bytes from a host address to a device address, once the stream gets there."""
    call(
        "cudaMemcpyAsync",
        target,
        source,
        size,
        runtime().cudaMemcpyKind.cudaMemcpyHostToDevice,
        stream.handle,
    )


def copy_out(target: int, source: int, size: int, stream: Stream) -> None:
    """Copy bytes from a device address to a host address, once the stream gets there."""
    call(
        "cudaMemcpyAsync",
        target,
        source,
        size,
        runtime().cudaMemcpyKind.cudaMemcpyDeviceToHost,
        stream.handle,
    )


def clear(target: int, size: int, stream: Stream) -> None:
    """Set bytes at a device address to zero, once the stream gets there."""
    call("cudaMemsetAsync", target, 0, size, stream.handle)
