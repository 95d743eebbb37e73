"""What rows should answer, as soft targets with weights: masks, class weights, teachers are one thing."""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: no-warn-return-any

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from engines.batch import SENTIMENTS
from engines.training.taxonomy import UNKNOWN

HEAVIEST: Final = 8.0
"""The most that a rare class counts beside a common one."""
SMOOTHED: Final = (0.03, 0.01)
"""How far hard targets are from 0 and 1: sentiment, labels."""
_LABELS_WEIGH: Final = 4.0
_CLASSES: Final = len(SENTIMENTS)


@dataclass(frozen=True, slots=True)
class Targets:
    """Float32: ``sentiment`` [n, 3] and ``labels`` [n, L] hold chances, ``sentiment_weight`` [n] and
    ``label_weight`` [n, L] what each counts; 0 = nobody knows.
    """

    sentiment: Tensor
    sentiment_weight: Tensor
    labels: Tensor
    label_weight: Tensor

    def at(self, rows: Any) -> Targets:
        """Some rows."""
        return Targets(*(getattr(self, name)[rows] for name in self.__slots__))

    def to(self, device: torch.device) -> Targets:
        """The same on another device."""
        return Targets(*(getattr(self, name).to(device) for name in self.__slots__))


def hard(
    sentiment: NDArray[Any], labels: NDArray[Any], learnt: NDArray[np.bool_], weigh: bool = True
) -> Targets:
    """From annotations int [n] and int [n, L]; rare classes among ``learnt`` bool [n] weigh more."""
    known = sentiment != UNKNOWN
    own = np.eye(_CLASSES, dtype=np.float32)[np.where(known, sentiment, 0)]
    own = own * (1 - SMOOTHED[0]) + SMOOTHED[0] / _CLASSES
    counts = np.bincount(sentiment[known & learnt], minlength=_CLASSES).astype(np.float64)
    weights = _rarity(counts) if weigh else np.ones(_CLASSES)
    asked = labels != UNKNOWN
    chances = np.where(labels == 1, 1 - SMOOTHED[1], SMOOTHED[1])
    label_weights = asked.astype(np.float32)
    for k in range(labels.shape[1] if weigh else 0):
        yes, no = (float(((labels[:, k] == value) & learnt).sum()) for value in (1, 0))
        pair = _rarity(np.array([no, yes]))
        label_weights[:, k] *= np.where(labels[:, k] == 1, pair[1], pair[0])
    return Targets(
        _tensor(own), _tensor(known * weights[np.where(known, sentiment, 0)]),
        _tensor(chances), _tensor(label_weights),
    )  # fmt: skip


def taught_by(
    targets: Targets, sentiment: NDArray[np.floating], labels: NDArray[np.floating], share: float
) -> Targets:
    """Mixed with a teacher's chances [n, 3] and [n, L], NaN where it has none; where people left something
    open the teacher speaks alone, and counts ``share``.
    """
    says, tells = ~np.isnan(sentiment).any(axis=1), ~np.isnan(labels)
    own, own_weight = _mixed(targets.sentiment, targets.sentiment_weight, sentiment, says, share)
    chances, weights = _mixed(targets.labels, targets.label_weight, labels, tells, share)
    return Targets(own, own_weight, chances, weights)


def loss(sentiment: Tensor, labels: Tensor, targets: Targets) -> Tensor:
    """Of logits [B, 3] and [B, L]: cross-entropies, each a mean over what is known."""
    own = -(targets.sentiment * functional.log_softmax(sentiment, dim=1)).sum(dim=1)
    total = (own * targets.sentiment_weight).sum() / targets.sentiment_weight.sum().clamp(min=1.0)
    if not labels.shape[1]:
        return total
    each = functional.binary_cross_entropy_with_logits(labels, targets.labels, reduction="none")
    weight = targets.label_weight
    return total + _LABELS_WEIGH * (each * weight).sum() / weight.sum().clamp(min=1.0)


def _mixed(
    targets: Tensor, weights: Tensor, says: NDArray[Any], there: NDArray[np.bool_], share: float
) -> tuple[Tensor, Tensor]:
    teacher, heard = _tensor(np.nan_to_num(says)), torch.from_numpy(there)
    known, wide = weights > 0, (...,) if says.shape == there.shape else (..., None)
    mixed = torch.where(known[wide], (1 - share) * targets + share * teacher, teacher)
    chances = torch.where(heard[wide], mixed, targets)
    return chances, torch.where(heard & ~known, torch.full_like(weights, share), weights)


def _rarity(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights of classes by the root of how rare they are, 1 on average over the rows."""
    if not counts.sum() or not counts.all():
        return np.ones(len(counts))
    weights = np.minimum(np.sqrt(counts.max() / counts), HEAVIEST)
    return np.asarray(weights * counts.sum() / (weights * counts).sum())


def _tensor(array: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
