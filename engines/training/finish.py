"""From finished networks to a sealed bundle: export, calibrate, record golden vectors, measure, seal."""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: no-warn-return-any

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from torch import nn

from engines import calibration
from engines.batch import MODALITIES, Batch
from engines.bundle import GRAPHS, Bundle, write_bundle
from engines.calibration import Calibration
from engines.engine import FusedEngine, open_engine
from engines.export import export
from engines.golden import write_golden
from engines.labels import Labels
from engines.preprocess.spec import Preprocess
from engines.training.calibrate import calibrate
from engines.training.card import About, SourceFact, write_card
from engines.training.dataset import Dataset, Events
from engines.training.evaluate import evaluate
from engines.training.inputs import Inputs, example
from engines.training.telling import write_telling
from engines.training.watch import Watch
from engines.training.work import Work, key

MEASURED: Final = ("test", "ood")
"""The splits that the card tells of."""
_SHORT: Final = 3
"""Rows of each presence pattern among the golden vectors, at most."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What bundle.json says of a bundle besides its files."""

    name: str
    version: str
    width: int
    tokens: tuple[int, int, int]
    licence: str
    synthetic: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    graphs: Mapping[str, Mapping[str, str]] = field(
        default_factory=lambda: {name: {"fp32": f"{name}.onnx"} for name in GRAPHS}
    )


def seal(folder: Path, facts: Facts) -> Bundle:
    """Write bundle.json over whatever the folder holds."""
    return write_bundle(
        folder,
        name=facts.name,
        version=facts.version,
        synthetic=facts.synthetic,
        width=facts.width,
        tokens=dict(zip(MODALITIES, facts.tokens, strict=True)),
        graphs=facts.graphs,
        licence=facts.licence,
        provenance=facts.provenance,
    )


def export_all(
    folder: Path,
    nets: Sequence[tuple[nn.Module, str]],
    labels: Labels,
    preprocess: Preprocess,
    kept: Work,
    watch: Watch,
) -> None:
    """The four graphs, labels, preprocessing and an identity calibration; ``nets`` are the towers and the
    head with the key of each, under which its graph is kept.
    """
    folder.mkdir(parents=True)
    with watch.bar("exporting", len(nets)) as advance:
        for name, (net, told) in zip(GRAPHS, nets, strict=True):
            path = kept.folder / f"{name}-{key('graph', name, told)[:20]}.onnx"
            if not path.exists():
                draft = path.with_suffix(".part")
                draft.parent.mkdir(parents=True, exist_ok=True)
                export(name, net, draft)  # type: ignore[arg-type]
                draft.replace(path)
            shutil.copyfile(path, folder / f"{name}.onnx")
            advance(1)
    labels.dump(folder / "labels.yaml")
    (folder / "preprocess.json").write_text(preprocess.to_json(), encoding="utf-8")
    for name, content in zip(preprocess.text.files, preprocess.text.contents, strict=True):
        (folder / name).write_bytes(content)
    calibration.dump(folder / "calibration.json", {"fp32": Calibration.identity(len(labels))})
    watch("exported")


def calibrate_all(folder: Path, data: Dataset, inputs: Inputs, facts: Facts, watch: Watch) -> Bundle:
    """Record golden vectors and the evaluation set, fit calibration.json with the engines that serve, and
    seal.
    """
    bundle = seal(folder, facts)
    engine = open_engine(bundle, "onnxruntime", "fp32", contributions=False)
    try:
        golden_of(engine, inputs, data.events, folder)
    finally:
        engine.close()
    held = write_telling(folder, inputs, data.events, bundle.preprocess.text.channels)
    watch(f"{held} held-out events go with it" if held else "note: no event is held out to go with it")
    with watch.bar("calibrating", None):
        outcome = calibrate(seal(folder, facts), data, inputs, folder)
    for note in outcome.notes:
        watch(f"note: {note}")
    fitted = [precision for precision, each in outcome.fits.items() if each.calibrated]
    if fitted:
        watch(f"calibrated on held-out events at {', '.join(fitted)}")
    else:
        watch("note: too few events are held out to calibrate on: probabilities mean little")
    return seal(folder, facts)


def evaluate_all(folder: Path, data: Dataset, inputs: Inputs, facts: Facts, watch: Watch) -> Bundle:
    """Measure on the splits for it, write the card and seal; where no event is held out, the card is not."""
    if not any(len(data.events.of(split)) for split in MEASURED):
        watch("note: no event is in the split test or ood: there is no card")
        return seal(folder, facts)
    engine = open_engine(folder, "onnxruntime", "fp32", contributions=False)
    try:
        with watch.bar("measuring", None):
            report = evaluate(engine, data, MEASURED, inputs)
    finally:
        engine.close()
    write_card(folder, report, about(facts, data))
    watch("measured, card written")
    return seal(folder, facts)


def about(facts: Facts, data: Dataset) -> About:
    """What the card says besides figures."""
    rows = Counter(data.events.source.tolist())
    sources = [
        SourceFact(name or "unnamed", "as its owner says", "", rows=count) for name, count in rows.items()
    ]
    plain = {name: value for name, value in facts.provenance.items() if isinstance(value, str | int | float)}
    synthetic = dict.fromkeys(facts.synthetic, "generated by Tidegate, none of it real")
    return About(sources, {"data": described(data), **plain}, synthetic, licence=facts.licence)


def described(data: Dataset) -> str:
    """A data set in a line."""
    counts = ", ".join(f"{len(p)} {m} parts" for p, m in zip(data.parts, MODALITIES, strict=True))
    return f"{counts}, {len(data.events)} events of one to three modalities"


def golden_of(engine: FusedEngine, inputs: Inputs, events: Events, folder: Path) -> None:
    """Record a few events of each presence pattern, the ones with the shortest sounds."""
    sizes = np.array([len(row) for row in inputs[2]] + [0])[events.rows[:, 2]]
    order = np.argsort(sizes, kind="stable")
    presence = events.presence[order]
    picked = np.concatenate([order[presence == p][:_SHORT] for p in range(1, 8)])
    rows = [example(inputs, row) for row in events.rows[picked]]
    _, logits = engine.logits(Batch.of(rows))
    expected = {"sentiment": logits.sentiment, "moderation": logits.moderation, "unimodal": logits.unimodal}
    if logits.severity is not None:
        expected["severity"] = logits.severity
    write_golden(folder / "golden.safetensors", rows, expected, engine.preprocess.text.channels)
