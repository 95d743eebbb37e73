"""GPU backends made of ONNX Runtime, which fail when told to: what the ladder and failover do is real."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from engines.batch import Float32
from engines.bundle import Bundle
from engines.errors import DeviceLost, EngineError, OutOfMemory
from engines.sessions import onnxruntime
from engines.sessions.base import Arrays, Backend, Session, Terms

KINDS: Mapping[str, type[EngineError]] = {
    "device_lost": DeviceLost,
    "out_of_memory": OutOfMemory,
    "failed": EngineError,
}


@dataclass
class Trouble:
    """What is wrong with an engine, by its name ("tensorrt fp16"), its backend's, or `gpu` for all."""

    known: dict[str, str] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)

    def meet(self, backend: str, precision: str) -> None:
        """Fail as told."""
        for name in (f"{backend} {precision}", backend, "gpu"):
            if kind := self.known.get(name):
                raise KINDS[kind]("the GPU stumbled", why=kind, remedy="Look at it")


class _Session:
    def __init__(self, inner: Session, trouble: Trouble, backend: str, precision: str) -> None:
        self._inner, self._trouble, self._name = inner, trouble, (backend, precision)

    def run(self, inputs: Arrays) -> dict[str, Float32]:
        self._trouble.meet(*self._name)
        return self._inner.run(inputs)

    def close(self) -> None:
        self._inner.close()

    @property
    def memory(self) -> dict[int, int]:
        return {0: 1000}


def backend(name: str, trouble: Trouble, precisions: tuple[str, ...] = ("fp16", "fp32")) -> Backend:
    """A backend of that name."""

    def opened(bundle: Bundle, tower: str, precision: str, terms: Terms) -> Session:
        if tower == "text":
            trouble.opened.append(f"{name} {precision}")
        trouble.meet(name, precision)
        if terms.progress:
            terms.progress(f"{tower} {precision}", 1.0)
        inner = onnxruntime.BACKEND.open(bundle, tower, "fp32", Terms(budget=terms.budget))
        return _Session(inner, trouble, name, precision)

    return Backend(
        name=name,
        missing=lambda: None,
        native=lambda: precisions,
        describe=lambda: f"a GPU made of paper, for {name}",
        open=opened,
        on_gpu=lambda: True,
    )
