"""Stage B: the fusion head, on tokens that the finished towers made once."""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: allow-subclassing-any, no-warn-return-any

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from engines.batch import MODALITIES
from engines.model.config import ModelConfig
from engines.model.fusion import FusionHead
from engines.model.losses import moderation_loss, sentiment_loss
from engines.training.dataset import Events
from engines.training.towers import Aided, Log, Plan

PLAN = Plan(epochs=8, rows=256, rate=2e-3, decay=0.02)
"""The starter's plan for the head."""
DROPPED = 0.15
"""How often a modality is hidden; the labels stay, so without evidence the head learns to say the prior."""


def train_head(
    tokens: tuple[Tensor, Tensor, Tensor],
    towers: tuple[Aided, Aided, Aided],
    events: Events,
    config: ModelConfig,
    plan: Plan,
    seed: int,
    log: Log,
) -> FusionHead:
    """Train the head on ``events``; the sentiment of each modality alone is taken from its tower's stage."""
    torch.manual_seed(seed * 10 + 7)
    head = FusionHead(config)
    for own, tower in zip(head.unimodal, towers, strict=True):
        own.load_state_dict(tower.sentiment.state_dict())
    head.unimodal.requires_grad_(False)
    learnt = [p for p in head.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(learnt, lr=plan.rate, weight_decay=plan.decay)
    steps = plan.epochs * math.ceil(len(events) / plan.rows)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, plan.rate, total_steps=steps, pct_start=0.1)
    sentiment = torch.from_numpy(events.sentiment).long()
    labels = torch.from_numpy(events.labels).long()
    for epoch in range(plan.epochs):
        total, count = 0.0, 0
        for rows in torch.randperm(len(events)).split(plan.rows):
            slots, presence = slots_of(tokens, events, rows)
            presence = presence * (torch.rand(presence.shape) >= DROPPED)
            said, flagged, _, _ = head(*slots, presence)
            loss = sentiment_loss(said, sentiment[rows]) + moderation_loss(flagged, labels[rows])
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(learnt, 1.0)
            optimiser.step()
            schedule.step()
            total, count = total + float(loss.detach()), count + 1
        log(f"fusion head: epoch {epoch + 1} of {plan.epochs}, loss {total / count:.3f}")
    return head.eval()


def slots_of(
    tokens: tuple[Tensor, Tensor, Tensor], events: Events, rows: Tensor
) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
    """The slots [B, K, D] and presence float32 [B, 3] of some events; absent slots hold some other row."""
    chosen = torch.from_numpy(events.rows)[rows].long()
    text, image, audio = (tokens[m][chosen[:, m].clamp(min=0)] for m in range(len(MODALITIES)))
    return (text, image, audio), (chosen >= 0).float()
