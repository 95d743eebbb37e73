"""A bundle's graphs at another precision, compared with those at fp32.

The head stays at fp32: it is small, and the probabilities that thresholds are compared with come out of it.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from engines import calibration, golden
from engines.batch import MODALITIES, Batch
from engines.bundle import GRAPHS, MANIFEST, Bundle, write_bundle
from engines.calibration import Calibration
from engines.errors import EngineError
from engines.precision.cast import QUANTISED, Wanted, cast_graphs
from engines.precision.compare import Compared as OfGraph
from engines.precision.compare import compare, golden_error, inputs_of
from engines.training.watch import Watch

Graphs = Mapping[str, bytes]
_BATCHES: Final = 16
_FINER: Final = {
    "bf16": "Use --precision fp16, which has eight times finer steps",
    **dict.fromkeys(QUANTISED, "Use --precision fp16"),
    **dict.fromkeys(("fp16", "fp32"), "Serve this bundle at fp32, which its graphs are in already"),
}


@dataclass(frozen=True, slots=True)
class Compared:
    """``sizes``: (graph, bytes before, bytes after); ``error`` of a logit on the golden vectors, relative to
    1 + its size, None where there are none; ``towers``: each tower's tokens on the same rows.
    """

    sizes: tuple[tuple[str, int, int], ...]
    error: float | None
    towers: Mapping[str, OfGraph]


def recast(
    source: str | Path, precision: str, out: Path, watch: Watch | None = None
) -> tuple[Bundle, Compared]:
    """Write a bundle like ``source`` to ``out`` with graphs of another precision beside those at fp32.

    Raises EngineError where a graph cannot be cast, or gives other answers afterwards.
    """
    bundle, watch = Bundle.load(source), watch or Watch()
    inputs = _inputs(bundle)
    old = {name: bundle.read(bundle.graph_name(name)) for name in GRAPHS}
    with watch.bar(f"Casting to {precision}", None):
        made = cast_graphs([Wanted(old[m], precision, m, inputs[m]) for m in MODALITIES])
    new = {m: graph for m, graph in zip(MODALITIES, made, strict=True) if graph != old[m]}
    towers = {m: compare(old[m], new[m], inputs[m]) for m in new}
    error = _error(bundle, precision, new)
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "bundle"
        _write(draft, bundle, precision, new)
        shutil.copytree(draft, out)
    sizes = tuple((name, len(old[name]), len(new.get(name, old[name]))) for name in GRAPHS)
    return Bundle.load(out), Compared(sizes, error, towers)


def _inputs(bundle: Bundle) -> dict[str, list[dict[str, Any]]]:
    """What ranges are measured on: the evaluation set, else the golden vectors; at most so many batches."""
    events: Batch | None = bundle.evaluation
    if events is None and bundle.golden is not None:
        events = golden.batch_of(bundle.golden, bundle.preprocess.text.channels)
    found = {name: [] for name in MODALITIES} if events is None else inputs_of(bundle, events)
    return {name: own[:: max(1, -(-len(own) // _BATCHES))] for name, own in found.items()}


def _write(draft: Path, bundle: Bundle, precision: str, graphs: Graphs) -> Bundle:
    """What was fitted for the old graphs of a precision says nothing of the new ones."""
    shutil.copytree(bundle.folder, draft)
    (draft / MANIFEST).unlink()
    files = {name: dict(own) for name, own in bundle.manifest["graphs"].items()}
    for name, graph in graphs.items():
        files[name][precision] = f"{name}.{precision}.onnx"
        (draft / files[name][precision]).write_bytes(graph)
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
        graphs=files,
        licence=manifest["licence"],
        provenance={**manifest["provenance"], f"exported at {precision}": f"from {bundle.digest}"},
    )


def _error(bundle: Bundle, precision: str, graphs: Graphs) -> float | None:
    """How far 8 bits may be off is judged by decisions, where an engine is verified; no NaN may come."""
    error = golden_error(bundle, graphs)
    limit = sys.float_info.max if precision in QUANTISED else golden.bound(precision)
    if error is not None and error > limit:
        raise EngineError(
            f"The graphs give other answers at {precision}", where=bundle.name,
            why=f"a logit is off by {error:.2g}, more than {limit:.2g}", remedy=_FINER[precision],
        )  # fmt: skip
    return error
