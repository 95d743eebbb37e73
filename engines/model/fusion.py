"""The fusion head: tokens of three modalities → every answer.

Late fusion of experts that were taught alone, plus what only several modalities together tell. Trained
jointly, a head learns the labels that one modality gives away and never the interactions; so the experts are
finished first (stage A) and frozen, and what is left to learn (stage B) is the cross term.
"""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: allow-subclassing-any, no-warn-return-any

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.export import Dim

from engines.batch import MODALITIES, SENTIMENTS
from engines.model.config import ModelConfig
from engines.model.mixing import FUSIONS, MODES, kinds_of, means
from engines.model.parts import MASKED, Shapes

__all__ = ["FUSIONS", "FusionHead"]

_CLASSES = len(SENTIMENTS)


class FusionHead(nn.Module):
    """Tokens and presence → all answers at once; LayerNorm only, so no row depends on its batch.

    An event of one modality gets exactly what that modality's expert says: the cross term counts from two
    on, and is zero until it is trained, so that an untrained head over finished experts is late fusion.
    """

    inputs = (*MODALITIES, "presence")
    taught: Tensor
    kind: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.counts, self.width, self.graded = config.counts, config.width, config.severity
        width, labels = config.width, len(config.labels)
        # No output is without width: not every engine computes with such.
        told = ("sentiment", *["moderation"] * (labels > 0), "unimodal", "embedding")
        self.outputs = (*told, *["severity"] * config.severity)
        self.experts = nn.ModuleList([nn.Linear(k * width, _CLASSES + labels) for k in self.counts])
        self.register_buffer("taught", torch.ones(MODES, labels))
        self.register_buffer("kind", kinds_of(config))
        self.missing = nn.Parameter(torch.randn(len(self.kind), width) * 0.02)
        self.fusion = FUSIONS[config.fusion](config)
        self.norm = nn.LayerNorm(width)
        # Pairwise products give the labels that need two modalities a direct path.
        self.hidden = nn.Linear(width * (1 + MODES), 2 * width)
        self.cross = nn.Linear(2 * width, _CLASSES + labels)
        nn.init.zeros_(self.cross.weight)
        nn.init.zeros_(self.cross.bias)
        sizes = self.counts if config.severity else ()
        self.grades = nn.ModuleList([nn.Linear(k * width, labels) for k in sizes])

    def example(self) -> tuple[tuple[Tensor, ...], Shapes]:
        """Slots and presence of two events, any number of them."""
        slots = tuple(torch.zeros(2, count, self.width) for count in self.counts)
        return (*slots, torch.ones(2, MODES)), tuple({0: Dim("rows", min=1)} for _ in range(4))

    def adopt(self, experts: Sequence[nn.Linear], taught: Tensor) -> None:
        """Take finished experts, Linear(K·D → 3 + labels) each, and freeze them.

        ``taught`` float32 [3, 1 + labels] is 1 where a modality was taught its sentiment (column 0) or a
        label; what an expert was not taught, it doesn't say.
        """
        with torch.no_grad():
            for own, expert, knows in zip(self.experts, experts, taught[:, 0], strict=True):
                assert isinstance(own, nn.Linear)
                own.load_state_dict(expert.state_dict())
                own.weight[:_CLASSES] *= knows
                own.bias[:_CLASSES] *= knows
            self.taught.copy_(taught[:, 1:])
        self.experts.requires_grad_(False)

    def forward(self, text: Tensor, image: Tensor, audio: Tensor, presence: Tensor) -> tuple[Tensor, ...]:
        """Slots [B, K, D] each, ``presence`` float32 [B, 3] → sentiment [B, 3], moderation [B, labels] where
        there are labels, unimodal [B, 3, 3] (all logits), embedding [B, D], and severity [B, labels] (the
        logit of grade ÷ 7) where the bundle grades. Absent slots may hold anything, even NaN.
        """
        here = presence > 0.5
        # where, never a product: 0 · NaN = NaN, and an absent slot is an uninitialised buffer.
        slots = torch.cat([text, image, audio], dim=1)
        slots = torch.where(here[:, self.kind].unsqueeze(-1), slots, self.missing)
        flat = [own.flatten(1) for own in slots.split(self.counts, dim=1)]
        said = torch.stack([expert(own) for expert, own in zip(self.experts, flat, strict=True)], dim=1)
        unimodal, labels = said[..., :_CLASSES], said[..., _CLASSES:]
        alone = torch.where(here.unsqueeze(-1), unimodal, 0.0).sum(dim=1)
        heard = here.unsqueeze(-1) & (self.taught > 0.5)
        odds, weights = _sum_of_odds(labels, heard)
        fused = self.norm(self.fusion(slots, here.to(torch.float32)))
        cross = torch.where(here.sum(dim=1, keepdim=True) > 1, self._cross(slots, here, fused), 0.0)
        if "moderation" not in self.outputs:
            return alone + cross, unimodal, fused
        answers = (alone + cross[:, :_CLASSES], odds + cross[:, _CLASSES:], unimodal, fused)
        if not self.graded:
            return answers
        grades = torch.stack([grade(own) for grade, own in zip(self.grades, flat, strict=True)], dim=1)
        return (*answers, (grades * weights).sum(dim=1))

    def _cross(self, slots: Tensor, here: Tensor, fused: Tensor) -> Tensor:
        """[B, 3 + labels]: what the modalities say only together."""
        seen = torch.where(here.unsqueeze(-1), means(slots, self.counts), 0.0)
        pairs = [seen[:, 0] * seen[:, 1], seen[:, 0] * seen[:, 2], seen[:, 1] * seen[:, 2]]
        answer: Tensor = self.cross(torch.relu(self.hidden(torch.cat([fused, *pairs], dim=1))))
        return answer


def _sum_of_odds(logits: Tensor, heard: Tensor) -> tuple[Tensor, Tensor]:
    """Logits [B, 3, labels] of those ``heard`` (bool) as one [B, labels]: the log of the sum of their odds,
    0 where none is heard; and each modality's share in it [B, 3, labels].
    """
    masked = torch.where(heard, logits, MASKED)
    top = masked.amax(dim=1, keepdim=True)
    parts = torch.exp(masked - top)
    total = parts.sum(dim=1, keepdim=True)
    some = heard.any(dim=1, keepdim=True)
    odds = torch.where(some, top + torch.log(total), 0.0)
    return odds.squeeze(1), torch.where(some, parts / total, 0.0)
