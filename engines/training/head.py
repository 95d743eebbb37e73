"""Stage B: the fusion head, on tokens that the finished towers made once."""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: allow-subclassing-any, no-warn-return-any

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from engines.batch import MODALITIES
from engines.model.config import ModelConfig
from engines.model.fusion import FusionHead
from engines.model.losses import UNKNOWN, moderation_loss, sentiment_loss, severity_loss
from engines.training.arrays import Column
from engines.training.dataset import Events
from engines.training.towers import Log, Plan

PLAN = Plan(epochs=8, rows=256, rate=2e-3, decay=0.02)
"""The starter's plan for the head."""
DROPPED = 0.15
"""How often a modality is hidden; the labels stay, so the cross term learns to trust what is left."""


def train_head(
    tokens: tuple[Tensor, Tensor, Tensor],
    experts: Sequence[nn.Linear],
    known: Tensor,
    events: Events,
    config: ModelConfig,
    plan: Plan,
    seed: int,
    log: Log,
) -> FusionHead:
    """Train the cross term on ``events``, over finished experts; ``known`` is what `taught` says of them."""
    torch.manual_seed(seed * 10 + 7)
    head = FusionHead(config)
    head.adopt(experts, known)
    if not config.severity:  # the cross term sees events of two modalities or more; grades come from all
        events = events.where((events.rows >= 0).sum(axis=1) > 1)
    learnt = [p for p in head.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(learnt, lr=plan.rate, weight_decay=plan.decay)
    steps = max(1, plan.epochs * math.ceil(len(events) / plan.rows))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, plan.rate, total_steps=steps, pct_start=0.1)
    truth = [torch.from_numpy(x).long() for x in (events.sentiment, events.labels, events.severity)]
    for epoch in range(plan.epochs if len(events) else 0):
        total, count = 0.0, 0
        for rows in torch.randperm(len(events)).split(plan.rows):
            slots, presence = slots_of(tokens, events, rows)
            presence = presence * (torch.rand(presence.shape) >= DROPPED)
            loss = _loss(head(*slots, presence), [column[rows] for column in truth])
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(learnt, 1.0)
            optimiser.step()
            schedule.step()
            total, count = total + float(loss.detach()), count + 1
        log(f"fusion head: epoch {epoch + 1} of {plan.epochs}, loss {total / count:.3f}")
    return head.eval()


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


def _loss(answers: tuple[Tensor, ...], truth: Sequence[Tensor]) -> Tensor:
    sentiment, labels, severity = truth
    loss = sentiment_loss(answers[0], sentiment) + moderation_loss(answers[1], labels)
    return loss + severity_loss(answers[4], severity) if len(answers) > 4 else loss


def slots_of(
    tokens: tuple[Tensor, Tensor, Tensor], events: Events, rows: Tensor
) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
    """The slots [B, K, D] and presence float32 [B, 3] of some events; absent slots hold some other row."""
    chosen = torch.from_numpy(events.rows)[rows].long()
    text, image, audio = (tokens[m][chosen[:, m].clamp(min=0)] for m in range(len(MODALITIES)))
    return (text, image, audio), (chosen >= 0).float()
