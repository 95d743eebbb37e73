"""A shipped bundle from finished towers: fusion head, graphs, calibration, card."""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: no-warn-return-any

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from engines.batch import MODALITIES
from engines.bundle import Bundle
from engines.engine import open_engine
from engines.preprocess.spec import AudioSpec, Preprocess, TextSpec
from engines.training import arrays, image, targets
from engines.training.card import About, write_card
from engines.training.dataset import Dataset
from engines.training.epochs import Plan
from engines.training.evaluate import evaluate
from engines.training.finish import MEASURED, Facts, calibrate_all, export_all, seal
from engines.training.head import Meeting, Slots, train_head
from engines.training.inputs import Inputs, decode
from engines.training.release.labels import LABELS
from engines.training.release.towers import Taught, config
from engines.training.towers import Aided, tokens_of
from engines.training.watch import Watch
from engines.training.work import Work

VERSION: Final = "3.2.0"
SYNTHETIC: Final = ("image",)
LONGEST: Final = 256
"""Word pieces of a text that serving reads."""
_PLAN: Final = Plan(epochs=5, rows=256, rate=2e-3, decay=0.02)


@dataclass(frozen=True, slots=True)
class Ground:
    """What both bundles share: events, the towers of image and audio, what to tell, and where to work."""

    data: Dataset
    image: Taught
    audio: Taught
    about: About
    seed: int
    work: Work
    watch: Watch


def bundle(here: Ground, name: str, text: Taught, spec: TextSpec, out: Path) -> Bundle:
    """Make one bundle in the folder ``out``, which is replaced."""
    sizes = config(text.tokens)
    preprocess = Preprocess(spec, image.SPEC, AudioSpec(10.0))
    here.watch(f"{name}: encoding {sum(map(len, here.data.parts))} parts")
    inputs = decode(here.data, preprocess)
    towers = (text, here.image, here.audio)
    slots = _slots(here, towers, inputs)
    head = train_head(
        _meeting(here.data, slots),
        [tower.expert for tower in towers],
        torch.stack([tower.taught for tower in towers]),
        sizes,
        _PLAN,
        here.seed,
        here.watch,
    )
    draft = here.work.folder / name
    shutil.rmtree(draft, ignore_errors=True)
    nets = [(net, _digest(net)) for net in (*(tower.tower for tower in towers), head)]
    export_all(draft, nets, LABELS, preprocess, here.work, here.watch)
    facts = Facts(
        name, VERSION, sizes.width, sizes.counts, "Apache-2.0", SYNTHETIC, _provenance(here, sizes.fusion)
    )
    calibrate_all(draft, here.data, inputs, facts, here.watch)
    _measure(here, draft, inputs, facts)
    sealed = seal(draft, facts)
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(draft, out)
    here.watch(f"{name}: {sum(f.stat().st_size for f in out.iterdir()) / 1e6:.1f} MB, {sealed.digest[:12]}")
    return Bundle.load(out)


def _digest(net: nn.Module) -> str:
    """SHA-256 over all weights."""
    total = hashlib.sha256(type(net).__name__.encode())
    for name, own in net.state_dict().items():
        total.update(name.encode() + own.contiguous().numpy().tobytes())
    return total.hexdigest()


def _slots(here: Ground, towers: Sequence[Taught], inputs: Inputs) -> Slots:
    """Tokens of every part, by modality."""
    columns = arrays.columns(here.data, inputs, config(1).rate, [])
    made = []
    for modality, tower, column in zip(MODALITIES, towers, columns, strict=True):
        net = Aided(tower.tower, config(tower.tokens), tower.tokens)
        made.append(tokens_of(net, modality, column, 64, here.watch))
    return made[0], made[1], made[2]


def _meeting(data: Dataset, slots: Slots) -> Meeting:
    events = data.events
    train = events.split == 0
    judges = train & (np.random.default_rng(0).random(len(events)) < 0.05)
    aims = targets.hard(events.sentiment.astype(np.int64), events.labels.astype(np.int64), train & ~judges)
    chosen = np.flatnonzero(train)
    return Meeting(slots, events.where(train), aims.at(torch.from_numpy(chosen)), judges[train])


def _provenance(here: Ground, fusion: str) -> Mapping[str, Any]:
    sources = "; ".join(f"{each.name} ({each.licence})" for each in here.about.sources)
    return {
        **here.about.facts,
        "seed": here.seed,
        "fusion": fusion,
        "sources": sources,
        "torch": torch.__version__,
    }


def _measure(here: Ground, draft: Path, inputs: Inputs, facts: Facts) -> None:
    engine = open_engine(draft, "onnxruntime", "fp32", contributions=False)
    try:
        report = evaluate(engine, here.data, MEASURED, inputs)
    finally:
        engine.close()
    write_card(draft, report, replace(here.about, licence=facts.licence))
    here.watch("measured, card written")
