"""The audio tower and its expert, from acted speech and generated sounds together, and how well it hears
speakers that it never heard.
"""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: allow-subclassing-any, no-warn-return-any

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from engines.batch import SENTIMENTS, Int16
from engines.model.config import ModelConfig
from engines.model.prosody import Prosody
from engines.model.voice import MEMBERS, VoiceTower
from engines.preprocess.spec import AudioSpec
from engines.training import media
from engines.training.acoustics import elsewhere
from engines.training.metrics import confusion, macro_recall
from engines.training.taxonomy import UNKNOWN, Part
from engines.training.voices import EMOTIONS, SENTIMENT_OF, Voice

Log = Callable[[str], None]
Array = NDArray[Any]

COPIES: Final = 10
"""How often each recording is heard elsewhere (`acoustics.elsewhere`), besides as it is."""
_T95: Final = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)
"""Student's t, two-sided 95 %, for 1, 2, … degrees of freedom."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How the members are fitted: steps, and rows of speech in each (half as many sounds)."""

    steps: int = 500
    rows: int = 96
    rate: float = 2e-3
    decay: float = 0.05
    dropout: float = 0.3
    blind: float = 0.1
    """Share of the statistics that are hidden from a row."""


@dataclass(frozen=True, slots=True)
class Material:
    """What training reads: statistics float32 [1 + copies, voices, `Prosody.size`] and [sounds, size].

    ``emotion`` int64 [voices], ``speaker`` str [voices]; ``sentiment`` int64 [sounds], ``labels`` int64
    [sounds, labels], -1 where it is unknown; only sounds of the training split.
    """

    voices: NDArray[np.float32]
    emotion: NDArray[np.int64]
    speaker: NDArray[np.str_]
    sounds: NDArray[np.float32]
    sentiment: NDArray[np.int64]
    labels: NDArray[np.int64]

    def of(self, kept: NDArray[np.bool_]) -> Material:
        """With some of the voices only."""
        voices, emotion, speaker = self.voices[:, kept], self.emotion[kept], self.speaker[kept]
        return replace(self, voices=voices, emotion=emotion, speaker=speaker)


@dataclass(frozen=True, slots=True)
class Heard:
    """A finished tower, its expert Linear(K·D → 3 + labels), and ``taught`` float32 [1 + labels] for
    `FusionHead.adopt`: 1 for sentiment and each label that some sound was marked for.
    """

    tower: VoiceTower
    expert: nn.Linear
    taught: Tensor

    def logits(self, statistics: Array) -> Array:
        """float32 [n, `Prosody.size`] → float32 [n, 3 + labels]."""
        with torch.inference_mode():
            tokens = self.tower.from_statistics(torch.from_numpy(statistics))
            out: Array = self.expert(tokens.flatten(1)).numpy()
        return out


def prepare(
    voices: Sequence[Voice],
    sounds: Sequence[Part],
    config: ModelConfig,
    seed: int,
    log: Log,
    copies: int = COPIES,
) -> Material:
    """Hear everything once: recordings as they are and ``copies`` times elsewhere, and the sounds."""
    rng, prosody = np.random.default_rng([seed, 7]), Prosody(config.rate)
    plain = [voice.samples.astype(np.float32) / 32768.0 for voice in voices]
    rounds = [_statistics(prosody, [voice.samples for voice in voices])]
    for turn in range(copies):
        moved = [(elsewhere(rng, samples) * 32767.0).astype(np.int16) for samples in plain]
        rounds.append(_statistics(prosody, moved))
        log(f"voices: heard elsewhere, {turn + 1} of {copies}")
    kept = [part for part in sounds if part.split == "train"]
    return Material(
        np.stack(rounds),
        np.array([voice.emotion for voice in voices]),
        np.array([voice.speaker for voice in voices]),
        _statistics(prosody, media.samples(kept, AudioSpec(10.0, config.rate))),
        np.array([part.sentiment for part in kept], np.int64),
        np.array([[p.labels.get(n, UNKNOWN) for n in config.labels] for p in kept], np.int64),
    )


def train_audio(
    material: Material, config: ModelConfig, seed: int, log: Log, plan: Plan | None = None
) -> Heard:
    """Fit tower and expert on all that was prepared; a minute on one thread.

    Speech shows no label that sounds show; a voice that is angry is no scream.
    """
    plan = plan or Plan()
    torch.manual_seed(seed)
    rng = np.random.default_rng([seed, 8])
    tower, teacher = VoiceTower(config), _Teacher(config)
    flat = material.voices.reshape(-1, Prosody.size)
    tower.middle.copy_(torch.from_numpy(flat.mean(axis=0)))
    tower.scale.copy_(torch.from_numpy(flat.std(axis=0) + 1e-2))
    weights = [*tower.parameters(), *teacher.parameters()]
    optimiser = torch.optim.AdamW(weights, lr=plan.rate, weight_decay=plan.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, plan.rate, total_steps=plan.steps, pct_start=0.1
    )
    chances = _chances(material)
    for step in range(plan.steps):
        loss = _loss(tower, teacher, material, _draw(rng, material, chances, plan), plan)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if (step + 1) % 250 == 0:
            log(f"audio tower: step {step + 1} of {plan.steps}, loss {float(loss.detach()):.3f}")
    known = torch.from_numpy((material.labels != UNKNOWN).any(axis=0).astype(np.float32))
    heard = Heard(tower.eval(), teacher.expert, torch.cat([torch.ones(1), known]))
    _level(heard, material)
    return heard


class _Teacher(nn.Module):
    """The expert, and what names the emotion acted: sentiment alone would take sadness for calm."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        size = config.audio_tokens * config.width
        self.expert = nn.Linear(size, len(SENTIMENTS) + len(config.labels))
        self.emotion = nn.Linear(size, len(EMOTIONS))


def _chances(material: Material) -> NDArray[np.float64]:
    """How likely each recording is drawn: sentiments alike, emotions within, speakers within."""
    chances = np.zeros(len(material.emotion))
    for emotion, sentiment in enumerate(SENTIMENT_OF):
        for speaker in np.unique(material.speaker):
            own = (material.emotion == emotion) & (material.speaker == speaker)
            chances[own] = 1.0 / SENTIMENT_OF.count(sentiment) / max(1, own.sum())
    return chances / chances.sum()


def _draw(
    rng: np.random.Generator, material: Material, chances: NDArray[np.float64], plan: Plan
) -> tuple[Array, Array, Array]:
    """Rows of speech, which copy of each, and rows of sounds."""
    voices = rng.choice(len(chances), plan.rows, p=chances)
    copies = rng.integers(len(material.voices), size=plan.rows)
    return voices, copies, rng.integers(len(material.sounds), size=plan.rows // 2)


def _loss(
    tower: VoiceTower, teacher: _Teacher, material: Material, drawn: tuple[Array, Array, Array], plan: Plan
) -> Tensor:
    voices, copies, sounds = drawn
    rows = np.concatenate([material.voices[copies, voices], material.sounds[sounds]])
    emotion = torch.from_numpy(material.emotion[voices])
    spoken = torch.tensor(SENTIMENT_OF)[emotion]
    sentiment = torch.cat([spoken, torch.from_numpy(material.sentiment[sounds])])
    taught = (material.labels != UNKNOWN).any(axis=0)
    none = np.where(taught, 0, UNKNOWN)[None].repeat(len(voices), axis=0)
    labels = torch.from_numpy(np.concatenate([none, material.labels[sounds]]))
    x = tower.standard(torch.from_numpy(rows))
    x = torch.where(torch.rand(x.shape) < plan.blind, 0.0, x)
    read = functional.dropout(tower.read(x, plan.dropout), plan.dropout / 2)
    said, felt = _each(teacher.expert, read), _each(teacher.emotion, read[: len(voices)])
    return (
        functional.cross_entropy(
            said[..., :3].mT, _for_each(sentiment), ignore_index=-1, label_smoothing=0.05
        )
        + functional.cross_entropy(felt.mT, _for_each(emotion), label_smoothing=0.05)
        + _label_loss(said[..., 3:], labels.unsqueeze(1).expand(-1, MEMBERS, -1))
    )


def _each(layer: nn.Linear, read: Tensor) -> Tensor:
    """What each member alone would say, [rows, members, out]; ``layer`` says their mean. Members that are
    taught together lean on each other, and then they are one network.
    """
    parts, weights = read.unflatten(1, (MEMBERS, -1)), layer.weight.unflatten(1, (MEMBERS, -1))
    return torch.einsum("rmk,omk->rmo", parts, weights) * MEMBERS + layer.bias


def _for_each(truth: Tensor) -> Tensor:
    return truth.unsqueeze(1).expand(-1, MEMBERS)


def _label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    known = (labels != UNKNOWN).to(torch.float32)
    each = functional.binary_cross_entropy_with_logits(logits, labels.clamp(min=0).float(), reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1.0)


def _level(heard: Heard, material: Material) -> None:
    """Give every token value the size 1, and the expert the inverse: the fusion wants even inputs."""
    rows = np.concatenate([material.voices[0], material.sounds])
    with torch.no_grad():
        size = (
            heard.tower.from_statistics(torch.from_numpy(rows)).flatten(1).square().mean(dim=0).sqrt() + 1e-2
        )
        heard.tower.second.div_(size.unflatten(0, (len(heard.tower.second), 1, -1)))
        heard.tower.offset.div_(size)
        heard.expert.weight *= size


def _statistics(prosody: Prosody, rows: Sequence[Int16]) -> NDArray[np.float32]:
    out = np.zeros((len(rows), Prosody.size), np.float32)
    with torch.inference_mode():
        for k, row in enumerate(rows):
            length = torch.tensor([len(row)], dtype=torch.int32)
            out[k] = prosody(torch.from_numpy(row.astype(np.float32))[None], length)[0].numpy()
    return out


@dataclass(frozen=True, slots=True)
class Unheard:
    """How well speakers are heard that training never heard.

    ``speakers`` each with its macro recall; ``mean`` of them with the 95 % interval ``low`` … ``high``
    (Student's t over speakers); ``confusion`` [3][3] over all, rows are the truth; ``recalls`` of negative,
    neutral, positive over all.
    """

    speakers: dict[str, float]
    mean: float
    low: float
    high: float
    confusion: list[list[int]]
    recalls: list[float]

    def lines(self) -> list[str]:
        """Markdown for the model card."""
        rows = [
            f"| {name} | {', '.join(map(str, row))} | {recall:.2f} |"
            for name, row, recall in zip(SENTIMENTS, self.confusion, self.recalls, strict=True)
        ]
        return [
            f"Sentiment of voices by speakers never heard ({len(self.speakers)}, each left out in turn): "
            f"macro recall {self.mean:.3f} (95 % interval {self.low:.3f} to {self.high:.3f}, over speakers).",
            "",
            f"| truth | heard as {', '.join(SENTIMENTS)} | recall |",
            "|---|---|---|",
            *rows,
        ]


def leave_speakers_out(
    material: Material, config: ModelConfig, seed: int, log: Log, plan: Plan | None = None
) -> Unheard:
    """Train once for each speaker without it, and let it judge that speaker's recordings as they are."""
    truth = np.array(SENTIMENT_OF)[material.emotion]
    guess = np.zeros_like(truth)
    speakers: dict[str, float] = {}
    for speaker in np.unique(material.speaker):
        left = material.speaker == speaker
        heard = train_audio(material.of(~left), config, seed, lambda _: None, plan)
        guess[left] = heard.logits(material.voices[0, left])[:, :3].argmax(axis=1)
        speakers[str(speaker)] = macro_recall(truth[left], guess[left])
        log(f"voices: speaker {speaker} left out, macro recall {speakers[str(speaker)]:.3f}")
    each = np.array(list(speakers.values()))
    table = confusion(truth, guess)
    spread = each.std(ddof=1) / np.sqrt(len(each)) * _T95[min(len(each) - 1, len(_T95)) - 1]
    recalls = (table.diagonal() / table.sum(axis=1).clip(min=1)).tolist()
    mean = float(each.mean())
    return Unheard(speakers, mean, mean - float(spread), mean + float(spread), table.tolist(), recalls)
