"""NVIDIA's TensorRT, found and checked: where it cannot be used, why and what to do about it."""

from __future__ import annotations

import ctypes
import logging
import platform
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any, Final, Protocol, cast

from engines import cuda
from engines.errors import DeviceLost, EngineError, NoDevice, OutOfMemory
from engines.tensorrt.protocols import Builder, Member, Network, OnnxParser, Runtime, Trt

log = logging.getLogger(__name__)

OLDEST: Final = (10, 6)
NEWEST: Final = 11
"""The oldest release, and the newest whose interface is known."""

_PACKAGES: Final = ("tensorrt", "tensorrt_bindings")
_INSTALL: Final = "Install it with: pip install 'tidegate[gpu]'"
_BROKEN: Final = (ImportError, OSError, RuntimeError, AttributeError)
_DRIVER: Final = "Upgrade the NVIDIA driver, or install the TensorRT package for CUDA 12 (tensorrt-cu12)"
_TOO_OLD: Final = re.compile(r"failure with error: 35\b")
"""cudaErrorInsufficientDriver: TensorRT has a CUDA runtime of its own, newer perhaps than the bindings'."""
_UNSTARTED: Final = "CUDA initialization failure"
_SHORT: Final = re.compile(r"insuff?icient (device )?memory|memory is insuff?icient", re.IGNORECASE)
_MEMORY: Final = re.compile(
    rf"out ?of ?memory|memory allocation|cudaerror 2:|failure with error: 2\b|{_SHORT.pattern}", re.IGNORECASE
)
_LEVELS: Final = {
    "INTERNAL_ERROR": logging.ERROR,
    "ERROR": logging.ERROR,
    "WARNING": logging.WARNING,
    "INFO": logging.DEBUG,
    "VERBOSE": 0,
}
_LEFT: Final[list[Any]] = []
"""What came of a start that failed: some releases hand it out, and it takes the process down as it goes."""
_NUMPY: Final = {
    "FLOAT": "float32",
    "HALF": "float16",
    "INT8": "int8",
    "INT32": "int32",
    "INT64": "int64",
    "BOOL": "bool",
    "UINT8": "uint8",
}


@dataclass(slots=True)
class Heard:
    """What TensorRT said of errors while a thread listened.

    `warning` is the last that tells why something may fail later: some releases warn of what others call an
    error, and the builder warns of each kernel that it leaves out for want of memory.
    """

    errors: list[str] = field(default_factory=list)
    warning: str = ""
    thread: int = field(default_factory=threading.get_ident)

    @property
    def why(self) -> str:
        """The last few, as one line."""
        return " | ".join(self.errors[-3:])[:500] or "TensorRT gave no reason"

    @property
    def memory(self) -> bool:
        """Whether it was for want of memory."""
        return any(map(_MEMORY.search, self.errors))

    @property
    def short(self) -> bool:
        """Whether the builder had to leave out what needs more memory than it may take."""
        return any(map(_SHORT.search, self.errors))

    @property
    def unstarted(self) -> bool:
        """Whether CUDA did not start in TensorRT's own runtime."""
        return any(_UNSTARTED in said for said in (*self.errors, self.warning))

    def failed(self) -> None:
        """Something failed, so what was warned of is a reason."""
        if self.warning:
            self.errors.insert(0, self.warning)
            self.warning = ""

    def error(self, what: str, where: str, remedy: str = "") -> EngineError:
        """An error that says so: OutOfMemory for want of memory, DeviceLost where the GPU is.

        NoDevice where the driver is too old for TensorRT.
        """
        try:
            cuda.memory()  # a device that is lost answers nothing any more
        except DeviceLost as error:
            return DeviceLost(what, where=where, why=f"{self.why} | {error.why}", remedy=error.remedy)
        except EngineError:
            pass
        if any(map(_TOO_OLD.search, self.errors)):
            return NoDevice(what, where=where, why=self.why, remedy=_DRIVER)
        if self.memory:
            return OutOfMemory(what, where=where, why=self.why, remedy=remedy or cuda.MORE_MEMORY)
        return EngineError(what, where=where, why=self.why, remedy=remedy)


class Watch(Protocol):
    """Hears how a build proceeds, from threads of the builder's; a False from `step_complete` ends it."""

    def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
        """A phase of so many steps begins."""
        ...

    def step_complete(self, phase: str, step: int) -> bool:
        """A step, counted from 0, is done; whether to go on."""
        ...

    def phase_finish(self, phase: str) -> None:
        """A phase is over, all its steps done or not."""
        ...


@dataclass(frozen=True, slots=True)
class Api:
    """TensorRT, loaded; `logger` is the one that everything made from it shares, and outlives it all."""

    trt: Trt
    version: str
    logger: Any
    _ears: list[Heard]
    _lock: threading.Lock

    @property
    def release(self) -> tuple[int, int, int]:
        """The version as three numbers."""
        return release(self.version)

    @contextmanager
    def listening(self) -> Iterator[Heard]:
        """Collects what TensorRT says of errors meanwhile, on this thread or on one of its own."""
        heard = Heard()
        with self._lock:
            self._ears.append(heard)
        try:
            yield heard
        finally:
            with self._lock:
                self._ears[:] = [each for each in self._ears if each is not heard]

    def builder(self) -> Builder:
        """A builder for the current device; raises EngineError."""
        return cast(Builder, self._made("builder", self.trt.Builder))

    def runtime(self) -> Runtime:
        """A runtime for the current device; raises EngineError."""
        return cast(Runtime, self._made("runtime", self.trt.Runtime))

    def network(self, builder: Builder) -> tuple[Network, OnnxParser]:
        """An empty, strongly typed network, and the parser that fills it."""
        network = builder.create_network(1 << int(self.trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        return network, self.trt.OnnxParser(network, self.logger)

    def monitor(self, watch: Watch) -> Any:
        """A progress monitor for a builder's configuration; keep it until the build has ended."""

        class Monitor(self.trt.IProgressMonitor):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                super().__init__()

            def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
                watch.phase_start(phase_name, parent_phase, num_steps)

            def step_complete(self, phase_name: str, step: int) -> bool:
                return watch.step_complete(phase_name, step)

            def phase_finish(self, phase_name: str) -> None:
                watch.phase_finish(phase_name)

        return Monitor()

    def _made(self, what: str, make: Callable[[Any], Any]) -> Any:
        cuda.devices()  # without a device that works, TensorRT takes the process down
        with self.listening() as heard:
            try:
                made = make(self.logger)
            except (RuntimeError, TypeError) as error:
                heard.errors.append(str(error))
                made = None
        if made is not None and heard.unstarted:
            _LEFT.append(made)
            made = None
        if made is None:
            heard.failed()
            remedy = "End what else holds the GPU's memory" if heard.memory else ""
            raise heard.error("TensorRT does not start", f"{what}, TensorRT {self.version}", remedy)
        return made


@cache
def load() -> Api:
    """TensorRT, where it is installed whole and of a release that is known; raises EngineError."""
    trt = _imported()
    version = str(getattr(trt, "__version__", "0"))
    where = f"TensorRT {version}"
    if release(version)[:2] < OLDEST:
        raise EngineError(
            "TensorRT is too old",
            where=where,
            why=f"Tidegate needs {OLDEST[0]}.{OLDEST[1]} or later",
            remedy="Upgrade it with: pip install -U 'tidegate[gpu]'",
        )
    library = _library_version(version)
    if library is not None and library != release(version):
        raise EngineError(
            "TensorRT's library and its Python bindings are of different versions",
            where=where,
            why=f"the library that was found is {'.'.join(map(str, library))}",
            remedy="Install both of one version, and let LD_LIBRARY_PATH name no other",
        )
    if release(version)[0] > NEWEST:
        log.warning(
            "TensorRT %s is newer than what Tidegate knows (up to %d): plans are verified as ever, "
            "but what it no longer has may fail.", version, NEWEST,
        )  # fmt: skip
    ears: list[Heard] = []
    lock = threading.Lock()
    return Api(trt, version, _logger(trt, ears, lock), ears, lock)


def missing() -> str | None:
    """Why TensorRT cannot be used here, None where it can; says nothing of GPUs."""
    try:
        load()
    except EngineError as error:
        return f"{error.what[:1].lower()}{error.what[1:]}" if not error.why else error.why
    return None


def release(version: str) -> tuple[int, int, int]:
    """The first three numbers of a version: 10.6.0.post1 → (10, 6, 0)."""
    numbers = [int(part) if part.isdigit() else 0 for part in version.split(".")[:3]]
    major, minor, patch = [*numbers, 0, 0, 0][:3]
    return major, minor, patch


def numpy_name(dtype: Member) -> str:
    """The name of numpy's type for an input or output; raises EngineError for those that numpy lacks."""
    try:
        return _NUMPY[dtype.name]
    except KeyError:
        raise EngineError(
            "A graph's inputs and outputs cannot be exchanged",
            where=f"a tensor of type {dtype.name}",
            remedy="Export it again with inputs and outputs of types that numpy has",
        ) from None


def _imported() -> Trt:
    reasons = []
    for name in _PACKAGES:
        try:
            return cast(Trt, import_module(name))
        except ModuleNotFoundError as error:
            if error.name not in _PACKAGES:
                reasons.append(str(error))
        except _BROKEN as error:
            reasons.append(str(error))
    if not reasons:
        raise EngineError(
            "TensorRT is not installed", why="the package tensorrt is not installed", remedy=_INSTALL
        )
    if "libnv" in reasons[0]:
        raise EngineError(
            "TensorRT's library is missing",
            why=reasons[0][:300],
            remedy="Install its libraries (the package tensorrt brings them), or name their folder in "
            "LD_LIBRARY_PATH; they and the bindings must be of one version",
        )
    raise EngineError("TensorRT does not load", why=reasons[0][:300], remedy=_INSTALL)


def _library_version(version: str) -> tuple[int, int, int] | None:
    """The version of the library that the bindings loaded, None where it cannot be asked."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        number = int(ctypes.CDLL(f"libnvinfer.so.{release(version)[0]}").getInferLibVersion())
    except (OSError, AttributeError):
        return None
    return number // 10_000, number // 100 % 100, number % 100


def _logger(trt: Trt, ears: list[Heard], lock: threading.Lock) -> Any:
    class Logger(trt.ILogger):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Member, msg: str) -> None:
            level = _LEVELS.get(severity.name, logging.DEBUG)
            if level >= logging.WARNING:
                with lock:
                    mine = [heard for heard in ears if heard.thread == threading.get_ident()]
                    for heard in mine or ears:
                        if level == logging.ERROR:
                            heard.errors.append(msg.strip())
                        elif _UNSTARTED in msg or _SHORT.search(msg):
                            heard.warning = msg.strip()
            if level:
                log.log(min(level, logging.WARNING), "TensorRT: %s", msg.strip())

    return Logger()


def describe() -> str:
    """What it is and on what it runs, for a person."""
    try:
        names = sorted({device.name for device in cuda.devices()})
    except NoDevice:
        names = ["no GPU"]
    return f"TensorRT {load().version} on {', '.join(names)} ({platform.machine()})"
