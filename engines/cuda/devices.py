"""The GPUs of this machine."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from engines.cuda.runtime import absence, call, failure, runtime, spoilt
from engines.device import Device
from engines.errors import EngineError, NoDevice

_MODULE: Final = Path("/proc/driver/nvidia/version")


def devices() -> list[Device]:
    """Every GPU that this process may use, or instance of one (MIG); raises NoDevice where there is none."""
    status, count = runtime().cudaGetDeviceCount()
    if int(status):
        raise absence(status)
    if not count:
        raise absence(runtime().cudaError_t.cudaErrorNoDevice)
    driver = driver_version()
    return [_device(index, driver) for index in range(count)]


def activate(index: int) -> None:
    """Let this thread's calls go to a device; raises NoDevice where there is none of that number.

    OutOfMemory where it is full, DeviceLost where it no longer answers.
    """
    status = runtime().cudaSetDevice(index)[0]
    if status.name == "cudaErrorInvalidDevice":
        count = len(devices())
        raise NoDevice(
            "No such GPU",
            where=f"device {index}",
            why=f"there {'is' if count == 1 else 'are'} {count}, counted from 0",
            remedy="Set engine.devices to what `tidegate doctor` lists",
        )
    if int(status):  # the first call for a device starts CUDA on it, which takes memory
        raise failure("cudaSetDevice", status) if spoilt(status) else absence(status)


def memory(index: int | None = None) -> tuple[int, int]:
    """Bytes free and in all, of a device or of the current one."""
    if index is not None:
        activate(index)
    free, total = call("cudaMemGetInfo")
    return int(free), int(total)


def synchronise() -> None:
    """Wait for everything on the current device."""
    call("cudaDeviceSynchronize")


def driver_version() -> int:
    """The driver's major version (580, say), or where it cannot be asked that of its CUDA (13, say)."""
    return _of_module() or _of_library() or int(call("cudaDriverGetVersion")) // 1000


def _of_module() -> int | None:
    try:
        found = re.search(r"Module\b.*?\s(\d+)\.\d", _MODULE.read_text("ascii", "replace"))
    except OSError:
        return None
    return int(found[1]) if found else None


def _of_library() -> int | None:
    text = ctypes.create_string_buffer(80)
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
        if library.nvmlInit_v2():
            return None
        try:
            failed = library.nvmlSystemGetDriverVersion(text, len(text))
        finally:
            library.nvmlShutdown()
    except (OSError, AttributeError):
        return None
    major = text.value.decode("ascii", "replace").partition(".")[0]
    return int(major) if not failed and major.isdigit() else None


def _device(index: int, driver: int) -> Device:
    try:
        found = call("cudaGetDeviceProperties", index)
    except EngineError as error:
        raise NoDevice(
            "A GPU cannot be used", where=f"device {index}", why=error.why, remedy=error.remedy
        ) from error
    return Device(
        name=_text(found.name),
        capability=(int(found.major), int(found.minor)),
        driver=driver,
        memory=int(found.totalGlobalMem),
        index=index,
        uuid=_uuid(found.uuid),
    )


def _text(raw: Any) -> str:
    return raw.decode("utf-8", "replace").rstrip("\0") if isinstance(raw, bytes) else str(raw)


def _uuid(raw: Any) -> str:
    octets = bytes(raw.bytes)
    return f"GPU-{UUID(bytes=octets)}" if len(octets) == 16 else ""
