"""Stage A: each tower alone, on what its own modality says.

Trained together with the fusion, towers learn the labels that one modality gives away and never the
factors that only matter across modalities; so those are taught here, as a task of their own.
"""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: allow-subclassing-any, no-warn-return-any

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engines.batch import MODALITIES, SENTIMENTS
from engines.model.config import ModelConfig
from engines.model.losses import moderation_loss, sentiment_loss
from engines.model.towers import AudioTower, ImageTower, TextTower
from engines.training.arrays import Column, pad

Log = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """How a network is trained."""

    epochs: int
    rows: int = 128
    rate: float = 2e-3
    decay: float = 0.01


PLANS = {"text": Plan(4, rows=256, rate=3e-3), "image": Plan(8), "audio": Plan(10)}
"""The starter's plan for each tower."""
UNKNOWN_WORDS = 0.12
"""Share of words that training replaces by random ids, so that words never seen shift nothing."""


Tower = TextTower | ImageTower | AudioTower


class Aided(nn.Module):
    """A tower with the heads that teach it: its expert (sentiment and labels) and the factor of its modality.

    The expert is kept: it is what the fused head says of this modality.
    """

    def __init__(self, tower: Tower, config: ModelConfig, tokens: int) -> None:
        super().__init__()
        size = tokens * config.width
        self.tower = tower
        self.dropout = nn.Dropout(0.1)
        self.expert = nn.Linear(size, len(SENTIMENTS) + len(config.labels))
        self.factor = nn.Linear(size, 3)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens [B, K, D] → logits of sentiment [B, 3], labels [B, labels], factor [B, 3]."""
        flat = self.dropout(tokens.flatten(1))
        said = self.expert(flat)
        return said[:, : len(SENTIMENTS)], said[:, len(SENTIMENTS) :], self.factor(flat)


def build(modality: str, config: ModelConfig) -> Aided:
    """A fresh tower with its teaching heads."""
    towers: dict[str, type[Tower]] = {"text": TextTower, "image": ImageTower, "audio": AudioTower}
    return Aided(towers[modality](config), config, config.counts[MODALITIES.index(modality)])


def train_tower(modality: str, column: Column, config: ModelConfig, plan: Plan, seed: int, log: Log) -> Aided:
    """Train one tower on the training parts of its column."""
    torch.manual_seed(seed * 10 + MODALITIES.index(modality))
    order = np.random.default_rng([seed, MODALITIES.index(modality)])
    net = build(modality, config)
    chosen = np.flatnonzero(column.split == "train")
    optimiser = torch.optim.AdamW(net.parameters(), lr=plan.rate, weight_decay=plan.decay)
    steps = plan.epochs * math.ceil(len(chosen) / plan.rows)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, plan.rate, total_steps=steps, pct_start=0.1)
    for epoch in range(plan.epochs):
        net.train()
        total, count = 0.0, 0
        for rows in batches(column, order.permutation(chosen), plan.rows):
            loss = _loss(net, modality, column, rows, config)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            total, count = total + float(loss.detach()), count + 1
        log(f"{modality} tower: epoch {epoch + 1} of {plan.epochs}, loss {total / count:.3f}")
    return net.eval()


def _loss(net: Aided, modality: str, column: Column, rows: NDArray[np.int64], config: ModelConfig) -> Tensor:
    tower = net.tower
    tokens = tower.from_mel(*mel_batch(column, rows)) if isinstance(tower, AudioTower) else None
    if tokens is None:
        inputs = inputs_of(modality, column, rows)
        if modality == "text":
            inputs = tuple(_strange(ids, config.vocabulary) for ids in inputs)
        if modality == "image" and torch.rand(()) < 0.5:
            inputs = (inputs[0].flip(2),)
        tokens = net.tower(*inputs)
    sentiment, labels, factor = net(tokens)
    return (
        sentiment_loss(sentiment, column.sentiment[rows])
        + moderation_loss(labels, column.labels[rows])
        + 0.5 * sentiment_loss(factor, column.factor[rows])
    )


def _strange(ids: Tensor, vocabulary: int) -> Tensor:
    strange = (torch.rand(ids.shape) < UNKNOWN_WORDS) & (ids != 0)
    return torch.where(strange, torch.randint(2, vocabulary, ids.shape, dtype=torch.int32), ids)


def batches(column: Column, order: NDArray[np.int64], rows: int) -> Iterator[NDArray[np.int64]]:
    """Row numbers in batches; within a stretch of batches alike in length, so that little is padded."""
    sizes = np.array([column.size(int(k)) for k in order])
    stretch = rows * 32
    pieces = []
    for start in range(0, len(order), stretch):
        part = order[start : start + stretch]
        part = part[np.argsort(sizes[start : start + stretch], kind="stable")]
        pieces += [part[k : k + rows] for k in range(0, len(part), rows)]
    yield from (pieces[k] for k in np.random.default_rng(len(pieces)).permutation(len(pieces)))


def inputs_of(modality: str, column: Column, rows: NDArray[np.int64]) -> tuple[Tensor, ...]:
    """A batch as the tower's graph takes it."""
    chosen = [column.inputs[k] for k in rows]
    if modality == "image":
        return (torch.from_numpy(np.stack(chosen)),)
    if modality == "text":
        return tuple(torch.from_numpy(pad(list(own), np.int32)) for own in zip(*chosen, strict=True))
    lengths = torch.tensor([len(row) for row in chosen], dtype=torch.int32)
    return torch.from_numpy(pad(chosen, np.float32)), lengths


def mel_batch(column: Column, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """Cached features as `AudioTower.from_mel` takes them."""
    chosen = [column.mels[k] for k in rows]
    frames = torch.tensor([len(row) for row in chosen])
    return torch.from_numpy(pad(chosen, np.float32)).transpose(1, 2), frames


def tokens_of(net: Aided, modality: str, column: Column, rows: int = 256) -> Tensor:
    """Every part's tokens, float32 [n, K, D]: what stage B trains on."""
    every = np.arange(len(column.inputs))
    order = np.array(sorted(every, key=lambda k: column.size(int(k))), dtype=np.int64)
    out: list[Tensor] = []
    with torch.inference_mode():
        for start in range(0, len(order), rows):
            part = order[start : start + rows]
            if isinstance(net.tower, AudioTower):
                out.append(net.tower.from_mel(*mel_batch(column, part)))
            else:
                out.append(net.tower(*inputs_of(modality, column, part)))
    return torch.cat(out)[torch.from_numpy(np.argsort(order))].clone()
