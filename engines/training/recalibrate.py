"""Calibrate a bundle again, on other labelled events: same graphs, new probabilities, new digest."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from engines.bundle import MANIFEST, Bundle, write_bundle
from engines.sessions.choose import HOST_PRECISIONS
from engines.training.calibrate import Outcome, calibrate
from engines.training.dataset import Dataset
from engines.training.inputs import decode
from engines.training.thresholds import Goals


def recalibrate(
    source: str | Path,
    data: Dataset,
    out: Path,
    *,
    goals: Goals | None = None,
    strict: bool = True,
    precisions: Sequence[str] = HOST_PRECISIONS,
    threads: int = 0,
) -> tuple[Bundle, Outcome]:
    """Write a bundle like ``source`` to ``out``, its calibration fitted on ``data``; raises EngineError.

    The card of ``source`` is left behind: `evaluate` writes a new one, with the figures of the new fit.
    """
    bundle = Bundle.load(source)
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "bundle"
        shutil.copytree(bundle.folder, draft)
        (draft / MANIFEST).unlink()
        for card in draft.glob("MODEL_CARD.*"):
            card.unlink()  # its figures are those of the old probabilities
        inputs = decode(data, bundle.preprocess)
        outcome = calibrate(
            bundle, data, inputs, draft, goals=goals, strict=strict, precisions=precisions, threads=threads
        )
        manifest = bundle.manifest
        write_bundle(
            draft,
            name=bundle.name,
            version=bundle.version,
            synthetic=bundle.synthetic,
            width=bundle.width,
            tokens=manifest["tokens"],
            graphs=manifest["graphs"],
            licence=manifest["licence"],
            provenance={**manifest["provenance"], "calibrated": f"anew, from {bundle.digest}"},
        )
        shutil.copytree(draft, out)
    return Bundle.load(out), outcome
