"""The process that casts graphs: `python -m engines.precision.job FOLDER…`, for engines/precision/cast.py."""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto

from engines.precision.cast import FAILURE, GRAPH, PRECISION, QUANTISED, RESULT, SAMPLES
from engines.precision.folding import clamp_masks, fold_bytes, name_nodes, shield_casts, tidied
from engines.precision.policy import KEPT, LARGEST, attends, kept_nodes

OPSET: Final = {"bf16": 22, "fp16": 20, "fp8": 21, "int8": 21}
"""The first opset whose operators take these types, or the one that ours are exported at."""
QUANTISABLE: Final = ("MatMul", "Gemm", "Conv")


def main(folders: Sequence[Path]) -> int:
    """Write each result, or what went wrong, into its folder; gives the exit code."""
    for folder in folders:
        try:
            model = made(folder, (folder / PRECISION).read_text("utf-8"))
            onnx.save_model(model, folder / RESULT, save_as_external_data=False)
        except Exception as error:  # noqa: BLE001 - what a converter raises of a graph is its own choice
            (folder / FAILURE).write_text(f"{type(error).__name__}: {error}", encoding="utf-8")
            return 1
    return 0


def made(folder: Path, precision: str) -> ModelProto:
    """The folder's graph at ``precision``."""
    model = onnx.load(folder / GRAPH)
    name_nodes(model)
    fold_bytes(model)
    clamp_masks(model)
    if precision == "fp8" and not attends(model):
        precision = "fp16"
    kept = kept_nodes(model, precision)
    if precision in QUANTISED:
        return tidied(_quantised(model, kept, precision, folder))
    shield_casts(model, kept)
    return tidied(_cast(model, kept, precision, folder))


def _cast(model: ModelProto, kept: set[str], precision: str, folder: Path) -> ModelProto:
    from modelopt.onnx.autocast import convert_to_mixed_precision

    path, samples = _saved(model, folder), folder / SAMPLES
    measured = precision == "fp16" and any(samples.iterdir())
    done: ModelProto = convert_to_mixed_precision(
        str(path),
        low_precision_type=precision,
        op_types_to_exclude=list(KEPT),
        nodes_to_exclude=_named(kept),
        data_max=LARGEST if measured else np.inf,
        calibration_data=str(samples) if measured else None,
        keep_io_types=True,
        opset=max(OPSET[precision], model.opset_import[0].version),
    )
    return done


def _quantised(model: ModelProto, kept: set[str], precision: str, folder: Path) -> ModelProto:
    """Explicit Q/DQ with fixed scales: per channel for weights, per tensor for activations.

    The converter keeps whole kinds of operators at FP32, but no single nodes: where there are such, all that
    is not quantised stays at FP32.
    """
    # Compiled at first import, only ever used for 4-bit weights.
    sys.modules.setdefault("cppimport", types.ModuleType("cppimport"))
    from modelopt.onnx.quantization import quantize

    result = folder / "quantised.onnx"
    quantize(
        str(_saved(model, folder)),
        quantize_mode=precision,
        calibration_data_reader=_Reader(folder / SAMPLES),
        calibration_method="max",
        calibration_eps=["cpu"],
        op_types_to_quantize=list(QUANTISABLE),
        nodes_to_exclude=_named(kept),
        disable_mha_qdq=precision == "int8",
        op_types_to_exclude_fp16=list(KEPT),
        high_precision_dtype="fp32" if kept else "fp16",
        opset=max(OPSET[precision], model.opset_import[0].version),
        output_path=str(result),
        log_level="ERROR",
    )
    return onnx.load(result)


def _saved(model: ModelProto, folder: Path) -> Path:
    path = folder / "prepared.onnx"
    onnx.save_model(model, path, save_as_external_data=False)
    return path


def _named(names: set[str]) -> list[str]:
    """Patterns that match these names alone."""
    return [f"{re.escape(name)}$" for name in sorted(names)]


class _Reader:
    """The samples in the way that ONNX Runtime's calibration reads them."""

    def __init__(self, folder: Path) -> None:
        self._paths = sorted(folder.iterdir())
        self.rewind()

    def rewind(self) -> None:
        """From the first again."""
        self._left: Iterator[Path] = iter(self._paths)

    def get_first(self) -> dict[str, NDArray[Any]]:
        """The first, without counting it."""
        return dict(np.load(self._paths[0], allow_pickle=False))

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """The next; None after the last."""
        path = next(self._left, None)
        return None if path is None else dict(np.load(path, allow_pickle=False))


if __name__ == "__main__":
    sys.exit(main([Path(name) for name in sys.argv[1:]]))
