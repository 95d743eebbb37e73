"""The finished towers of the shipped bundles, each with its expert and what it was taught."""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: allow-subclassing-any, no-warn-return-any

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engines.model.bags import BagTower, PieceBag
from engines.model.config import ModelConfig
from engines.model.quantised import quantise
from engines.model.text import BilingualTower, WideTower
from engines.training.release.labels import LABELS
from engines.training.text import rows
from engines.training.text.bags import BAG_TOKENS
from engines.training.text.fit import Judged
from engines.training.text.learn import ENCODER_TOKENS, WIDTH


@dataclass(frozen=True, slots=True)
class Taught:
    """A tower, its expert Linear(K·D → 3 + labels), and ``taught`` float32 [1 + labels]: 1 for sentiment and
    each label that it learnt.
    """

    tower: nn.Module
    expert: nn.Linear
    taught: Tensor
    tokens: int


def config(text_tokens: int) -> ModelConfig:
    """The sizes of a shipped bundle's networks."""
    return ModelConfig(LABELS.names, width=WIDTH, text_tokens=text_tokens)


def starter_text(english: Judged, chinese: Judged) -> Taught:
    """Two encoders and their bags, which share an expert, as one tower, weights as bytes."""
    assert isinstance(english.tower, WideTower)
    assert isinstance(chinese.tower, WideTower)
    both = BilingualTower(english.tower, chinese.tower)
    return _text(quantise(both, (PieceBag,)), english.expert, ENCODER_TOKENS)


def edge_text(bag: Judged) -> Taught:
    """The bag alone, weights as bytes."""
    return _text(quantise(bag.tower, (BagTower,)), bag.expert, BAG_TOKENS)


def _text(tower: nn.Module, own: nn.Linear, tokens: int) -> Taught:
    places = [*range(3), *(3 + LABELS.names.index(name) for name in rows.LABELS)]
    expert = nn.Linear(tokens * WIDTH, 3 + len(LABELS))
    taught = torch.zeros(1 + len(LABELS))
    taught[[0, *(place - 2 for place in places[3:])]] = 1.0
    with torch.no_grad():
        expert.weight.zero_()
        expert.bias.zero_()
        expert.weight[places], expert.bias[places] = own.weight, own.bias
    return Taught(tower.eval(), expert.eval(), taught, tokens)
