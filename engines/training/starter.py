"""The generated starter: made from a seed alone, and retrained by CI to prove that it fuses."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Final

from engines.bundle import Bundle
from engines.training.dataset import Dataset
from engines.training.making import make
from engines.training.recipe import HeadRecipe, Recipe, TowerRecipe
from engines.training.towers import Log
from engines.training.watch import watching
from engines.training.work import Work

VERSION: Final = "1.0.0"

_FULL: Final = Recipe(
    name="starter",
    version=VERSION,
    licence="Apache-2.0",
    augment=False,
    text=TowerRecipe(epochs=4, rows=256, rate=3e-3),
    image=TowerRecipe(epochs=8, rows=128),
    audio=TowerRecipe(epochs=10, rows=128),
    head=HeadRecipe(epochs=8, rows=256),
)
_QUICK: Final = Recipe(
    name="starter",
    version=VERSION,
    licence="Apache-2.0",
    augment=False,
    text=TowerRecipe(epochs=6, rows=128, rate=4e-3),
    image=TowerRecipe(epochs=6, rows=128),
    audio=TowerRecipe(epochs=8, rows=128),
    head=HeadRecipe(epochs=8, rows=256),
)


def recipe(seed: int = 1, fusion: str = "bottleneck", quick: bool = False) -> Recipe:
    """How to train; ``quick`` is for trying the way: seconds instead of minutes."""
    own = _QUICK if quick else _FULL
    return replace(own, seed=seed, head=replace(own.head, fusion=fusion))


def train(data: Dataset, recipe: Recipe, out: Path, log: Log, threads: int = 2) -> Bundle:
    """Make a bundle in the new folder ``out``, keeping nothing on the way; raises EngineError."""
    with tempfile.TemporaryDirectory() as folder:
        return make(data, recipe, out, Work(Path(folder)), watching(log), threads=threads)
