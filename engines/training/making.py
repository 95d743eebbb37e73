"""A bundle from labelled events: stage after stage, each kept in the work folder."""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: no-warn-return-any

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from engines.bundle import Bundle
from engines.training import finish, learnable, stages
from engines.training.dataset import Dataset
from engines.training.finish import Facts
from engines.training.recipe import TOWERS, Recipe
from engines.training.stages import Ground
from engines.training.teacher import lessons
from engines.training.watch import Watch
from engines.training.work import Arrays, Work


def make(
    data: Dataset,
    recipe: Recipe,
    out: Path,
    kept: Work,
    watch: Watch | None = None,
    teacher: Bundle | None = None,
    threads: int = 0,
    where: str = "",
) -> Bundle:
    """Train on ``data`` and seal a bundle in the new folder ``out``; goes on where an earlier run with the
    same ``kept`` was cut. Raises DataError where the data cannot teach, EngineError for anything else.
    """
    watch = watch or Watch()
    if threads:
        torch.set_num_threads(threads)
    if not recipe.name:
        recipe = replace(recipe, name=out.resolve().name)
    here = stages.ground(data, recipe, where)
    _tell(here, watch)
    inputs = stages.decoded(here.data, here.preprocess, here.digest, kept, watch)
    columns = stages.columns_of(here, inputs, kept)
    known: Arrays | None = None
    told = None if teacher is None else [teacher.digest, recipe.distil]
    if teacher is not None:
        known = lessons(teacher, here.data, kept, [here.digest], watch)
    nets = stages.towers(here, columns, known, told, kept, watch)
    text, image, audio = (
        stages.tokens(here, m, net, key, columns[m], kept, watch) for m, (net, key) in enumerate(nets)
    )
    head = stages.head(here, nets, (text, image, audio), columns, known, told, kept, watch)
    facts = facts_of(here, teacher)
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "bundle"
        graphs = [*((net.tower, key) for net, key in nets), head]
        finish.export_all(draft, graphs, here.data.labels, here.preprocess, kept, watch)
        finish.calibrate_all(draft, here.data, inputs, facts, watch)
        finish.evaluate_all(draft, here.data, inputs, facts, watch)
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(draft, out)
    return Bundle.load(out)


def facts_of(here: Ground, teacher: Bundle | None) -> Facts:
    """What the bundle says of how it was made."""
    recipe, data = here.recipe, here.data
    sources = sorted(set(data.events.source.tolist()) - {""})
    provenance: dict[str, Any] = {
        "recipe": _told(recipe),
        "data": finish.described(data),
        "data digest": here.digest,
        "sources": sources,
        "learnt": list(here.learnt),
        "notes": list(data.notes),
        "torch": torch.__version__,
    }
    if teacher is not None:
        provenance["distilled from"] = f"{teacher.name} {teacher.version}@{teacher.digest}"
    return Facts(
        recipe.name, recipe.version, here.config.width, here.config.counts, recipe.licence,
        learnable.generated(data), provenance,
    )  # fmt: skip


def _told(recipe: Recipe) -> dict[str, Any]:
    """The recipe without this machine's paths."""
    plain = recipe.to_dict()
    for name in TOWERS:
        plain[name]["tower"] = Path(plain[name]["tower"]).name
    return plain


def _tell(here: Ground, watch: Watch) -> None:
    for note in here.data.notes:
        watch(f"note: {note}")
    without = [kind.modality for kind in here.kinds if not kind.learns]
    if without:
        watch(f"no {' and no '.join(without)} to learn from: what they hold will be `not_evaluated`")
