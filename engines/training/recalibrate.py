"""Calibrate a bundle again, on other labelled events: same graphs, new probabilities, new digest."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from engines.bundle import MANIFEST, Bundle, write_bundle
from engines.engine import open_engine
from engines.errors import EngineError
from engines.training.calibrate import calibrate
from engines.training.dataset import Dataset
from engines.training.inputs import decode
from engines.training.taxonomy import NAMES


def recalibrate(source: str | Path, data: Dataset, out: Path) -> Bundle:
    """Write a bundle like ``source`` with its fp32 calibration fitted on ``data``; raises EngineError."""
    bundle = Bundle.load(source)
    if bundle.labels.names != NAMES:
        raise EngineError(
            "This bundle cannot be calibrated on these events", where=bundle.name, why="its labels differ"
        )
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "bundle"
        shutil.copytree(bundle.folder, draft)
        (draft / MANIFEST).unlink()
        engine = open_engine(bundle, "onnxruntime", "fp32", contributions=False)
        calibrate(engine, data, decode(data, bundle.preprocess), draft)
        engine.close()
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
    return Bundle.load(out)
