"""Graphs on OpenVINO's CPU plugin; importable without OpenVINO."""

from __future__ import annotations

import io
from functools import cache
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from queue import SimpleQueue
from typing import Any, Final

import numpy as np

from engines.batch import Float32
from engines.bundle import Bundle
from engines.errors import EngineError
from engines.sessions.base import Arrays, Backend, Terms

_HINTS: Final = {"fp32": "f32", "bf16": "bf16"}
_CAPABILITIES: Final = {"fp32": "FP32", "bf16": "BF16"}


class OpenVinoSession:
    """One graph, compiled from verified bytes at fp32, at a precision that is never left to the plugin."""

    def __init__(self, bundle: Bundle, tower: str, precision: str, terms: Terms) -> None:
        self._where = f"{bundle.name}/{tower} on OpenVINO"
        # The plugin takes bf16 by itself where it can; the head stays exact, it carries the calibration.
        hint = "f32" if tower == "head" else _HINTS[precision]
        settings = {
            "INFERENCE_PRECISION_HINT": hint,
            "PERFORMANCE_HINT": "LATENCY" if terms.lanes == 1 else "THROUGHPUT",
            "NUM_STREAMS": terms.lanes,
            "INFERENCE_NUM_THREADS": terms.threads,
            "CPU_RUNTIME_CACHE_CAPACITY": 64,  # compiled primitives by shape: most shapes never come back
        }
        try:
            core = _core()
            model = core.read_model(io.BytesIO(bundle.read(bundle.graph_name(tower))))
            self._compiled: Any = core.compile_model(model, "CPU", settings)
            self._requests: SimpleQueue[Any] = SimpleQueue()
            for _ in range(terms.lanes):
                self._requests.put(self._compiled.create_infer_request())
        except (RuntimeError, ValueError, TypeError) as error:
            raise EngineError("A graph cannot be loaded", where=self._where, why=str(error)[:500]) from error
        self._outputs = [port.get_any_name() for port in self._compiled.outputs]

    def run(self, inputs: Arrays) -> dict[str, Float32]:
        """Outputs by name, copied out of the plugin's memory; raises EngineError."""
        request = self._requests.get()
        try:
            result = request.infer(dict(inputs), share_inputs=True, share_outputs=True)
            return {name: np.array(result[k], np.float32) for k, name in enumerate(self._outputs)}
        except (RuntimeError, ValueError, TypeError) as error:
            raise EngineError("A graph failed", where=self._where, why=str(error)[:500]) from error
        finally:
            self._requests.put(request)

    def close(self) -> None:
        """Give the memory back."""
        while not self._requests.empty():
            self._requests.get()
        self._compiled = None


@cache
def _core() -> Any:
    return import_module("openvino").Core()


def _missing() -> str | None:
    if find_spec("openvino") is None:
        return "the package openvino is not installed"
    try:
        _core()
    except (ImportError, RuntimeError, OSError) as error:
        return f"openvino does not start: {error}"
    return None


def _native() -> tuple[str, ...]:
    able = _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return tuple(precision for precision, name in _CAPABILITIES.items() if name in able)


def _describe() -> str:
    return f"OpenVINO {version('openvino')} CPU"


BACKEND = Backend(
    name="openvino",
    missing=_missing,
    native=_native,
    describe=_describe,
    open=OpenVinoSession,
    reads=("fp32",),
)
