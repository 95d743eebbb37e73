"""One graph on one backend: all that the engine knows of ONNX Runtime, OpenVINO and what comes later."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from engines.batch import Float32
from engines.bundle import Bundle
from engines.planner import Budget

Arrays = Mapping[str, NDArray[Any]]


class Session(Protocol):
    """Runs one graph, lets go of the interpreter lock while it computes; several threads may run it."""

    def run(self, inputs: Arrays) -> dict[str, Float32]:
        """Outputs by name; raises EngineError when the backend does."""
        ...

    def close(self) -> None:
        """Give the memory back; no `run` after this."""
        ...


@dataclass(frozen=True, slots=True)
class Terms:
    """What a session is opened for: so many threads, shared by as many runs at once as there are lanes, and
    micro-batches within a budget. On GPUs: which ones, and the share of a GPU's memory that may be filled;
    `progress` hears what is being built, and the share that is done, and `plans` is the folder where it is
    kept, None for the cache; without `build` only what is kept there is opened.
    """

    threads: int = 1
    lanes: int = 1
    budget: Budget = field(default_factory=Budget)
    devices: tuple[int, ...] = (0,)
    progress: Callable[[str, float], None] | None = None
    gpu_memory: float = 0.8
    plans: Path | None = None
    build: bool = True


def _never() -> bool:
    return False


def _none(folder: Path | None) -> Collection[str]:
    del folder
    return ()


def _nothing(precision: str, devices: Sequence[int] | None = None) -> str | None:
    del precision, devices
    return None


@dataclass(frozen=True, slots=True)
class Backend:
    """A way to run graphs. `missing` says why it cannot be used here, None where it can.

    `native` are the precisions it makes out of an fp32 graph; for others the bundle needs graphs of its own,
    of those that it `reads`.
    `on_gpu` tells whether it computes on GPUs here: then towers run side by side, and threads only wait.
    `lacks` says why its GPUs, all or those of some numbers, cannot compute at a precision, None where they
    can. `kept` are the plans in a folder (None: the cache), each by its SHA-256; it raises EngineError.
    `broken` tells whether everything is installed to use a GPU that is there, and yet it cannot be used.
    """

    name: str
    missing: Callable[[], str | None]
    native: Callable[[], tuple[str, ...]]
    describe: Callable[[], str]
    open: Callable[[Bundle, str, str, Terms], Session]
    """Open (bundle, tower, precision, terms); raises EngineError."""
    on_gpu: Callable[[], bool] = _never
    reads: tuple[str, ...] = ("fp32", "bf16", "fp16", "fp8", "int8")
    lacks: Callable[[str, Sequence[int] | None], str | None] = _nothing
    kept: Callable[[Path | None], Collection[str]] = _none
    broken: Callable[[], bool] = _never
