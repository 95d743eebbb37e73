"""A bundle's graphs at another precision, compared with those at fp32.

fp16 computes in half precision, but for normalisation, softmax and reductions, whose sums need the range;
inputs and outputs stay as they are. bf16 halves the weights on disk and leaves computing to the backend, as
few of them have bfloat16 kernels on a CPU.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engines import calibration, golden
from engines.batch import MODALITIES
from engines.bundle import GRAPHS, MANIFEST, Bundle, write_bundle
from engines.calibration import Calibration
from engines.engine import FusedEngine
from engines.errors import EngineError
from engines.sessions.choose import EngineChoice
from engines.training.watch import Watch

KEPT: Final = (
    "LayerNormalization", "Softmax", "ReduceMean", "ReduceSum", "ReduceMax", "Exp", "Log", "Pow", "Sqrt",
    "DFT", "STFT", "CumSum", "Where", "Range",
)  # fmt: skip
"""Operators that stay in fp32: sums of squares and masks of -1e4 leave the range of half precision."""
_SMALL: Final = 256


@dataclass(frozen=True, slots=True)
class Compared:
    """``sizes``: (graph, bytes before, bytes after); ``error`` of a logit on the golden vectors, relative to
    1 + its size.
    """

    sizes: tuple[tuple[str, int, int], ...]
    error: float


def recast(
    source: str | Path, precision: str, out: Path, watch: Watch | None = None
) -> tuple[Bundle, Compared]:
    """Write a bundle like ``source`` to ``out`` with graphs of another precision beside those at fp32.

    Raises EngineError where a graph cannot be cast, or gives other answers afterwards.
    """
    bundle, watch = Bundle.load(source), watch or Watch()
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "bundle"
        shutil.copytree(bundle.folder, draft)
        (draft / MANIFEST).unlink()
        graphs = {name: dict(files) for name, files in bundle.manifest["graphs"].items()}
        sizes = []
        for name in watch.over(GRAPHS, f"casting to {precision}", len(GRAPHS)):
            model = onnx.load_from_string(bundle.read(bundle.graph_name(name)))
            path = draft / f"{name}.{precision}.onnx"
            if precision == "fp32":
                path = draft / bundle.graph_name(name)
            onnx.save_model(cast(model, precision, name), path, save_as_external_data=False)
            graphs[name][precision] = path.name
            sizes.append((name, bundle.graph(name).stat().st_size, path.stat().st_size))
        made = _sealed(draft, bundle, graphs, precision)
        error = _error(made, precision)
        shutil.copytree(draft, out)
    return Bundle.load(out), Compared(tuple(sizes), error)


def cast(model: onnx.ModelProto, precision: str, name: str = "graph") -> onnx.ModelProto:
    """The graph at ``precision``: fp32 (as it is), fp16 or bf16; inputs and outputs keep their types."""
    if precision == "fp32":
        return model
    if precision == "bf16":
        return _stored(model)
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

    try:
        made: onnx.ModelProto = convert_float_to_float16(
            model, keep_io_types=True, op_block_list=[*DEFAULT_OP_BLOCK_LIST, *KEPT],
            min_positive_val=1e-7, max_finite_val=6e4,
        )  # fmt: skip
    except Exception as error:  # what a foreign graph makes the converter raise is the converter's choice
        raise EngineError(f"The {name} graph cannot be cast to fp16", why=str(error)[:200]) from error
    return made


def _stored(model: onnx.ModelProto) -> onnx.ModelProto:
    """Weights as bfloat16, each behind a cast back."""
    graph = model.graph
    casts = []
    for weight in list(graph.initializer):
        if weight.data_type != TensorProto.FLOAT or int(np.prod(weight.dims)) < _SMALL:
            continue
        bits = numpy_helper.to_array(weight).view(np.uint32)
        rounded = ((bits.astype(np.uint64) + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
        own = f"{weight.name}.bf16"
        packed = helper.make_tensor(own, TensorProto.BFLOAT16, weight.dims, rounded.tobytes(), raw=True)
        casts.append(helper.make_node("Cast", [own], [weight.name], to=TensorProto.FLOAT))
        graph.initializer.remove(weight)
        graph.initializer.append(packed)
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def _sealed(draft: Path, bundle: Bundle, graphs: dict[str, Any], precision: str) -> Bundle:
    """What was fitted for the old graphs of a precision says nothing of the new ones."""
    fits = dict(bundle.calibration)
    if precision != "fp32":
        base = fits.get("fp32") or Calibration.identity(len(bundle.labels))
        fits[precision] = replace(base, thresholds={}, fitted=None, calibrated=False)
    calibration.dump(draft / "calibration.json", fits)
    manifest = bundle.manifest
    return write_bundle(
        draft,
        name=bundle.name,
        version=bundle.version,
        synthetic=bundle.synthetic,
        width=bundle.width,
        tokens={name: int(manifest["tokens"][name]) for name in MODALITIES},
        graphs=graphs,
        licence=manifest["licence"],
        provenance={**manifest["provenance"], f"exported at {precision}": f"from {bundle.digest}"},
    )


def _error(bundle: Bundle, precision: str) -> float:
    engine = FusedEngine(
        bundle, EngineChoice("onnxruntime", precision), contributions=False, uncalibrated="warn"
    )
    try:
        error = engine.golden_error()
    finally:
        engine.close()
    limit = golden.bound(precision)
    if error is not None and error > limit:
        raise EngineError(
            f"The graphs give other answers at {precision}", where=bundle.name,
            why=f"a logit is off by {error:.2g}, more than {limit:.2g}", remedy="Use another precision",
        )  # fmt: skip
    return 0.0 if error is None else error
