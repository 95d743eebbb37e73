"""Other people's classifiers as one tower: their logits, mapped to our classes and labels, are its token."""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: allow-subclassing-any, no-warn-return-any

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.export import Dim

from engines.batch import SENTIMENTS
from engines.model.bodies import AudioInput, ImageInput, TextInput
from engines.model.parts import Shapes
from engines.model.speech import SpeechBody, mean_frame

Activation = Literal["softmax", "sigmoid"]
CLASSES = len(SENTIMENTS)


@dataclass(frozen=True, slots=True)
class Mapping:
    """Which of a model's classes, by number, stand for each sentiment and for each of our labels."""

    activation: Activation
    classes: int
    sentiments: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
    labels: dict[int, tuple[int, ...]]

    def sentiment(self, logits: Tensor) -> Tensor:
        """``logits`` [B, classes] → [B, 3]; a model without neutral gets one midway between its two."""
        if self.activation == "sigmoid":
            logits = nn.functional.logsigmoid(logits)
        said = [logits[:, own].logsumexp(dim=1) if own else None for own in map(list, self.sentiments)]
        negative, neutral, positive = said
        assert negative is not None
        assert positive is not None
        if neutral is None:
            neutral = (negative + positive) * 0.5
        return torch.stack([negative, neutral, positive], dim=1)

    def label(self, logits: Tensor, own: tuple[int, ...]) -> Tensor:
        """``logits`` [B, classes] → [B]: log-odds of any of the classes ``own`` against all others."""
        said = logits[:, list(own)].logsumexp(dim=1)
        if self.activation == "sigmoid":
            return said
        others = [k for k in range(self.classes) if k not in own]
        return said - logits[:, others].logsumexp(dim=1)


class Classifier(nn.Module):
    """A model with its own head: a modality's inputs → its logits, as transformers gives them."""

    def __init__(self, model: Any, entry: TextInput | ImageInput | AudioInput) -> None:
        super().__init__()
        self.model, self.entry, self.inputs = model, entry, entry.inputs

    def forward(self, *inputs: Tensor) -> Tensor:
        """→ float32 [B, classes]."""
        given, valid = self.entry(*inputs)
        if self.model.config.model_type != "modernbert":
            logits: Tensor = self.model(**given).logits
            return logits
        assert valid is not None  # it pools by a mask of another form than it attends by
        hidden = self.model.model(**given).last_hidden_state
        mean = self.model.config.classifier_pooling == "mean"
        pooled = mean_frame(hidden, valid) if mean else hidden[:, 0]
        answer: Tensor = self.model.classifier(self.model.head(pooled))
        return answer


class SpeechClassifier(nn.Module):
    """The same for Wav2Vec2, HuBERT and WavLM: the mean of their frames, of one layer or of all."""

    inputs = ("samples", "lengths")

    def __init__(self, model: Any, normalised: bool) -> None:
        super().__init__()
        self.speech = SpeechBody(getattr(model, model.base_model_prefix), normalised)
        self.projector, self.classifier = model.projector, model.classifier
        self.weights = model.layer_weights if model.config.use_weighted_layer_sum else None

    def forward(self, samples: Tensor, lengths: Tensor) -> Tensor:
        """→ float32 [B, classes]."""
        states, valid = self.speech(samples, lengths)
        x = states[-1]
        if self.weights is not None:
            shares = torch.softmax(self.weights, dim=-1)
            x = torch.stack([share * state for share, state in zip(shares, states, strict=True)]).sum(dim=0)
        answer: Tensor = self.classifier(mean_frame(self.projector(x), valid))
        return answer


class MappedTower(nn.Module):
    """Classifiers of one modality → one token [B, 1, D] that begins with 3 sentiment and L label logits.

    Where several speak of the same, their sentiment logits are added, and the odds of their labels too, as
    the head does between modalities.
    """

    outputs = ("tokens",)

    def __init__(
        self, parts: Sequence[tuple[Classifier | SpeechClassifier, Mapping]], labels: int, width: int,
        example: tuple[tuple[Tensor, ...], Shapes],
    ) -> None:  # fmt: skip
        super().__init__()
        self.classifiers: Any = nn.ModuleList([classifier for classifier, _ in parts])
        self.mappings = [mapping for _, mapping in parts]
        self.inputs = tuple(dict.fromkeys(name for classifier, _ in parts for name in classifier.inputs))
        self.labels, self.width, self._example = labels, width, example

    def example(self) -> tuple[tuple[Tensor, ...], Shapes]:
        """Inputs of two rows to trace with, and their axes of any size."""
        return self._example

    @property
    def taught(self) -> Tensor:
        """float32 [1 + labels]: 1 where the tower speaks of sentiment (first) or of a label."""
        row = torch.zeros(1 + self.labels)
        for mapping in self.mappings:
            row[0] = max(float(row[0]), float(any(mapping.sentiments)))
            row[[1 + k for k in mapping.labels]] = 1.0
        return row

    def forward(self, *inputs: Tensor) -> Tensor:
        """→ float32 [B, 1, D]."""
        named = dict(zip(self.inputs, inputs, strict=True))
        sentiment, said = [], [[] for _ in range(self.labels)]  # type: tuple[list[Tensor], list[list[Tensor]]]
        logits = inputs[0].new_zeros(())
        for classifier, mapping in zip(self.classifiers, self.mappings, strict=True):
            logits = classifier(*(named[name] for name in classifier.inputs))
            if any(mapping.sentiments):
                sentiment.append(mapping.sentiment(logits))
            for k, own in mapping.labels.items():
                said[k].append(mapping.label(logits, own))
        nothing = torch.zeros_like(logits[:, :1])
        columns = [torch.stack(sentiment).sum(dim=0) if sentiment else nothing.expand(-1, CLASSES)]
        columns += [torch.stack(own).logsumexp(dim=0).unsqueeze(1) if own else nothing for own in said]
        token = torch.cat(columns, dim=1)
        return nn.functional.pad(token, (0, self.width - token.shape[1])).unsqueeze(1)


def text_example(channels: Sequence[str]) -> tuple[tuple[Tensor, ...], Shapes]:
    """Two texts by several tokenizers, any number of any length."""
    rows = Dim("rows", min=1)
    texts = tuple(torch.ones(2, 7 + k, dtype=torch.int32) for k in range(len(channels)))
    return texts, tuple({0: rows, 1: Dim(f"length_{k}", min=1)} for k in range(len(channels)))
