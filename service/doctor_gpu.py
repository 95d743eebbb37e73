"""Doctor's look at GPUs: driver, devices, libraries, plans. One quiet line where none is meant or there."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from engines import cuda
from engines.bundle import GRAPHS, Bundle
from engines.device import Device
from engines.errors import EngineError
from engines.sessions.choose import BACKENDS, GPU, on_gpu
from engines.tensorrt import api
from engines.tensorrt.store import PlanStore
from service.config import EngineSettings, Settings
from service.diagnosis import Result, State, of_error
from service.errors import Exit
from service.plans import BUILD, planned

NAME: Final = "gpu"
DRIVER: Final = Path("/proc/driver/nvidia/version")
GIB: Final = 1 << 30
DEVICES: Final = "Set engine.devices to numbers that are listed here"


def gpu(settings: Settings) -> Iterator[Result]:
    """The GPU section; raises EngineError or ConfigError for what the engine's own check tells as well."""
    engine = settings.engine
    if engine.backend not in ("auto", *GPU):
        yield Result(NAME, "PASS", f"not asked for: engine.backend is {engine.backend}")
        return
    try:
        found = cuda.devices()
    except EngineError as error:
        yield _absent(engine, error)
        return
    yield from _devices(engine, found)
    refusal = refused()
    yield from _libraries(engine, refusal)
    used = [each for each in found if engine.devices == "all" or each.index in engine.devices]
    if engine.backend != "torch" and refusal is None:
        bundle = Bundle.load(settings.bundle)
        for device in {each.name: each for each in used}.values():  # those of one model share their plans
            yield _plans(engine, bundle, device)


def refused() -> EngineError | None:
    """Why TensorRT does not start here, None where it does: it may be too new for the driver, say."""
    try:
        api.load().runtime()
    except EngineError as error:
        return error
    return None


def _absent(engine: EngineSettings, error: EngineError) -> Result:
    broken = BACKENDS["tensorrt"].broken()  # then `auto` means it, too
    if engine.backend in GPU or (broken and not engine.cpu_fallback):
        return of_error(NAME, error)
    if broken or DRIVER.exists():  # somebody meant it to be used
        return of_error(NAME, error, "WARN")
    return Result(NAME, "PASS", "none here: the processor runs the bundle")


def _devices(engine: EngineSettings, found: list[Device]) -> Iterator[Result]:
    for device in found:
        if engine.devices == "all" or device.index in engine.devices:
            yield _device(engine, device)
    there = {device.index for device in found}
    if engine.devices != "all" and (lacking := sorted(set(engine.devices) - there)):
        listed = ", ".join(f"{each.index} ({each.name})" for each in found)
        detail = f"engine.devices names {', '.join(map(str, lacking))}; there are {listed}"
        yield Result(NAME, "FAIL", detail, DEVICES, Exit.CONFIG)


def _device(engine: EngineSettings, device: Device) -> Result:
    major, minor = device.capability
    told = f"{device.index}: {device.name}, compute capability {major}.{minor}, driver {device.driver}"
    try:
        free, total = cuda.memory(device.index)
    except EngineError as error:
        return of_error(NAME, error)
    told += f", {free / GIB:.1f} of {total / GIB:.1f} GiB free"
    if free < engine.gpu_memory * total:
        return Result(NAME, "WARN", told, "End what else holds its memory, or lower engine.gpu_memory")
    return Result(NAME, "PASS", told)


def _libraries(engine: EngineSettings, refusal: EngineError | None) -> Iterator[Result]:
    bindings = f"cuda-bindings {_version('cuda-bindings')}"
    torch, torch_works = _torch()
    if refusal is None:
        detail = f"TensorRT {api.load().version} starts, library and bindings of one version, {bindings}"
        yield Result("tensorrt", "PASS", detail)
    elif engine.backend == "tensorrt":
        yield of_error("tensorrt", refusal)
    else:
        installed = api.missing() is None  # somebody meant it to be used
        needed = engine.backend == "auto" and (installed or not torch_works)
        yield of_error("tensorrt", refusal, _state(not needed))
    if engine.backend == "torch" and not torch_works:
        remedy = "Install a torch that is built for CUDA, or set engine.backend to tensorrt"
        yield Result("torch", "FAIL", torch, remedy, Exit.CONFIG)
    else:
        yield Result("torch", "PASS", torch)


def _state(good: bool) -> State:
    return "PASS" if good else "WARN"


def _torch() -> tuple[str, bool]:
    """What there is of torch, and whether it computes on a GPU."""
    torch = BACKENDS["torch"]
    why = torch.missing()
    return (torch.describe(), True) if why is None else (f"cannot take over: {why}", False)


def _plans(engine: EngineSettings, bundle: Bundle, device: Device) -> Result:
    store = PlanStore(engine.plans)
    if problem := store.problem():
        return Result("plans", "WARN", problem, "Set engine.plans to a folder that only you can read")
    there = planned(bundle, store, device)
    pairs, reasons = on_gpu(bundle, "tensorrt", engine.precision, (device.index,))
    whole = [p for _, p in pairs if there.get(p, set()) >= set(GRAPHS)]
    where = f"{bundle.name} on {device.name}"
    if not pairs:
        told = "; ".join(f"{name}: {why}" for name, why in reasons.items())
        return Result("plans", "WARN", f"{where}: none can be built: {told}", "Set engine.precision to auto")
    if whole:
        return Result("plans", "PASS", f"{where}: built at {', '.join(whole)}")
    remedy = BUILD.format(bundle.name)
    if not engine.build:
        detail = f"{where}: none, and engine.build is false: TensorRT is passed over"
        return Result("plans", "WARN", detail, remedy)
    detail = f"{where}: to be built; `tidegate run` does so first, which takes minutes"
    return Result("plans", "WARN", detail, remedy)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "of unknown version"
