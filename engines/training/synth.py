"""The generator: parts of each modality, and events of one to three of them, from one seed."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from engines.errors import EngineError
from engines.training import dataset, drawings, sounds, texts
from engines.training.dataset import SPLITS, Dataset
from engines.training.taxonomy import LABELS, NAMES, NEGATIVE, NEUTRAL, POSITIVE, UNKNOWN, Part

VERSION: Final = "1"
"""Raised whenever the same seed gives other data."""

Progress = Callable[[Iterable[Part], str, int], Iterable[Part]]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many parts and events to make."""

    texts: int = 90_000
    images: int = 9_000
    sounds: int = 5_000
    events: int = 50_000
    crossed: int = 16_000


TINY: Final = Sizes(texts=5_000, images=1_200, sounds=600, events=4_000, crossed=2_000)
"""Enough for a test of the whole way."""

# how often each combination of modalities appears among the events: text, image, audio
_PATTERNS: Final = {
    (1, 0, 0): 30, (0, 1, 0): 10, (0, 0, 1): 10, (1, 1, 0): 20, (1, 0, 1): 12, (0, 1, 1): 8, (1, 1, 1): 10,
}  # fmt: skip
_HATE: Final = NAMES.index("hate")
_WEIGHT: Final = (1.0, 0.8, 0.9)  # of a text, an image, a sound in the sentiment of the whole


def generate(seed: int, sizes: Sizes | None = None, progress: Progress | None = None) -> Dataset:
    """The whole data set; the same for the same seed and sizes."""
    sizes = sizes or Sizes()
    watch = progress or (lambda items, _name, _count: items)
    parts = (
        list(watch(texts.posts(seed, sizes.texts), "texts", sizes.texts)),
        list(watch(drawings.images(seed, sizes.images), "images", sizes.images)),
        list(watch(sounds.sounds(seed, sizes.sounds), "sounds", sizes.sounds)),
    )
    return Dataset(parts, _events(seed, sizes, parts), LABELS)


def _events(seed: int, sizes: Sizes, parts: tuple[list[Part], list[Part], list[Part]]) -> dataset.Events:
    rng = random.Random(f"events {seed}")
    pools = [_by_split(pool) for pool in parts]
    shares = [0.7, 0.14, 0.1, 0.06]
    plans, weights = list(_PATTERNS), list(_PATTERNS.values())
    columns: tuple[list[list[int]], list[int], list[list[int]], list[int], list[bool]] = ([], [], [], [], [])
    for k in range(sizes.events + sizes.crossed):
        split = rng.choices(SPLITS, shares)[0]
        if k < sizes.events:
            plan = rng.choices(plans, weights)[0]
            row = [
                _pick(rng, pool[split, None]) if here else -1 for here, pool in zip(plan, pools, strict=True)
            ]
        else:
            # Every pair of families equally often, so that neither modality alone tells the label.
            pair = divmod(k % 4, 2)
            audio = _pick(rng, pools[2][split, None]) if rng.random() < 0.2 else -1
            row = [_pick(rng, pools[0][split, pair[0]]), _pick(rng, pools[1][split, pair[1]]), audio]
        chosen = [pool[r] if r >= 0 else None for pool, r in zip(parts, row, strict=True)]
        values = (row, sentiment_of(chosen), labels_of(chosen), SPLITS.index(split), k >= sizes.events)
        for column, value in zip(columns, values, strict=True):
            column.append(value)  # type: ignore[attr-defined]
    source = [f"generated/{VERSION}"] * len(columns[0])  # what is synthetic says so wherever it is read
    return dataset.gather(*columns, source=source)


def _pick(rng: random.Random, rows: list[int]) -> int:
    if not rows:
        raise EngineError(
            "There are too few parts to make events of",
            why="one split or family of a modality is empty",
            remedy="Generate more texts, images and sounds",
        )
    return rng.choice(rows)


def _by_split(parts: list[Part]) -> dict[tuple[str, int | None], list[int]]:
    pools: dict[tuple[str, int | None], list[int]] = defaultdict(list)
    for k, part in enumerate(parts):
        pools[part.split, None].append(k)
        pools[part.split, part.factor].append(k)
    return pools


def sentiment_of(parts: list[Part | None]) -> int:
    """The sentiment of the whole: the weighted mean of what its parts say, neutral in the middle."""
    said = [(w, p.sentiment) for w, p in zip(_WEIGHT, parts, strict=True) if p and p.sentiment != UNKNOWN]
    if not said or (parts[0] is not None and parts[0].sentiment == UNKNOWN):
        return UNKNOWN
    mean = sum(w * (s - NEUTRAL) for w, s in said) / sum(w for w, _ in said)
    return POSITIVE if mean > 0.3 else NEGATIVE if mean < -0.3 else NEUTRAL


def labels_of(parts: list[Part | None]) -> list[int]:
    """Each label of the whole: 1 where a part shows it, 0 where all that could show it don't."""
    out = []
    for label in LABELS.labels:
        able = [
            p for m, p in zip(("text", "image", "audio"), parts, strict=True) if p and _can(label.evidence, m)
        ]
        values = [p.labels.get(label.name, UNKNOWN) for p in able]
        out.append(1 if 1 in values else 0 if values and UNKNOWN not in values else UNKNOWN)
    text, image = parts[0], parts[1]
    out[_HATE] = UNKNOWN if text is None or image is None else _crossed(text.factor, image.factor)
    return out


def _can(evidence: tuple[frozenset[str], ...], modality: str) -> bool:
    return frozenset({modality}) in evidence


def _crossed(text: int, image: int) -> int:
    """Welcome words (0) over an empty place (1), or words of rejection (1) over a crowd (0), are hateful."""
    if text == 2:
        return 0
    if image == 2:
        return 0 if text == 0 else UNKNOWN
    return text ^ image
