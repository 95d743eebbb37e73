"""Stage B: the fusion head, on tokens that the finished towers made once."""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: allow-subclassing-any, no-warn-return-any

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engines.batch import MODALITIES
from engines.model.config import ModelConfig
from engines.model.fusion import FusionHead
from engines.model.losses import UNKNOWN, severity_loss
from engines.model.parts import Shapes
from engines.training import targets as aims
from engines.training.arrays import Column
from engines.training.dataset import Events
from engines.training.epochs import Plan, device_here, fit
from engines.training.targets import Targets
from engines.training.towers import Log
from engines.training.watch import watching

PLAN = Plan(epochs=8, rows=256, rate=2e-3, decay=0.02)
"""The generated starter's plan for the head."""
DROPPED = 0.15
"""How often a modality is hidden; the labels stay, so the cross term learns to trust what is left."""
Slots = tuple[Tensor, Tensor, Tensor]


class Averaged(nn.Module):
    """Several heads as one: the mean of all they answer."""

    def __init__(self, heads: Sequence[FusionHead]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(heads)
        self.inputs, self.outputs = heads[0].inputs, heads[0].outputs

    def example(self) -> tuple[tuple[Tensor, ...], Shapes]:
        """As each head has it."""
        first = self.heads[0]
        assert isinstance(first, FusionHead)
        return first.example()

    def forward(self, text: Tensor, image: Tensor, audio: Tensor, presence: Tensor) -> tuple[Tensor, ...]:
        """As `FusionHead`."""
        answers = [head(text, image, audio, presence) for head in self.heads]
        return tuple(torch.stack(own).mean(dim=0) for own in zip(*answers, strict=True))


@dataclass(frozen=True, slots=True)
class Meeting:
    """What the head learns from: tokens of the parts, events of them with what they should answer, and which
    of the events judge (bool [events]).
    """

    tokens: Slots
    events: Events
    targets: Targets
    judges: NDArray[np.bool_]


def train_head(
    meeting: Meeting,
    experts: Sequence[nn.Linear],
    known: Tensor,
    config: ModelConfig,
    plan: Plan,
    seed: int,
    log: Log,
    kept: Path | None = None,
    patience: int = 0,
    dropped: float = DROPPED,
) -> FusionHead:
    """Train the cross term over finished experts; ``known`` is what `taught` says of them."""
    head = made_head(experts, known, config, seed)
    # The cross term sees events of two modalities or more; grades come from all.
    met = np.ones(len(meeting.events), np.bool_) if config.severity else meetings(meeting.events)
    learnt, judges = np.flatnonzero(met & ~meeting.judges), np.flatnonzero(met & meeting.judges)
    if len(learnt):
        lesson = _Head("fusion head", head, meeting, learnt, judges, plan.rows, seed, dropped)
        fit(lesson, plan, seed * 10 + 7, watching(log), kept, patience)
    return head.eval()


def made_head(experts: Sequence[nn.Linear], known: Tensor, config: ModelConfig, seed: int) -> FusionHead:
    """A fresh head over finished experts: late fusion, until it is trained."""
    torch.manual_seed(seed * 10 + 7)
    head = FusionHead(config)
    head.adopt(experts, known)
    return head


def meetings(events: Events) -> NDArray[np.bool_]:
    """Bool [events]: those of two modalities or more."""
    return np.asarray((events.rows >= 0).sum(axis=1) > 1)


def taught(columns: Sequence[Column]) -> Tensor:
    """Float32 [3, 1 + labels]: 1 where a modality's training parts hold sentiments (column 0), or both
    answers to a label; elsewhere its expert has nothing to say.
    """
    rows = []
    for column in columns:
        here = torch.from_numpy(column.split == "train")
        moods, labels = column.sentiment[here], column.labels[here]
        both = (labels == 0).any(dim=0) & (labels == 1).any(dim=0)
        rows.append(torch.cat([(moods != UNKNOWN).any()[None], both]))
    return torch.stack(rows).float()


@dataclass(slots=True)
class _Head:
    """The head's lesson."""

    name: str
    net: FusionHead
    meeting: Meeting
    learnt: NDArray[np.int64]
    judges: NDArray[np.int64]
    rows: int
    seed: int
    dropped: float

    def batches(self, epoch: int) -> list[Tensor]:
        """Events in random order."""
        order = np.random.default_rng([self.seed, epoch]).permutation(self.learnt)
        return list(torch.from_numpy(order).split(self.rows))

    def loss(self, batch: Tensor) -> Tensor:
        """With some modalities hidden."""
        slots, presence = slots_of(self.meeting.tokens, self.meeting.events, batch)
        hidden = torch.rand(presence.shape, device="cpu") < self.dropped
        return self._loss(batch, slots, presence * ~hidden)

    def judge(self) -> float:
        """The loss on the events that judge, with all that they hold."""
        if not len(self.judges):
            return float("nan")
        parts = torch.from_numpy(self.judges).split(1024)
        total = sum(
            float(self._loss(part, *slots_of(self.meeting.tokens, self.meeting.events, part))) * len(part)
            for part in parts
        )
        return total / len(self.judges)

    def _loss(self, rows: Tensor, slots: Slots, presence: Tensor) -> Tensor:
        device = device_here()
        answers = self.net(*(own.to(device) for own in slots), presence.to(device))
        said = dict(zip(self.net.outputs, answers, strict=True))
        sentiment = said["sentiment"]
        labels = said.get("moderation", sentiment[:, :0])
        total = aims.loss(sentiment, labels, self.meeting.targets.at(rows).to(device))
        if "severity" not in said:
            return total
        grades = torch.from_numpy(self.meeting.events.severity)[rows].long()
        return total + severity_loss(said["severity"], grades.to(device))


def slots_of(tokens: Slots, events: Events, rows: Tensor) -> tuple[Slots, Tensor]:
    """The slots [B, K, D] and presence float32 [B, 3] of some events; absent slots hold some other row."""
    chosen = torch.from_numpy(events.rows)[rows].long()
    text, image, audio = (tokens[m][chosen[:, m].clamp(min=0)] for m in range(len(MODALITIES)))
    return (text, image, audio), (chosen >= 0).float()
