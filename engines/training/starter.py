"""The starter bundle from seed to card: generate, train, export, calibrate, measure, seal."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from engines import calibration
from engines.batch import MODALITIES, Batch
from engines.bundle import GRAPHS, Bundle, write_bundle
from engines.calibration import Calibration
from engines.engine import FusedEngine, open_engine
from engines.export import export
from engines.golden import write_golden
from engines.model.config import ModelConfig
from engines.model.fusion import FusionHead
from engines.preprocess.spec import AudioSpec, ImageSpec, Preprocess, TextSpec
from engines.training import arrays, synth
from engines.training.calibrate import calibrate
from engines.training.card import card
from engines.training.dataset import Dataset, Events
from engines.training.evaluate import measure
from engines.training.head import PLAN as HEAD_PLAN
from engines.training.head import taught, train_head
from engines.training.inputs import Inputs, decode, example
from engines.training.taxonomy import LABELS, NAMES
from engines.training.towers import PLANS, Aided, Log, Plan, tokens_of, train_tower

VERSION: Final = "1.0.0"
CARD: Final = "MODEL_CARD.md"


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides what comes out."""

    seed: int = 1
    fusion: str = "bottleneck"
    towers: tuple[Plan, Plan, Plan] = (PLANS["text"], PLANS["image"], PLANS["audio"])
    head: Plan = HEAD_PLAN

    def config(self) -> ModelConfig:
        """The networks' sizes."""
        return ModelConfig(NAMES, fusion=self.fusion)

    def preprocess(self) -> Preprocess:
        """What goes into them."""
        c = self.config()
        image = ImageSpec(c.image_height, c.image_width)
        return Preprocess(TextSpec(c.vocabulary, 256), image, AudioSpec(10.0, c.rate))


_QUICK: Final = Recipe(towers=(Plan(6, rate=4e-3), Plan(6), Plan(8)), head=Plan(8, rows=256))


def recipe(seed: int = 1, fusion: str = "bottleneck", quick: bool = False) -> Recipe:
    """How to train; ``quick`` is for trying the way: seconds instead of minutes."""
    return replace(_QUICK if quick else Recipe(), seed=seed, fusion=fusion)


def train(data: Dataset, recipe: Recipe, out: Path, log: Log, threads: int = 2) -> Bundle:
    """Make a bundle in the new folder ``out`` with so many processor threads; raises EngineError."""
    start = time.monotonic()
    torch.set_num_threads(threads)
    config = recipe.config()
    inputs = decode(data, recipe.preprocess())
    columns = arrays.columns(data, inputs, config.rate)
    log("inputs are prepared")
    towers, tokens = [], []
    for name, column, plan in zip(MODALITIES, columns, recipe.towers, strict=True):
        towers.append(train_tower(name, column, config, plan, recipe.seed, log))
        tokens.append(tokens_of(towers[-1], name, column))
    slots, events = (tokens[0], tokens[1], tokens[2]), data.events.of("train")
    experts, known = [tower.expert for tower in towers], taught(columns)
    head = train_head(slots, experts, known, events, config, recipe.head, recipe.seed, log)
    minutes = (time.monotonic() - start) / 60
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "bundle"
        _export(draft, towers, head, recipe)
        _finish(draft, data, inputs, recipe, log, {"training": f"{minutes:.1f} minutes on {threads} threads"})
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(draft, out, dirs_exist_ok=True)
    return Bundle.load(out)


def _export(folder: Path, towers: list[Aided], head: FusionHead, recipe: Recipe) -> None:
    """A complete bundle but for calibration, golden vectors and card."""
    folder.mkdir(parents=True)
    for name, net in zip(GRAPHS, [*(t.tower for t in towers), head], strict=True):
        export(name, net, folder / f"{name}.onnx")
    LABELS.dump(folder / "labels.yaml")
    (folder / "preprocess.json").write_text(recipe.preprocess().to_json(), encoding="utf-8")
    calibration.dump(folder / "calibration.json", {"fp32": Calibration.identity(len(LABELS))})


def _finish(
    folder: Path, data: Dataset, inputs: Inputs, recipe: Recipe, log: Log, facts: Mapping[str, Any]
) -> None:
    """Calibrate on the engine that serves, record golden vectors, measure, write the card, seal."""
    facts = {"generator version": synth.VERSION, "seed": recipe.seed, "torch": torch.__version__, **facts}
    seal(folder, recipe, facts)
    engine = open_engine(folder, "onnxruntime", "fp32", threads=2, contributions=False)
    calibrate(engine, data, inputs, folder)
    _golden(engine, inputs, data.events.of("test"), folder)
    engine.close()
    log("calibrated on held-out events with ONNX Runtime")
    seal(folder, recipe, facts)
    engine = open_engine(folder, "onnxruntime", "fp32", threads=2, contributions=False)
    measured = {split: measure(engine, inputs, data.events.of(split)) for split in ("test", "ood")}
    engine.close()
    (folder / CARD).write_text(card(measured, _told(data, facts)), encoding="utf-8")
    seal(folder, recipe, facts)
    log("measured, card written")


def _told(data: Dataset, facts: Mapping[str, Any]) -> dict[str, Any]:
    counts = ", ".join(f"{len(p)} {m} parts" for p, m in zip(data.parts, MODALITIES, strict=True))
    return {"data": f"{counts}, {len(data.events)} events of one to three modalities, all generated", **facts}


def _golden(engine: FusedEngine, inputs: Inputs, events: Events, folder: Path) -> None:
    """A few events of each presence pattern, with sounds short enough to keep the file small."""
    short = np.array([len(row) < 16_000 for row in inputs[2]] + [True])[events.rows[:, 2]]
    picked = [np.flatnonzero(short & (events.presence == p))[:2] for p in range(1, 8)]
    rows = [example(inputs, row) for row in events.rows[np.concatenate(picked)]]
    _, logits = engine.logits(Batch.of(rows))
    expected = {"sentiment": logits.sentiment, "moderation": logits.moderation, "unimodal": logits.unimodal}
    if logits.severity is not None:
        expected["severity"] = logits.severity
    channels = engine.preprocess.text.channels
    write_golden(folder / "golden.safetensors", rows, expected, channels)


def main() -> None:
    """The starter that ships, in one command: ``python -m engines.training.starter FOLDER``."""
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "starter")
    began = time.monotonic()

    def log(text: str) -> None:
        sys.stderr.write(f"{time.monotonic() - began:7.1f} s  {text}\n")

    data = synth.generate(1)
    log("data is generated")
    train(data, recipe(), out, log)


def seal(folder: Path, recipe: Recipe, facts: Mapping[str, Any]) -> Bundle:
    """Write bundle.json over whatever the folder holds."""
    config = recipe.config()
    return write_bundle(
        folder,
        name="starter",
        version=VERSION,
        synthetic=list(MODALITIES),
        width=config.width,
        tokens=dict(zip(MODALITIES, config.counts, strict=True)),
        graphs={name: {"fp32": f"{name}.onnx"} for name in GRAPHS},
        licence="Apache-2.0",
        provenance={**facts, "fusion": recipe.fusion, "data": "generated by engines.training.synth only"},
    )


if __name__ == "__main__":
    main()
