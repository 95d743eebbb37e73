"""The machine that the stand-in pretends to be: its GPUs, its memory, what goes wrong, and what was done."""

from __future__ import annotations

import ctypes
import threading
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

GIB = 1 << 30
ALIGNMENT = 256
FRESH, FREED = 0xA5, 0xDD
"""What memory holds before anybody wrote to it, and after it was given back."""


@dataclass
class Gpu:
    """One device."""

    name: str = "NVIDIA H100 80GB HBM3"
    capability: tuple[int, int] = (9, 0)
    memory: int = 80 * GIB
    uuid: bytes = bytes(range(16))


@dataclass
class Piece:
    """A piece of memory that was asked for."""

    address: int
    size: int
    kind: str
    device: int
    block: NDArray[np.uint8]


@dataclass
class Failure:
    """A status that a call gives, some times, after it went well some times."""

    status: str
    after: int
    times: int


@dataclass
class Built:
    """One plan that the builder made."""

    precision: str
    profiles: int
    known: bool
    """Whether the timing cache had seen this graph."""
    flags: frozenset[str]
    workspace: int | None
    tactics: int | None
    """The memory that the builder might try kernels in."""


@dataclass
class Machine:
    """Knobs, to be turned before or while it is used; and books, to be read after."""

    gpus: list[Gpu] = field(default_factory=lambda: [Gpu()])
    driver: int = 13020
    """The CUDA version that the driver is for; 0 for no driver."""
    runtime: int = 13000
    absent: str | None = None
    """The status with which devices cannot be counted."""

    tensorrt: str = "10.15.1.29"
    initialization: int = 0
    """The status with which CUDA does not start for TensorRT, as a number: 35 where the driver is too old."""
    library: str | None = None
    """The version of TensorRT's library, where it is not that of the bindings."""
    build_seconds: float = 0.0
    build_steps: int = 4
    build_error: str | None = None
    """What the builder says while it fails."""
    tactic_bytes: int = 0
    """The memory that every kernel the builder knows takes while it is tried."""
    unsupported: str | None = None
    """An operator that the parser does not take."""
    refuse_plans: bool = False
    run_seconds: float = 0.0
    copy_seconds: float = 0.0
    run_error: str | None = None
    """What TensorRT says while a run cannot be put on a stream."""
    nan: frozenset[str] = frozenset()
    """Precisions whose plans compute NaN."""
    noise: dict[str, float] = field(default_factory=dict)
    """By precision: how far off a plan's outputs are."""

    sticky: str | None = None
    faults: list[str] = field(default_factory=list)
    """What a program did that a real device takes ill, in words."""
    calls: Counter[str] = field(default_factory=Counter)
    live: Counter[str] = field(default_factory=Counter)
    """What is held: streams, events, graphs, engines, contexts."""
    built: list[Built] = field(default_factory=list)
    most_at_once: int = 0
    """How many runs of engines computed at the same time."""

    pieces: dict[int, Piece] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    running: int = 0

    def fail(self, call: str, status: str, after: int = 0, times: int = 1 << 30) -> None:
        """Let a call give a status, `times` times, after it went well `after` times."""
        self.failures[call] = Failure(status, after, times)

    def lose(self, status: str = "cudaErrorLaunchFailure", why: str = "") -> None:
        """Let the device fall off the bus: from now on every call fails."""
        self.sticky = self.sticky or status
        if why:
            self.faults.append(why)

    def held(self, kind: str = "device") -> int:
        """Bytes of a kind of memory ("device" or "pinned") that nobody has given back."""
        with self.lock:
            return sum(piece.size for piece in self.pieces.values() if piece.kind == kind)

    def take(self, size: int, kind: str, device: int) -> int | None:
        """The address of so many bytes; None where they do not fit."""
        with self.lock:
            if kind == "device" and self._used(device) + size > self.gpus[device].memory:
                return None
            block = np.full(size + ALIGNMENT, FRESH, np.uint8)
            address = -(-block.ctypes.data // ALIGNMENT) * ALIGNMENT
            self.pieces[address] = Piece(address, size, kind, device, block)
            return address

    def give(self, address: int, kind: str) -> bool:
        """Take memory back; False where it was never given."""
        with self.lock:
            piece = self.pieces.get(address)
            if piece is None or piece.kind != kind:
                return False
            piece.block[:] = FREED
            del self.pieces[address]
            return True

    def free(self, device: int) -> int:
        """Bytes of a device that are left."""
        with self.lock:
            return self.gpus[device].memory - self._used(device)

    def inside(self, address: int, size: int, kind: str = "device") -> bool:
        """Whether so many bytes at an address are all within one piece of memory of a kind."""
        with self.lock:
            return any(
                piece.address <= address and address + size <= piece.address + piece.size
                for piece in self.pieces.values()
                if piece.kind == kind
            )

    def copy(self, target: int, source: int, size: int) -> None:
        """Move bytes between two addresses."""
        ctypes.memmove(target, source, size)

    def _used(self, device: int) -> int:
        mine = (piece for piece in self.pieces.values() if piece.device == device)
        return sum(piece.size for piece in mine if piece.kind == "device")


machine = Machine()
"""The one that the modules pretend to run on; `reset` makes it new in place."""


def reset() -> Machine:
    """A machine as good as new."""
    fresh = Machine()
    for name in Machine.__dataclass_fields__:
        setattr(machine, name, getattr(fresh, name))
    return machine
