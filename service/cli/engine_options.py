"""What the engine verbs share: their settings, which engines are meant, and errors with their exit codes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.cli.console import Command, say
from service.errors import UnreachableError

if TYPE_CHECKING:
    from engines.bundle import Bundle
    from engines.tensorrt.store import PlanStore
    from service.config import EngineSettings

REMEDY = "See `tidegate doctor` for the GPU, and `tidegate engine list` for what can run here"

TOWERS = ("text", "image", "audio", "head")
PRECISIONS = ("fp32", "bf16", "fp16", "fp8", "int8")


def precision_option(command: Command) -> Command:
    """`--precision`, repeatable."""
    return click.option(
        "--precision", "precisions", multiple=True, type=click.Choice(PRECISIONS),
        help="Repeatable. [default: those that can run here]",
    )(command)  # fmt: skip


def backend_option(command: Command) -> Command:
    """`--backend`."""
    return click.option(
        "--backend", default="auto", show_default=True, metavar="NAME",
        type=click.Choice(["auto", "tensorrt", "torch", "onnxruntime", "openvino"]),
        help="auto: the first for GPUs that can run here, else what is fastest on the processor.",
    )(command)  # fmt: skip


def device_option(command: Command) -> Command:
    """`--device`, repeatable."""
    return click.option(
        "--device", "devices", multiple=True, type=click.IntRange(min=0), metavar="N",
        help="A GPU's number; repeatable. [default: engine.devices]",
    )(command)  # fmt: skip


def settings_of(
    config: Path | None, overrides: tuple[str, ...], devices: tuple[int, ...] = (), **changes: Any
) -> EngineSettings:
    """The configuration's engine section, with what the verb's own options say; raises ConfigError."""
    from service.load import load

    told = {name: value for name, value in changes.items() if value is not None}
    if devices:
        told["devices"] = list(devices)
    return load(config, overrides).engine.model_copy(update=told)


def pairs_of(
    bundle: Bundle, backend: str, precisions: tuple[str, ...], settings: EngineSettings
) -> list[tuple[str, str]]:
    """The (backend, precision) pairs meant, without those that the GPUs cannot compute at, which is said;
    raises UnreachableError where the backend cannot run here, or a precision that was asked for.
    """
    from engines.sessions.choose import AUTO, BACKENDS, GPU

    names = [backend] if backend != "auto" else [*GPU, *AUTO]
    absent = {name: why for name in names if (why := BACKENDS[name].missing()) is not None}
    here = [name for name in names if name not in absent]
    gpu = [name for name in here if BACKENDS[name].on_gpu()]
    if not here:
        raise unreachable(absent)
    if backend == "auto":
        here = gpu[:1] or here
    devices = None if settings.devices == "all" else settings.devices
    found, lacking = [], dict[str, str]()
    for name in here:
        own = set.union(*(set(graphs) for graphs in bundle.manifest["graphs"].values()))
        reads, native = BACKENDS[name].reads, BACKENDS[name].native()
        able = [p for p in PRECISIONS if (p in own and p in reads) or p in native]
        wanted = {p: BACKENDS[name].lacks(p, devices) for p in precisions or able}
        lacking |= {f"{name} {p}": why for p, why in wanted.items() if why is not None}
        found += [(name, p) for p, why in wanted.items() if why is None]
    if lacking and (precisions or not found):
        raise unreachable(lacking)
    for name, why in lacking.items():
        say(f"{name} is left out: {why}")
    return found


def unreachable(absent: Mapping[str, str]) -> UnreachableError:
    """The error for backends that cannot run here, each with its reason."""
    told = "; ".join(f"{name}: {why}" for name, why in absent.items())
    return UnreachableError("No such engine can run on this machine", why=told, remedy=REMEDY)


def needs_gpu(backend: str = "tensorrt") -> None:
    """Refuse where a backend for GPUs cannot run; raises UnreachableError."""
    from engines.sessions.choose import BACKENDS

    why = BACKENDS[backend].missing()
    if why is not None:
        raise unreachable({backend: why})


@contextmanager
def reaching() -> Iterator[None]:
    """A GPU that is not there, or goes, is something outside that is not reachable."""
    from engines.errors import DeviceLost, NoDevice

    try:
        yield
    except (NoDevice, DeviceLost) as error:
        raise UnreachableError(
            error.what, where=error.where, why=error.why, remedy=error.remedy or REMEDY
        ) from error


def store_of(settings: EngineSettings) -> PlanStore:
    """Where the plans lie."""
    from engines.tensorrt.store import PlanStore

    return PlanStore(settings.plans, say=say)


def size(count: float) -> str:
    """Bytes in megabytes."""
    return f"{count / 1e6:,.1f} MB"


def span(seconds: float) -> str:
    """An age in the largest unit that it fills."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
