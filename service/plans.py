"""Which plans of a bundle are there, before anything is opened that would build them."""

from __future__ import annotations

import hashlib
from typing import Final

from engines import cuda
from engines.bundle import GRAPHS, Bundle
from engines.device import Device
from engines.sessions.choose import GPU, on_gpu
from engines.tensorrt import api
from engines.tensorrt.store import PlanStore
from service.config import EngineSettings

BUILD: Final = "Build them: tidegate engine build {}"


def unbuilt(engine: EngineSettings, bundle: Bundle) -> bool:
    """Whether opening the engine would build plans first, which takes minutes; raises EngineError."""
    if engine.backend not in ("auto", *GPU):
        return False
    numbers = None if engine.devices == "all" else engine.devices
    pairs, _ = on_gpu(bundle, engine.backend, engine.precision, numbers)
    if not pairs or pairs[0][0] != "tensorrt":
        return False
    store, precision = PlanStore(engine.plans), pairs[0][1]
    used = [each for each in cuda.devices() if numbers is None or each.index in numbers]
    return any(planned(bundle, store, each).get(precision, set()) < set(GRAPHS) for each in used)


def planned(bundle: Bundle, store: PlanStore, device: Device) -> dict[str, set[str]]:
    """By precision, the towers of a bundle that have plans for a device and this TensorRT."""
    found: dict[str, set[str]] = {}
    release = api.load().version
    for entry in store.list():
        key = entry.key
        if key is None or key.tower not in GRAPHS:
            continue
        if (key.device, key.driver_major, key.tensorrt) != (device.name, device.driver, release):
            continue
        graph = bundle.read(bundle.graph_name(key.tower, key.precision))
        if hashlib.sha256(graph).hexdigest() == key.graph:
            found.setdefault(key.precision, set()).add(key.tower)
    return found
