"""Stage A: each tower alone, on what its own modality says.

Trained together with the fusion, towers learn the labels that one modality gives away and never the
factors that only matter across modalities; so those are taught here, as a task of their own.
"""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: allow-subclassing-any, no-warn-return-any

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from engines.batch import MODALITIES, SENTIMENTS
from engines.model.config import ModelConfig
from engines.model.towers import AudioTower, ImageTower, TextTower
from engines.training import targets as aims
from engines.training.arrays import Column, pad
from engines.training.augment import random_of
from engines.training.epochs import Plan, device_here, fit
from engines.training.renewing import Renew
from engines.training.targets import Targets
from engines.training.watch import watching

__all__ = ["PLANS", "Aided", "Log", "Plan", "Study", "build", "tokens_of", "train_tower"]

Log = Callable[[str], None]
Rows = NDArray[np.int64]

PLANS = {"text": Plan(4, rows=256, rate=3e-3), "image": Plan(8), "audio": Plan(10)}
"""The generated starter's plan for each tower."""
UNKNOWN_WORDS = 0.12
"""Share of words that training replaces by random ids, so that words never seen shift nothing."""
_FACTOR = 0.5
_WEAK = 0.5


class Aided(nn.Module):
    """A tower with the heads that teach it: its expert (sentiment and labels), the factor of its modality,
    and what is known only of the events that a part is in.

    The expert is kept: it is what the fused head says of this modality.
    """

    def __init__(self, tower: Any, config: ModelConfig, tokens: int) -> None:
        super().__init__()
        size, answers = tokens * config.width, len(SENTIMENTS) + len(config.labels)
        self.tower = tower
        self.dropout = nn.Dropout(0.1)
        self.expert = nn.Linear(size, answers)
        self.factor = nn.Linear(size, 3)
        self.weak = nn.Linear(size, answers)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens [B, K, D] → logits of sentiment [B, 3], labels [B, labels], factor [B, 3]."""
        flat = self.dropout(tokens.flatten(1))
        said = self.expert(flat)
        return said[:, : len(SENTIMENTS)], said[:, len(SENTIMENTS) :], self.factor(flat)


@dataclass(frozen=True, slots=True)
class Study:
    """What one tower learns from: its column, which rows are learnt and which judge (int64 each), what the
    rows should answer, what the events that they are in should (None: that is not asked), and how an input is
    made anew for each epoch (None: it isn't).
    """

    column: Column
    learnt: Rows
    judges: Rows
    targets: Targets
    weak: Targets | None = None
    renew: Renew | None = None


def build(modality: str, config: ModelConfig) -> Aided:
    """A fresh small tower with its teaching heads."""
    towers: dict[str, type[nn.Module]] = {"text": TextTower, "image": ImageTower, "audio": AudioTower}
    return Aided(towers[modality](config), config, config.counts[MODALITIES.index(modality)])


def study_of(column: Column, share: float = 0.0, weigh: bool = False, seed: int = 1) -> Study:
    """The training parts of a column, a ``share`` of which judge instead of being learnt from."""
    here = column.split == "train"
    labels = column.labels.numpy()
    judged = here & (np.random.default_rng(seed).random(len(here)) < share)
    targets = aims.hard(column.sentiment.numpy(), labels, here & ~judged, weigh)
    return Study(column, np.flatnonzero(here & ~judged), np.flatnonzero(judged), targets)


def train_tower(
    modality: str,
    study: Study | Column,
    config: ModelConfig,
    plan: Plan,
    seed: int,
    log: Log,
    net: Aided | None = None,
    kept: Path | None = None,
    patience: int = 0,
) -> Aided:
    """Train one tower, a fresh small one where ``net`` is None; ``kept`` is the file of its state so far."""
    own = seed * 10 + MODALITIES.index(modality)
    torch.manual_seed(own)
    net = net or build(modality, config)
    known = study if isinstance(study, Study) else study_of(study)
    lesson = _Tower(f"{modality} tower", net, modality, known, plan.rows, own, config.vocabulary)
    fit(lesson, plan, own, watching(log), kept, patience)
    return net.eval()


@dataclass(slots=True)
class _Tower:
    """A tower's lesson."""

    name: str
    net: Aided
    modality: str
    study: Study
    rows: int
    seed: int
    vocabulary: int
    epoch: int = 0

    def batches(self, epoch: int) -> list[Rows]:
        """Rows alike in length go together."""
        self.epoch = epoch
        order = np.random.default_rng([self.seed, epoch]).permutation(self.study.learnt)
        return batches(self.study.column, order, self.rows)

    def loss(self, batch: Rows) -> Tensor:
        """Of annotations, of the factor, and of the events around."""
        return self._loss(batch, self._tokens(batch, self._renewed(batch)))

    def judge(self) -> float:
        """The loss on the rows that judge, without what augmentation adds."""
        rows = self.study.judges
        if not len(rows):
            return float("nan")
        parts = [rows[k : k + self.rows] for k in range(0, len(rows), self.rows)]
        return sum(float(self._loss(part, self._tokens(part))) * len(part) for part in parts) / len(rows)

    def _renewed(self, rows: Rows) -> dict[int, Any]:
        renew = self.study.renew
        if renew is None:
            return {}
        made = {int(k): renew(int(k), random_of(self.seed, self.epoch, int(k))) for k in rows}
        return {k: value for k, value in made.items() if value is not None}

    def _tokens(self, rows: Rows, renewed: Mapping[int, Any] | None = None) -> Tensor:
        """``renewed`` holds inputs that were made anew for training; None where rows are judged."""
        column, tower, device = self.study.column, self.net.tower, device_here()
        learning, renewed = renewed is not None, renewed or {}
        if isinstance(tower, AudioTower):
            mel, frames = mel_batch(column, rows, renewed)
            return tower.from_mel(mel.to(device), frames.to(device))
        inputs = inputs_of(self.modality, column, rows, renewed)
        if learning and isinstance(tower, TextTower):
            inputs = tuple(_strange(ids, self.vocabulary) for ids in inputs)
        if learning and isinstance(tower, ImageTower) and torch.rand((), device="cpu") < 0.5:
            inputs = (inputs[0].flip(2),)
        return tower(*(own.to(device) for own in inputs))

    def _loss(self, rows: Rows, tokens: Tensor) -> Tensor:
        device, classes = tokens.device, len(SENTIMENTS)
        sentiment, labels, factor = self.net(tokens)
        total = aims.loss(sentiment, labels, self.study.targets.at(rows).to(device))
        families = self.study.column.factor[rows].to(device)
        total = total + _FACTOR * functional.cross_entropy(factor, families, label_smoothing=0.03)
        if self.study.weak is None:
            return total
        around = self.net.weak(self.net.dropout(tokens.flatten(1)))
        weak = self.study.weak.at(rows).to(device)
        return total + _WEAK * aims.loss(around[:, :classes], around[:, classes:], weak)


def _strange(ids: Tensor, vocabulary: int) -> Tensor:
    strange = (torch.rand(ids.shape, device="cpu") < UNKNOWN_WORDS) & (ids != 0)
    others = torch.randint(2, vocabulary, ids.shape, dtype=torch.int32, device="cpu")
    return torch.where(strange, others, ids)


def batches(column: Column, order: Rows, rows: int) -> list[Rows]:
    """Row numbers in batches; within a stretch of batches alike in length, so that little is padded."""
    sizes = np.array([column.size(int(k)) for k in order])
    stretch = rows * 32
    pieces = []
    for start in range(0, len(order), stretch):
        part = order[start : start + stretch]
        part = part[np.argsort(sizes[start : start + stretch], kind="stable")]
        pieces += [part[k : k + rows] for k in range(0, len(part), rows)]
    return [pieces[k] for k in np.random.default_rng(len(pieces)).permutation(len(pieces))]


def inputs_of(
    modality: str, column: Column, rows: Rows, renewed: Mapping[int, Any] | None = None
) -> tuple[Tensor, ...]:
    """A batch as the tower's graph takes it; ``renewed`` inputs stand in for the column's."""
    chosen = [(renewed or {}).get(int(k), column.inputs[k]) for k in rows]
    if modality == "image":
        return (torch.from_numpy(np.stack(chosen)),)
    if modality == "text":
        return tuple(torch.from_numpy(pad(list(own), np.int32)) for own in zip(*chosen, strict=True))
    lengths = torch.from_numpy(np.array([len(row) for row in chosen], np.int32))
    return torch.from_numpy(pad(chosen, np.float32)), lengths


def mel_batch(column: Column, rows: Rows, renewed: Mapping[int, Any] | None = None) -> tuple[Tensor, Tensor]:
    """Cached features as `AudioTower.from_mel` takes them."""
    chosen = [(renewed or {}).get(int(k), column.mels[k]) for k in rows]
    frames = torch.from_numpy(np.array([len(row) for row in chosen], np.int64))
    return torch.from_numpy(pad(chosen, np.float32)).transpose(1, 2), frames


def tokens_of(net: Aided, modality: str, column: Column, rows: int = 256, log: Log | None = None) -> Tensor:
    """Every part's tokens, float32 [n, K, D]: what stage B trains on."""
    if not len(column.inputs):  # heads pick rows of absent modalities too, and never look at them
        return torch.zeros(1, 1, 1)
    device, watch = device_here(), watching(log or (lambda _text: None))
    order = np.array(sorted(range(len(column.inputs)), key=column.size), dtype=np.int64)
    parts = [order[start : start + rows] for start in range(0, len(order), rows)]
    out: list[Tensor] = []
    tower = net.tower.to(device).eval()
    with torch.inference_mode(), device:
        for part in watch.over(parts, f"{modality} tokens", len(parts)):
            if isinstance(tower, AudioTower):
                given = mel_batch(column, part)
                out.append(tower.from_mel(*(own.to(device) for own in given)).cpu())
            else:
                out.append(tower(*(own.to(device) for own in inputs_of(modality, column, part))).cpu())
    tower.to("cpu")
    return torch.cat(out)[torch.from_numpy(np.argsort(order))].clone()
