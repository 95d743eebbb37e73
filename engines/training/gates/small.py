"""The small model that the gates measure, trained by the stages that train every bundle."""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: no-warn-return-any

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from engines.batch import SENTIMENTS, Float32
from engines.head import Logits
from engines.model.fusion import FusionHead
from engines.training import finish, stages, synth
from engines.training.compose import Amounts, compose
from engines.training.dataset import Dataset, Events
from engines.training.head import Averaged, Slots
from engines.training.inputs import Inputs
from engines.training.recipe import HeadRecipe, Recipe, TowerRecipe
from engines.training.stages import Columns, Ground
from engines.training.synth import Sizes
from engines.training.taxonomy import Part
from engines.training.towers import Aided
from engines.training.watch import Watch
from engines.training.work import Work

Rows = NDArray[np.int32]

SIZES: Final = Sizes(texts=4_000, images=400, sounds=200, events=2_500, crossed=6_000, families=2_000)
"""Enough to learn from in seconds."""
RECIPE: Final = Recipe(
    name="small",
    licence="Apache-2.0",
    text=TowerRecipe(epochs=6, rows=128, rate=4e-3),
    image=TowerRecipe(epochs=8, rows=64),
    audio=TowerRecipe(epochs=4, rows=64),
    head=HeadRecipe(epochs=8, rows=256),
    validation=0.0,
)
ASKED: Final = 40_000
"""Events that are composed to measure; a quarter are of held-out parts."""
_CHUNK: Final = 4_096


@dataclass(frozen=True, slots=True)
class Stock:
    """Events and their decoded parts, which models of every seed and fusion share; ``asked`` are more events
    of the held-out parts, for the data set's own hold only a handful with each label.
    """

    data: Dataset
    asked: Events
    inputs: Inputs
    kept: Work
    watch: Watch

    @classmethod
    def of(cls, data: Dataset, folder: Path, watch: Watch) -> Stock:
        """Decode the parts of a data set once; ``folder`` keeps what stages make."""
        here, kept = stages.ground(data, RECIPE), Work(folder)
        inputs = stages.decoded(here.data, here.preprocess, here.digest, kept, watch)
        asked = compose(data.parts, data.labels, synth.CROSSED, Amounts(ASKED, 0), RECIPE.seed)
        return cls(data, _held(asked), inputs, kept, watch)

    def shuffled(self, seed: int) -> Stock:
        """The same parts and events, with all annotations of the training rows drawn anew.

        Labels by a fair coin, not dealt out: dealt, they would stay as frequent as they are beside each set
        of modalities, and so rare that what looks like few others gets none and seems least likely.
        """
        random, data = np.random.default_rng(seed), self.data
        texts, images, sounds = (_drawn(parts, random) for parts in data.parts)
        events = data.events
        train = events.split == 0
        coins = random.integers(0, 2, events.labels.shape, np.int8)
        labels = np.where(train[:, None] & (events.labels >= 0), coins, events.labels)
        moods = random.integers(0, len(SENTIMENTS), len(events), np.int8)
        sentiment = np.where(train & (events.sentiment >= 0), moods, events.sentiment)
        drawn = replace(events, sentiment=sentiment, labels=labels)
        return replace(self, data=replace(data, parts=(texts, images, sounds), events=drawn))


@dataclass(frozen=True, slots=True)
class Small:
    """A trained model with the tokens of every part, so that any event of parts is answered at once."""

    here: Ground
    stock: Stock
    nets: list[tuple[Aided, str]]
    tokens: Slots
    head: FusionHead | Averaged
    key: str

    def logits(self, rows: Rows) -> Logits:
        """Uncalibrated answers to events int32 [n, 3] of parts, -1 = absent."""
        parts = []
        for start in range(0, len(rows), _CHUNK):
            chosen = torch.from_numpy(rows[start : start + _CHUNK]).long()
            slots = [own[chosen[:, m].clamp(min=0)] for m, own in enumerate(self.tokens)]
            with torch.inference_mode():
                parts.append([x.numpy() for x in self.head(*slots, (chosen >= 0).float())])
        sentiment, moderation, unimodal = (np.concatenate(own) for own in list(zip(*parts, strict=True))[:3])
        return Logits(sentiment, moderation, unimodal)

    def label(self, k: int) -> Callable[[Rows], Float32]:
        """The answer to one label, float32 [n]."""
        return lambda rows: self.logits(rows).moderation[:, k]

    def held(self) -> Events:
        """Events in distribution that nothing was learnt from."""
        return _held(self.here.data.events)

    def export(self, folder: Path) -> None:
        """A sealed bundle, not calibrated, in a new folder."""
        graphs = [*((net.tower, key) for net, key in self.nets), (self.head, self.key)]
        stock, config = self.stock, self.here.config
        finish.export_all(
            folder, graphs, self.here.data.labels, self.here.preprocess, stock.kept, stock.watch
        )
        facts = finish.Facts("small", "1", config.width, config.counts, "Apache-2.0", self.here.learnt)
        finish.seal(folder, facts)


def train(stock: Stock, seed: int, fusion: str = "bottleneck") -> Small:
    """Train on ``stock``; towers that a model of another fusion has already trained are taken over."""
    recipe = replace(RECIPE, seed=seed, head=replace(RECIPE.head, fusion=fusion))
    here = stages.ground(stock.data, recipe)
    kept, watch = stock.kept, stock.watch
    columns: Columns = stages.columns_of(here, stock.inputs, kept)
    # The towers' keys hold the whole configuration; the fusion is none of theirs.
    plain = replace(here, config=replace(here.config, fusion=RECIPE.head.fusion))
    nets = stages.towers(plain, columns, None, None, kept, watch)
    text, image, audio = (
        stages.tokens(here, m, net, key, columns[m], kept, watch) for m, (net, key) in enumerate(nets)
    )
    head, key = stages.head(here, nets, (text, image, audio), columns, None, None, kept, watch)
    return Small(here, stock, nets, (text, image, audio), head, key)


def _held(events: Events) -> Events:
    return events.where((events.split == 1) | (events.split == 2))


def _drawn(parts: list[Part], random: np.random.Generator) -> list[Part]:
    """Annotations of training parts as chance gives them; where there was none there is none."""
    out = list(parts)
    for k, part in enumerate(parts):
        if part.split == "train":
            labels = {name: int(random.integers(2)) for name in part.labels}
            mood = part.sentiment if part.sentiment < 0 else int(random.integers(len(SENTIMENTS)))
            out[k] = replace(part, sentiment=mood, labels=labels, factor=int(random.integers(3)))
    return out
