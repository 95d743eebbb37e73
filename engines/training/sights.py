"""What the image tower's expert is worth: on new grounds, new signs, another hand's drawings, photographs."""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: no-warn-return-any

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from engines.batch import SENTIMENTS
from engines.training import drawings, emoji, grounds, media, metrics
from engines.training.grounds import Grounds
from engines.training.image import SPEC, Seen
from engines.training.intervals import NONE, Estimate, mean_of_shares
from engines.training.stickers import PALE, stickers
from engines.training.taxonomy import NEUTRAL, UNKNOWN, Part

_SIZE: Final = 128


@dataclass(frozen=True, slots=True)
class Figures:
    """One set: ``rows``; three-way macro ``recall`` of sentiment with its interval over pictures (they share
    signs: over signs it would be wider), and ``confusion`` (rows are the truth); AUROC of each label;
    ``neutral``: the mean chance of neutral; ``sure``: the share of rows where another sentiment has over ¾;
    ``flagged``: the 99th percentile of the highest label. NaN or empty where a set cannot tell.
    """

    rows: int
    recall: Estimate
    confusion: list[list[int]]
    labels: dict[str, float] = field(default_factory=dict)
    neutral: float = float("nan")
    sure: float = float("nan")
    flagged: float = float("nan")

    def to_json(self) -> dict[str, Any]:
        """Plain values, for the card."""
        return asdict(self)


def judged_sets(seed: int, count: int = 1_500) -> dict[str, list[Part]]:
    """Sets that judge, each of about ``count`` parts, by the name that the card prints; raises EngineError
    without the font. Sets whose packages are not installed are left out.
    """
    signs = emoji.read_table()
    own = list(stickers(emoji.Sprites(emoji.noto()), signs, ~seed, 4 * count))
    sets = {
        "stickers on grounds never seen": _shown(own, "test"),
        "stickers of signs never seen": _shown(own, "ood"),
        "bare grounds never seen": [part for part in own if part.split == "test" and part.kind == PALE],
    }
    if (font := emoji.other_hand()) is not None:
        other = list(stickers(emoji.Sprites(font), signs, ~seed, 2 * count))
        sets["another hand's stickers, signs seen"] = _shown(other, "train", "calibrate", "test")
        sets["another hand's stickers, signs never seen"] = _shown(other, "ood")
    if photographs := grounds.photographs(held_out=True):
        source, rng = Grounds((), photographs), random.Random(seed)
        sets["photographs never seen"] = [
            Part(drawings.encoded(rng, source.photograph(rng, _SIZE)), PALE, NEUTRAL,
                 {"violence/graphic": 0, "spam/ads": 0}, split="test")
            for _ in range(count // 4)
        ]  # fmt: skip
    drawn = list(drawings.images(~seed, 4 * count))
    sets["drawings"] = [part for part in drawn if part.split == "test"]
    sets["drawings, tinted and tilted"] = [part for part in drawn if part.split == "ood"]
    return sets


def evaluate_image(seen: Seen, sets: dict[str, list[Part]], labels: Sequence[str]) -> dict[str, Figures]:
    """Figures of each set; ``labels`` are the expert's, in order. Raises EngineError for broken pictures."""
    return {name: _figures(*_answers(seen, parts), parts, labels) for name, parts in sets.items()}


def table_of(figures: dict[str, Figures]) -> str:
    """The figures as the Markdown table that the card prints."""
    lines = [
        "| set | pictures | sentiment, macro recall (95 %) | AUROC of labels | mean chance of neutral | "
        "surely felt | highest label (p99) |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, own in figures.items():
        aurocs = ", ".join(f"{label} {value:.3f}" for label, value in own.labels.items()) or "–"
        lines.append(
            f"| {name} | {own.rows} | {own.recall} | {aurocs} | {own.neutral:.2f} | "
            f"{own.sure:.3f} | {own.flagged:.3f} |"
        )
    return "\n".join(lines) + "\n"


def _shown(parts: Sequence[Part], *splits: str) -> list[Part]:
    return [part for part in parts if part.split in splits and part.kind != PALE]


def _answers(seen: Seen, parts: Sequence[Part]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Chances of each sentiment [n, 3] and of each label [n, L]."""
    pixels = torch.from_numpy(np.stack(media.pixels(parts, SPEC)))
    with torch.inference_mode():
        said = torch.cat([seen.expert(seen.tower(rows).flatten(1)) for rows in pixels.split(256)])
    classes = len(SENTIMENTS)
    return said[:, :classes].softmax(1).numpy(), said[:, classes:].sigmoid().numpy()


def _figures(
    feelings: NDArray[Any], chances: NDArray[Any], parts: Sequence[Part], labels: Sequence[str]
) -> Figures:
    truth = np.array([part.sentiment for part in parts])
    known = truth != UNKNOWN
    own, guess = truth[known], feelings[known].argmax(1)
    table, several = metrics.confusion(own, guess), len(np.unique(own)) > 1
    annotated = {name: np.array([part.labels.get(name, UNKNOWN) for part in parts]) for name in labels}
    aurocs = {
        name: metrics.auroc(annotated[name][annotated[name] >= 0], chances[annotated[name] >= 0, k])
        for k, name in enumerate(labels)
        if {0, 1} <= set(annotated[name].tolist())
    }
    taught = [k for k, name in enumerate(labels) if (annotated[name] >= 0).any()]
    felt = feelings[:, [k for k in range(len(SENTIMENTS)) if k != NEUTRAL]].max(1)
    return Figures(
        len(parts),
        mean_of_shares(table.diagonal(), table.sum(axis=1)) if several else NONE,
        table.tolist(),
        aurocs,
        float(feelings[:, NEUTRAL].mean()),
        float((felt > 0.75).mean()),
        float(np.quantile(chances[:, taught].max(1), 0.99)) if taught else float("nan"),
    )
