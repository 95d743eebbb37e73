"""Losses that know which labels of a row are annotated."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

UNKNOWN = -1
"""The value of a label that nobody annotated; it costs nothing and teaches nothing."""

GRADES = 7
"""The highest grade of severity; the lowest is 0."""


def sentiment_loss(logits: Tensor, target: Tensor, smoothing: float = 0.03) -> Tensor:
    """Cross-entropy over ``logits`` [B, classes], ``target`` int64 [B] with `UNKNOWN` left out."""
    if not bool((target != UNKNOWN).any()):
        return logits.sum() * 0.0
    return functional.cross_entropy(logits, target, ignore_index=UNKNOWN, label_smoothing=smoothing)


def moderation_loss(logits: Tensor, target: Tensor, smoothing: float = 0.01) -> Tensor:
    """Binary cross-entropy over ``logits`` [B, labels], ``target`` int64 [B, labels], mean over the known."""
    known = (target != UNKNOWN).to(logits.dtype)
    soft = target.clamp(min=0).to(logits.dtype) * (1 - 2 * smoothing) + smoothing
    loss = functional.binary_cross_entropy_with_logits(logits, soft, reduction="none")
    return (loss * known).sum() / torch.clamp(known.sum(), min=1.0) * 4.0


def severity_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of ``logits`` [B, labels] with ``target`` int64 [B, labels], grades 0…7 or `UNKNOWN`:
    the sigmoid of a logit is the grade ÷ 7.
    """
    known = (target != UNKNOWN).to(logits.dtype)
    grade = target.clamp(min=0).to(logits.dtype) / GRADES
    loss = functional.binary_cross_entropy_with_logits(logits, grade, reduction="none")
    return (loss * known).sum() / torch.clamp(known.sum(), min=1.0)
