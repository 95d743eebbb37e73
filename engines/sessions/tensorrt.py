"""Graphs on TensorRT; importable without it."""

from __future__ import annotations

import logging
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

_BF16: Final = (8, 0)
"""The compute capability from which on a GPU computes in bf16."""


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


def _native() -> tuple[str, ...]:
    able = all(device.capability >= _BF16 for device in cuda.devices())
    return ("fp32", *(precision for precision in CASTABLE if able or precision != "bf16"))


BACKEND = Backend(
    name="tensorrt",
    missing=_missing,
    native=_native,
    describe=api.describe,
    open=opened,
    on_gpu=lambda: True,
)
