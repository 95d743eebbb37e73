"""Which Hugging Face encoders can be towers: by the `model_type` of their config.json."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Front = Literal["text", "pixels", "speech", "whisper", "ast", "clap"]


@dataclass(frozen=True, slots=True)
class Architecture:
    """What a `model_type` means: how its input is made, and its classes in transformers.

    ``part`` is the encoder inside ``encoder`` where that holds more (a decoder, a second modality);
    ``classifier`` is empty where transformers has no class with a classification head.
    """

    modality: Literal["text", "image", "audio"]
    front: Front
    encoder: str
    classifier: str = ""
    part: str = ""


def _text(name: str) -> Architecture:
    return Architecture("text", "text", f"{name}Model", f"{name}ForSequenceClassification")


def _image(name: str, model: str = "") -> Architecture:
    return Architecture("image", "pixels", model or f"{name}Model", f"{name}ForImageClassification")


def _speech(name: str) -> Architecture:
    return Architecture("audio", "speech", f"{name}Model", f"{name}ForSequenceClassification")


ARCHITECTURES: Final[dict[str, Architecture]] = {
    "bert": _text("Bert"),
    "roberta": _text("Roberta"),
    "xlm-roberta": _text("XLMRoberta"),
    "distilbert": _text("DistilBert"),
    "deberta-v2": _text("DebertaV2"),
    "modernbert": _text("ModernBert"),
    "vit": _image("ViT"),
    "clip": _image("CLIP", "CLIPVisionModel"),
    "clip_vision_model": _image("CLIP", "CLIPVisionModel"),
    "siglip": _image("Siglip", "SiglipVisionModel"),
    "siglip_vision_model": _image("Siglip", "SiglipVisionModel"),
    "resnet": _image("ResNet"),
    "dinov2": _image("Dinov2"),
    "convnext": _image("ConvNext"),
    "convnextv2": _image("ConvNextV2"),
    "wav2vec2": _speech("Wav2Vec2"),
    "hubert": _speech("Hubert"),
    "wavlm": _speech("WavLM"),
    "whisper": Architecture("audio", "whisper", "WhisperModel", "WhisperForAudioClassification", "encoder"),
    "audio-spectrogram-transformer": Architecture("audio", "ast", "ASTModel", "ASTForAudioClassification"),
    "clap": Architecture("audio", "clap", "ClapModel", part="audio_model"),
    "clap_audio_model": Architecture("audio", "clap", "ClapAudioModel"),
}
"""MiniLM is a `bert`, DeBERTa-v3 a `deberta-v2`, XLM-T an `xlm-roberta`."""


def supported(modality: str | None = None) -> str:
    """The names of all architectures, or of one modality's, for people."""
    return ", ".join(name for name, one in ARCHITECTURES.items() if modality in (None, one.modality))
