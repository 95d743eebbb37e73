"""Someone's encoder as a tower: hidden states → resampler → K tokens, frozen, fine-tuned or by LoRA."""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: allow-subclassing-any, no-warn-return-any

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from engines.errors import EngineError
from engines.model.bodies import AudioInput, Body, ImageInput, SpeechEncoder, TextInput
from engines.model.checkpoint import Checkpoint, open_checkpoint, quiet
from engines.model.parts import Resampler, Shapes, padding_bias
from engines.model.preparation import clap_mel, kaldi_mel, pixels_of, whisper_mel

Tuning = Literal["frozen", "lora", "full"]


@dataclass(frozen=True, slots=True)
class Lora:
    """Low-rank adaptation (Hu et al. 2021): rank, and alpha by which the change is scaled."""

    rank: int = 8
    alpha: int = 16


class PretrainedTower(nn.Module):
    """A body, whose hidden states a resampler reads into K tokens of width D."""

    outputs = ("tokens",)

    def __init__(self, body: Body | SpeechEncoder, tokens: int, width: int) -> None:
        super().__init__()
        self.body = body
        depth = depth_of(body.model)
        self.project = nn.Sequential(nn.LayerNorm(depth), nn.Linear(depth, width))
        self.resampler = Resampler(width, tokens)
        self._adapted: list[Any] = []  # in a list: its weights are the body's, and must not count twice
        self._still = False

    @classmethod
    def load(
        cls, modality: str, folder: Path, tokens: int, width: int, tuning: Tuning = "frozen"
    ) -> PretrainedTower:
        """The tower of a checkpoint; raises EngineError for what is missing, unsafe or not supported."""
        tower = cls(body_of(open_checkpoint(folder, modality)), tokens, width)
        tower.tune(tuning)
        return tower

    @property
    def inputs(self) -> tuple[str, ...]:
        """The graph's inputs."""
        return self.body.inputs

    def example(self) -> tuple[tuple[Tensor, ...], Shapes]:
        """Inputs of two rows to trace with, and their axes of any size."""
        return self.body.example()

    def forward(self, *inputs: Tensor) -> Tensor:
        """The modality's inputs → float32 [B, K, D]."""
        hidden, valid = self.body(*inputs)
        tokens: Tensor = self.resampler(self.project(hidden), padding_bias(valid).unsqueeze(-1))
        return tokens

    def tune(self, tuning: Tuning, lora: Lora | None = None) -> None:
        """Which of the encoder's weights learn: none, all, or low-rank additions; raises EngineError."""
        self.body.model.requires_grad_(tuning == "full")
        self._still = tuning == "frozen"
        self.train(self.training)
        if tuning == "lora" and not self._adapted:
            self._adapted.append(_adapted(self.body.model, lora or Lora()))

    def train(self, mode: bool = True) -> PretrainedTower:
        """As every torch module has it; but a frozen encoder never drops anything out."""
        super().train(mode)
        if self._still:
            self.body.eval()
        return self

    def merge(self) -> None:
        """Add what LoRA learnt to the weights themselves: needed before export, harmless at any time."""
        for adapted in self._adapted:
            adapted.merge_and_unload()
        self._adapted.clear()


def body_of(checkpoint: Checkpoint) -> Body | SpeechEncoder:
    """The encoder of a checkpoint with the input it was trained on; raises EngineError."""
    front, model = checkpoint.architecture.front, checkpoint.encoder()
    if front == "speech":
        return SpeechEncoder(model, bool(checkpoint.prepared.get("do_normalize", True)))
    return Body(model, entry_of(checkpoint, model))


def entry_of(checkpoint: Checkpoint, model: Any, name: str = "ids") -> TextInput | ImageInput | AudioInput:
    """What makes a model's arguments from the graph's inputs; ``name`` is the text channel."""
    front = checkpoint.architecture.front
    if front == "text":
        return TextInput(model.config, name)
    if front == "pixels":
        return ImageInput(pixels_of(checkpoint))
    if front == "whisper":
        return AudioInput(whisper_mel(checkpoint))
    if front == "ast":
        return AudioInput(kaldi_mel(checkpoint))
    disable_fusion(model)
    return AudioInput(clap_mel(checkpoint))


def disable_fusion(model: Any) -> None:
    """CLAP's fusion concerns sounds beyond its window, of which nothing is heard here."""
    encoder = getattr(model, "audio_encoder", None)
    if encoder is not None:
        encoder.enable_fusion = encoder.patch_embed.enable_fusion = False


def depth_of(model: nn.Module) -> int:
    """The width of an encoder's hidden states."""
    config: Any = model.config
    if config.model_type == "clap_audio_model":
        return int(config.patch_embeds_hidden_size * 2 ** (len(config.depths) - 1))
    for name in ("hidden_sizes", "hidden_size", "d_model", "dim"):
        found = getattr(config, name, None)
        if found:
            return int(found[-1] if isinstance(found, list | tuple) else found)
    raise EngineError("The encoder cannot be a tower", where=config.model_type, why="its width is not known")


def _adapted(model: Any, lora: Lora) -> Any:
    from peft import LoraConfig, get_peft_model  # only who asks for LoRA needs it

    # WavLM's attention reads its projections' weights past the layers, where LoRA would not be seen.
    targets = r".*feed_forward.*dense" if model.config.model_type == "wavlm" else "all-linear"
    try:
        config = LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules=targets)
        with quiet():
            return get_peft_model(model, config)
    except ValueError as error:
        raise EngineError(
            "LoRA cannot be used",
            where=str(model.config.model_type),
            why=str(error)[:200],
            remedy="Train the tower frozen or in full",
        ) from error
