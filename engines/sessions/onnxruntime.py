"""Graphs on ONNX Runtime's CPU provider."""

from __future__ import annotations

from typing import Any

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as native

from engines.batch import Float32
from engines.bundle import Bundle
from engines.errors import EngineError
from engines.sessions.base import Arrays, Backend, Terms

_ERRORS = (
    native.Fail, native.InvalidArgument, native.RuntimeException, native.NotImplemented, native.InvalidGraph,
    native.InvalidProtobuf, native.NoModel, native.EPFail, RuntimeError, ValueError, MemoryError,
)  # fmt: skip


class OnnxRuntimeSession:
    """One graph, loaded from verified bytes."""

    def __init__(self, bundle: Bundle, tower: str, precision: str, terms: Terms) -> None:
        self._where = f"{bundle.name}/{tower} on ONNX Runtime"
        try:
            self._session: Any = ort.InferenceSession(
                bundle.read(bundle.graph_name(tower, precision)),
                sess_options=_options(max(1, terms.threads // terms.lanes)),
                providers=["CPUExecutionProvider"],
            )
        except _ERRORS as error:
            raise EngineError("A graph cannot be loaded", where=self._where, why=str(error)[:500]) from error
        self._outputs = [output.name for output in self._session.get_outputs()]

    def run(self, inputs: Arrays) -> dict[str, Float32]:
        """Outputs by name; raises EngineError."""
        try:
            return dict(zip(self._outputs, self._session.run(None, dict(inputs)), strict=True))
        except _ERRORS as error:
            raise EngineError("A graph failed", where=self._where, why=str(error)[:500]) from error

    def close(self) -> None:
        """Give the memory back."""
        self._session = None


def _options(threads: int) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    # A daemon waits most of its time: spinning threads would burn the cores that prepare the next cycle.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # It plans for shapes that come back; here nearly every batch has its own, and plans would pile up.
    options.enable_mem_pattern = False
    # The arena only grows, but no further than the largest micro-batch, and those have budgets.
    options.enable_cpu_mem_arena = True
    options.log_severity_level = 3
    return options


def _describe() -> str:
    return f"ONNX Runtime {ort.__version__} CPU"


BACKEND = Backend(
    name="onnxruntime",
    missing=lambda: None,
    native=lambda: ("fp32",),
    describe=_describe,
    open=OnnxRuntimeSession,
    reads=("fp32", "fp16", "int8"),  # few of its operators have kernels for bfloat16
)
