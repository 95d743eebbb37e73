"""Events of one to three modalities, composed at random from annotated parts."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from engines.batch import MODALITIES
from engines.errors import EngineError
from engines.labels import Labels
from engines.training import dataset
from engines.training.building import Parts
from engines.training.dataset import SPLITS
from engines.training.taxonomy import NEGATIVE, NEUTRAL, POSITIVE, UNKNOWN, Part

# how often each combination of modalities appears among the events: text, image, audio
_PATTERNS: Final = {
    (1, 0, 0): 30, (0, 1, 0): 10, (0, 0, 1): 10, (1, 1, 0): 20, (1, 0, 1): 12, (0, 1, 1): 8, (1, 1, 1): 10,
}  # fmt: skip
_SHARES: Final = (0.7, 0.14, 0.1, 0.06)  # of the splits
_WEIGHT: Final = (1.0, 0.8, 0.9)  # of a text, an image, a sound in the sentiment of the whole


@dataclass(frozen=True, slots=True)
class Amounts:
    """``events`` of any parts, and ``crossed`` ones: text and image of families that matter only together;
    ``source`` is what they are said to come from.
    """

    events: int
    crossed: int
    source: str = ""


def compose(parts: Parts, labels: Labels, crossed: str, amounts: Amounts, seed: int) -> dataset.Events:
    """Events of ``parts`` that lie in the same split; ``crossed`` names the label that text and image tell
    together. Raises EngineError where a split or family lacks parts.
    """
    rng = random.Random(f"events {seed}")
    pools = [_by_split(pool) for pool in parts]
    plans, weights = list(_PATTERNS), list(_PATTERNS.values())
    columns: tuple[list[list[int]], list[int], list[list[int]], list[int], list[bool]] = ([], [], [], [], [])
    for k in range(amounts.events + amounts.crossed):
        split = rng.choices(SPLITS, _SHARES)[0]
        if k < amounts.events:
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
        marks = labels_of(chosen, labels, crossed)
        values = (row, sentiment_of(chosen), marks, SPLITS.index(split), k >= amounts.events)
        for column, value in zip(columns, values, strict=True):
            column.append(value)  # type: ignore[attr-defined]
    return dataset.gather(*columns, source=[amounts.source] * len(columns[0]))


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


def labels_of(parts: list[Part | None], labels: Labels, crossed: str) -> list[int]:
    """Each label of the whole: 1 where a part shows it, 0 where all that could show it don't."""
    out = []
    for label in labels.labels:
        able = [p for m, p in zip(MODALITIES, parts, strict=True) if p and frozenset({m}) in label.evidence]
        values = [p.labels.get(label.name, UNKNOWN) for p in able]
        out.append(1 if 1 in values else 0 if values and UNKNOWN not in values else UNKNOWN)
    text, image = parts[0], parts[1]
    if text is not None and image is not None:
        out[labels.names.index(crossed)] = _crossed(text.factor, image.factor)
    return out


def _crossed(text: int, image: int) -> int:
    """Welcome words (0) over an empty place (1), or words of rejection (1) over a crowd (0), are hateful."""
    if text == 2:
        return 0
    if image == 2:
        return 0 if text == 0 else UNKNOWN
    return text ^ image
