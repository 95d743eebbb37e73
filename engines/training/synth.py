"""The generator: parts of each modality, and events of one to three of them, from one seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from engines.training import drawings, sounds, texts
from engines.training.compose import Amounts, compose
from engines.training.dataset import Dataset
from engines.training.taxonomy import LABELS, Part

VERSION: Final = "1"
"""Raised whenever the same seed gives other data."""

Progress = Callable[[Iterable[Part], str, int], Iterable[Part]]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many parts and events to make; ``families`` are so many more texts and images of the families that
    matter across modalities, for a small set that has to learn them.
    """

    texts: int = 90_000
    images: int = 9_000
    sounds: int = 5_000
    events: int = 50_000
    crossed: int = 16_000
    families: int = 0


TINY: Final = Sizes(texts=5_000, images=1_200, sounds=600, events=4_000, crossed=2_000)
"""Enough for a test of the whole way."""
CROSSED: Final = "hate"
"""The label that text and image tell only together."""


def generate(seed: int, sizes: Sizes | None = None, progress: Progress | None = None) -> Dataset:
    """The whole data set; the same for the same seed and sizes."""
    sizes = sizes or Sizes()
    watch = progress or (lambda items, _name, _count: items)
    parts = (
        list(watch(_texts(seed, sizes), "texts", sizes.texts + sizes.families)),
        list(watch(_images(seed, sizes), "images", sizes.images + sizes.families)),
        list(watch(sounds.sounds(seed, sizes.sounds), "sounds", sizes.sounds)),
    )
    # What is synthetic says so wherever it is read.
    amounts = Amounts(sizes.events, sizes.crossed, f"generated/{VERSION}")
    events = compose(parts, LABELS, CROSSED, amounts, seed)
    return Dataset(parts, events, LABELS)


def _texts(seed: int, sizes: Sizes) -> Iterator[Part]:
    yield from texts.posts(seed, sizes.texts)
    yield from texts.posts(~seed, sizes.families, ("welcome", "unwelcome"))


def _images(seed: int, sizes: Sizes) -> Iterator[Part]:
    yield from drawings.images(seed, sizes.images)
    yield from drawings.images(~seed, sizes.families, ("crowd", "empty"))
