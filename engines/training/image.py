"""The starter's image tower, learnt from stickers and drawings together with its expert."""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: allow-subclassing-any, no-warn-return-any

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.batch import SENTIMENTS
from engines.model.config import ModelConfig
from engines.model.losses import moderation_loss
from engines.model.sight import SIDE, SightTower
from engines.preprocess.spec import ImageSpec
from engines.training import drawings, emoji, media
from engines.training.stickers import PALE, stickers
from engines.training.taxonomy import NEUTRAL, UNKNOWN, Part
from engines.training.towers import Log

SPEC: Final = ImageSpec(SIDE, SIDE)
"""What serving makes of an image before the tower sees it."""
_FAMILY: Final = 0.5
_PALE: Final = (0.15, 0.70, 0.15)
_FIRM: Final = 0.94


@dataclass(frozen=True, slots=True)
class Course:
    """How much is learnt, and how: pictures of each kind, passes over them, rows of a step, learning rate."""

    stickers: int = 9_000
    drawings: int = 6_000
    epochs: int = 7
    rows: int = 96
    rate: float = 4e-3
    decay: float = 0.02


@dataclass(frozen=True, slots=True)
class _Lesson:
    """``pixels`` uint8 [n, H, W, 3]; ``feelings`` float32 [n, 3]; ``labels`` int64 [n, L]; ``family`` [n]."""

    pixels: Tensor
    feelings: Tensor
    labels: Tensor
    family: Tensor


@dataclass(frozen=True, slots=True)
class Seen:
    """A finished tower, its expert Linear(K·D → 3 + labels), and ``taught`` float32 [1 + labels] for
    `FusionHead.adopt`: 1 for sentiment and each label that some picture was marked for.
    """

    tower: SightTower
    expert: nn.Linear
    taught: Tensor


def image_parts(seed: int, course: Course | None = None, table: Sequence[emoji.Emoji] = ()) -> list[Part]:
    """Everything the tower learns from and is judged by, by split; raises EngineError without the font."""
    course = course or Course()
    sprites = emoji.Sprites(emoji.noto())
    signs = table or emoji.read_table()
    return [
        *stickers(sprites, signs, seed, course.stickers),
        *drawings.images(seed, course.drawings),
    ]


def train_image(
    parts: Sequence[Part], config: ModelConfig, seed: int, log: Log, course: Course | None = None
) -> Seen:
    """Tower and expert from the parts of the split `train`; four minutes on one thread, decoding included.

    The expert has ``config.labels`` in their order; those that no part is annotated with it says nothing of
    (their logits are 0). Where nothing is known of a picture's feeling the expert learns to be mildly
    neutral, so that a photograph beside a text leaves the text its say. ``config`` must have images of
    `SIDE` pixels. Raises EngineError for parts that cannot be decoded.
    """
    course = course or Course()
    torch.manual_seed(seed * 10 + 1)
    learnt = [part for part in parts if part.split == "train"]
    lesson = _lesson(learnt, config)
    tower = SightTower(config)
    size = config.image_tokens * config.width
    expert = nn.Linear(size, len(SENTIMENTS) + len(config.labels))
    family = nn.Linear(size, 3)
    nets = nn.ModuleList([tower, expert, family])
    optimiser = torch.optim.AdamW(nets.parameters(), lr=course.rate, weight_decay=course.decay)
    steps = course.epochs * math.ceil(len(learnt) / course.rows)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, course.rate, total_steps=steps, pct_start=0.15)
    for epoch in range(course.epochs):
        nets.train()
        total = 0.0
        pieces = torch.randperm(len(learnt)).split(course.rows)
        for rows in pieces:
            flat = functional.dropout(tower.see(_disturbed(lesson.pixels[rows])).flatten(1), 0.15)
            loss = _loss(expert(flat), family(flat), lesson, rows)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(nets.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            total += float(loss.detach())
        log(f"image tower: epoch {epoch + 1} of {course.epochs}, loss {total / len(pieces):.3f}")
    annotated = (lesson.labels != UNKNOWN).any(dim=0)
    _silence(expert, annotated)
    taught = torch.cat([torch.ones(1), annotated.to(torch.float32)])
    return Seen(tower.eval(), expert.eval(), taught)


def _lesson(parts: Sequence[Part], config: ModelConfig) -> _Lesson:
    labels = [[part.labels.get(name, UNKNOWN) for name in config.labels] for part in parts]
    return _Lesson(
        torch.from_numpy(np.stack(media.pixels(parts, SPEC))),
        torch.tensor([_feeling(part) for part in parts]),
        torch.tensor(labels, dtype=torch.long).reshape(len(parts), len(config.labels)),
        torch.tensor([part.factor for part in parts]),
    )


def _feeling(part: Part) -> tuple[float, ...]:
    """The chances of each sentiment that the expert should give: firm for signs, pale for what has none."""
    if part.sentiment == UNKNOWN or part.kind == PALE:
        return _PALE
    firm = _FIRM if part.sentiment != NEUTRAL else 0.8
    rest = (1 - firm) / (len(SENTIMENTS) - 1)
    return tuple(firm if k == part.sentiment else rest for k in range(len(SENTIMENTS)))


def _disturbed(pixels: Tensor) -> Tensor:
    """uint8 [B, H, W, 3] → float32 [B, 3, H, W] between -1 and 1: mirrored, moved, in other colours."""
    x = pixels.permute(0, 3, 1, 2).to(torch.float32) * (1.0 / 127.5) - 1.0
    count = len(x)
    x = torch.where(torch.rand(count, 1, 1, 1) < 0.5, x.flip(3), x)
    down, right = (int(k) for k in torch.randint(-4, 5, (2,)))
    side = x.shape[-1]
    x = functional.pad(x, (4, 4, 4, 4), mode="replicate")[
        :, :, 4 + down : 4 + down + side, 4 + right : 4 + right + side
    ]
    x = x * (0.8 + 0.4 * torch.rand(count, 3, 1, 1)) + 0.2 * (torch.rand(count, 3, 1, 1) - 0.5)
    return x.clamp(-1, 1)


def _loss(said: Tensor, family: Tensor, lesson: _Lesson, rows: Tensor) -> Tensor:
    classes = len(SENTIMENTS)
    own = functional.cross_entropy(said[:, :classes], lesson.feelings[rows])
    labels = moderation_loss(said[:, classes:], lesson.labels[rows])
    return own + 0.5 * labels + _FAMILY * functional.cross_entropy(family, lesson.family[rows])


def _silence(expert: nn.Linear, annotated: Tensor) -> None:
    with torch.no_grad():
        silent = torch.cat([torch.zeros(len(SENTIMENTS), dtype=torch.bool), ~annotated])
        expert.weight[silent] = 0.0
        expert.bias[silent] = 0.0
