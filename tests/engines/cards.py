"""A GPU backend that computes on the processor and errs as it is told, for tests of the ladder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from engines.bundle import Bundle
from engines.engine import FusedEngine
from engines.errors import EngineError
from engines.ladder import Ladder
from engines.sessions import onnxruntime
from engines.sessions.base import Backend, Terms

Change = Callable[[dict[str, Any], int], dict[str, Any]]


def flips(outputs: dict[str, Any], rows: int) -> dict[str, Any]:
    """Wrong where rows are many: on the evaluation set, and not on the golden vectors."""
    return outputs | {"moderation": outputs["moderation"] + (3 if rows > 100 else 0)}


def breaks(outputs: dict[str, Any], rows: int) -> dict[str, Any]:
    return outputs | {"sentiment": outputs["sentiment"] * (np.nan if rows > 100 else 1)}


def shifts(outputs: dict[str, Any], rows: int) -> dict[str, Any]:
    return outputs | {"sentiment": outputs["sentiment"] + np.float32([1, 0, 0])}


@dataclass
class Card:
    """A GPU backend that computes on the processor, and errs as it is told."""

    name: str
    version: str = "1"
    why_not: str | None = None
    broken: bool = False
    native: Sequence[str] = ("fp32", "bf16", "fp16")
    heads: dict[str, Change] = field(default_factory=dict)
    errors: dict[str, EngineError] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)
    terms: Terms | None = None

    def backend(self) -> Backend:
        return Backend(
            self.name,
            missing=lambda: self.why_not,
            native=lambda: tuple(self.native),
            describe=lambda: f"{self.name} {self.version}",
            open=self.open,
            on_gpu=lambda: True,
            broken=lambda: self.broken,
        )

    def open(self, bundle: Bundle, tower: str, precision: str, terms: Terms) -> Any:
        if tower == "text":
            self.opened.append(precision)
        if precision in self.errors:
            raise self.errors[precision]
        if terms.progress is not None:
            terms.progress(f"building {tower}", 0.5)
        self.terms = terms
        session = onnxruntime.BACKEND.open(bundle, tower, "fp32", Terms())
        change = self.heads.get(precision) if tower == "head" else None
        return session if change is None else Changed(session, change)


class Changed:
    def __init__(self, session: Any, change: Change) -> None:
        self._session, self._change = session, change

    def run(self, inputs: Any) -> dict[str, Any]:
        return self._change(self._session.run(inputs), len(inputs["presence"]))

    def close(self) -> None:
        self._session.close()


def opened(ladder: Ladder) -> FusedEngine:
    engine = ladder.open()
    engine.close()
    return engine


def names(ladder: Ladder) -> list[str]:
    return [rung.name for rung in ladder.rungs()]


def steps(ladder: Ladder) -> list[tuple[str, str]]:
    return [(step.name, step.code) for step in ladder.steps]


def by(size: float) -> Change:
    """Logits that are off, by so much, and decide alike."""
    return lambda outputs, rows: outputs | {"sentiment": outputs["sentiment"] + np.float32(size)}


def quantised(bundle: Bundle) -> Bundle:
    graphs = bundle.manifest["graphs"] | {"text": {"fp32": "text.onnx", "fp8": "text.onnx"}}
    return replace(bundle, manifest={**bundle.manifest, "graphs": graphs})


def replacement(ladder: Ladder, failed: FusedEngine, error: EngineError) -> FusedEngine | None:
    """The first below a failed engine that opens, as the daemon takes it."""
    for rung in ladder.below(failed.info, error):
        with suppress(EngineError):
            return rung.open()
    return None
