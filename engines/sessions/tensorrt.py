"""Graphs on TensorRT; importable without it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from engines import cuda
from engines.bundle import Bundle
from engines.device import Device
from engines.errors import EngineError, NoDevice, PlanRefused
from engines.sessions.base import Backend, Terms
from engines.tensorrt import api
from engines.tensorrt.build import CASTABLE, Plans, built
from engines.tensorrt.session import TensorRTSession
from engines.tensorrt.store import PlanStore

log = logging.getLogger(__name__)

NODES: Final = Path("/dev")
"""Where a driver that is loaded shows its GPUs, as nvidia0 and so on."""

_NEEDED: Final[Mapping[str, tuple[int, int]]] = {"bf16": (8, 0), "fp8": (8, 9)}
"""The compute capability from which on a GPU computes at a precision; at others all do."""


def opened(
    bundle: Bundle,
    tower: str,
    precision: str,
    terms: Terms,
    *,
    store: PlanStore | None = None,
    graphs: bool = True,
) -> TensorRTSession:
    """A tower on every GPU of the terms, its plans built where they are not there; raises EngineError.

    A plan that TensorRT refuses is built anew, once, where that is allowed. Without `graphs` every run is
    launched by itself.
    """
    where = f"{bundle.name}/{tower} on TensorRT, {precision}"
    devices = _devices(terms)
    why = _too_old(precision, devices)
    if why is not None:
        remedy = "Set engine.precision to auto, or engine.devices to GPUs that can"
        raise EngineError("A graph cannot be built", where=where, why=why, remedy=remedy)
    store = store or PlanStore(terms.plans, log.warning)
    loaded = api.load()

    def session(fresh: bool) -> TensorRTSession:
        plans: dict[int, Plans] = {}
        models: set[str] = set()  # GPUs of one model share their plans
        for device in devices:
            anew = fresh and device.name not in models
            plans[device.index] = built(bundle, tower, precision, terms, device, store, fresh=anew)
            models.add(device.name)
        return TensorRTSession(loaded, plans, terms.gpu_memory, where, graphs=graphs)

    try:
        return session(fresh=False)
    except PlanRefused as error:
        if not terms.build:
            raise
        log.warning("a plan is built anew: %s", error)
        return session(fresh=True)


def _devices(terms: Terms) -> list[Device]:
    found = {device.index: device for device in cuda.devices()}
    for index in terms.devices:
        cuda.activate(index)  # says what is wrong with a number that is none
    return [found[index] for index in dict.fromkeys(terms.devices)]


def _missing() -> str | None:
    reason = api.missing() or cuda.missing()
    if reason is not None:
        return reason
    try:
        cuda.devices()
    except NoDevice as error:
        return error.why or error.what
    except EngineError as error:
        return str(error)
    return None


def _broken() -> bool:
    """Whether TensorRT is installed and the driver shows a GPU, but CUDA finds none: unless it is hidden."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1") or not any(NODES.glob("nvidia[0-9]*")):
        return False
    if api.missing() or cuda.missing():
        return False
    try:
        cuda.devices()
    except EngineError:
        return True
    return False


def _native() -> tuple[str, ...]:
    devices = cuda.devices()
    return ("fp32", *(precision for precision in CASTABLE if _too_old(precision, devices) is None))


def _lacks(precision: str, devices: Sequence[int] | None = None) -> str | None:
    return _too_old(precision, (each for each in cuda.devices() if devices is None or each.index in devices))


def _too_old(precision: str, devices: Iterable[Device]) -> str | None:
    """Why one of these cannot compute at a precision; None where all can."""
    needed = _NEEDED.get(precision, (0, 0))
    for device in devices:
        if device.capability < needed:
            wanted, own = (".".join(map(str, each)) for each in (needed, device.capability))
            told = f"it needs compute capability {wanted}, {device.name} has {own}"
            return f"not supported on this device: {told}"
    return None


BACKEND = Backend(
    name="tensorrt",
    missing=_missing,
    native=_native,
    describe=api.describe,
    open=opened,
    on_gpu=lambda: True,
    lacks=_lacks,
    kept=lambda folder: PlanStore(folder, log.warning).digests(),
    broken=_broken,
)
