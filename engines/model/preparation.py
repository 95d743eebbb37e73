"""What a checkpoint was trained to see and hear, from its files: specifications for the bundle, and mels."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from tokenizers import Tokenizer

from engines.errors import BundleError
from engines.model.bodies import Pixels
from engines.model.checkpoint import Checkpoint, bad_checkpoint
from engines.model.spectrograms import ClapMel, KaldiMel, WhisperMel
from engines.preprocess.spec import AudioSpec, ImageSpec, TextSpec
from engines.preprocess.tokenizer import SHIFT, tokenizer

_RESAMPLES: Final = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")
"""Pillow's filters by their numbers, which image processors record."""
_VOCABULARIES: Final = ("vocab.txt", "vocab.json", "spiece.model", "spm.model", "sentencepiece.bpe.model")
_ROBERTAS: Final = ("roberta", "xlm-roberta")
_ANY_SIZE: Final = ("resnet", "dinov2", "convnext", "convnextv2")
"""Models that take images of other sizes than they were trained on."""
_NOT_SAID: Final = "Download its preprocessor_config.json too"


def text_spec(checkpoint: Checkpoint, most: int = 512, file: str = "tokenizer.json") -> TextSpec:
    """Its tokenizer, for texts of at most ``most`` tokens or what the model takes; raises EngineError."""
    content = tokenizer_of(checkpoint.folder)
    found = _opened(checkpoint, content)
    size, rows = found.get_vocab_size(with_added_tokens=True), int(checkpoint.config.get("vocab_size", 0))
    if size > rows:
        raise bad_checkpoint(
            checkpoint.folder / "tokenizer.json",
            f"it gives {size} ids, but the model knows {rows}",
            "Use the tokenizer that the model was trained with",
        )
    return TextSpec(size + SHIFT, min(most, longest_text(checkpoint)), "tokenizer", (file,), (content,))


def longest_text(checkpoint: Checkpoint) -> int:
    """How many tokens the model has positions for."""
    config = checkpoint.config
    places = int(config.get("max_position_embeddings", 512))
    if config["model_type"] in _ROBERTAS:
        places -= int(config.get("pad_token_id", 1) or 0) + 1
    return places


def tokenizer_of(folder: Path) -> bytes:
    """The bytes of tokenizer.json, made from the older files where there is none; raises EngineError."""
    path = folder / "tokenizer.json"
    if path.is_file():
        return path.read_bytes()
    # Without any of them transformers would make a tokenizer that knows no word.
    if not any((folder / name).is_file() for name in _VOCABULARIES):
        raise bad_checkpoint(path, "it is missing", "Download it too")
    try:
        from transformers import AutoTokenizer

        made = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        text: str = made.backend_tokenizer.to_str()
    except Exception as error:  # what a foreign file makes the library raise is the library's choice
        raise bad_checkpoint(
            path,
            "it is missing, and cannot be made from what there is",
            "Download it too, or save the tokenizer with use_fast=True",
        ) from error
    return text.encode()


def image_spec(checkpoint: Checkpoint, frames: int = 4) -> ImageSpec:
    """How its images are resized and cut; raises EngineError."""
    pixels, prepared = pixels_of(checkpoint), checkpoint.prepared
    resample = prepared.get("resample", 2)
    name = _RESAMPLES[resample] if isinstance(resample, int) and 0 <= resample < 6 else "bilinear"
    edge = _edge(checkpoint)
    if edge is None:
        return ImageSpec(pixels.height, pixels.width, frames, resample=name)
    return ImageSpec(pixels.height, pixels.width, frames, "crop", edge, name)


def pixels_of(checkpoint: Checkpoint) -> Pixels:
    """The size of its images, and how their pixels are normalised; raises EngineError."""
    prepared = checkpoint.prepared
    if "size" not in prepared:
        raise bad_checkpoint(checkpoint.folder, "it does not say the size of its images", _NOT_SAID)
    height, width = _size(checkpoint)
    trained = checkpoint.config.get("vision_config", checkpoint.config).get("image_size")
    fixed = checkpoint.config["model_type"] not in _ANY_SIZE
    if fixed and trained not in (None, height, [height, width]):
        raise bad_checkpoint(
            checkpoint.folder,
            f"its images are {height} × {width}, but the model was made for {trained}",
            "Use the preprocessor_config.json that belongs to the model",
        )
    normal = prepared.get("do_normalize", True)
    scale = float(prepared.get("rescale_factor", 1 / 255)) if prepared.get("do_rescale", True) else 1.0
    mean, std = (prepared.get(name) or (0.5, 0.5, 0.5) for name in ("image_mean", "image_std"))
    if not normal:
        mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    return Pixels(height, width, tuple(map(float, mean)), tuple(map(float, std)), scale)


def audio_spec(checkpoint: Checkpoint, seconds: float = 10.0) -> AudioSpec:
    """Its rate and window: ``seconds`` where any length will do; raises EngineError."""
    front, rate = checkpoint.architecture.front, int(checkpoint.prepared.get("sampling_rate", 0))
    if not rate:
        raise bad_checkpoint(checkpoint.folder, "it does not say the rate of its sounds", _NOT_SAID)
    if front == "whisper":
        seconds = whisper_window(checkpoint) / rate
    elif front == "ast":
        seconds = (400 + 160 * (_frames(checkpoint) - 1)) / rate
    elif front == "clap":
        seconds = float(checkpoint.prepared.get("max_length_s", 10))
    return AudioSpec(seconds, rate)


def whisper_window(checkpoint: Checkpoint) -> int:
    """Samples that the encoder insists on."""
    hop = int(checkpoint.prepared.get("hop_length", 160))
    return 2 * int(checkpoint.config.get("max_source_positions", 1500)) * hop


def whisper_mel(checkpoint: Checkpoint) -> WhisperMel:
    """Whisper's features in the graph."""
    bins = int(checkpoint.config.get("num_mel_bins", 80))
    return WhisperMel({"feature_size": bins, **checkpoint.prepared}, whisper_window(checkpoint))


def kaldi_mel(checkpoint: Checkpoint) -> KaldiMel:
    """AST's features in the graph."""
    bins = int(checkpoint.config.get("num_mel_bins", 128))
    return KaldiMel({"num_mel_bins": bins, **checkpoint.prepared}, _frames(checkpoint))


def clap_mel(checkpoint: Checkpoint) -> ClapMel:
    """CLAP's features in the graph."""
    return ClapMel(checkpoint.prepared)


def _frames(checkpoint: Checkpoint) -> int:
    return int(checkpoint.config.get("max_length", 1024))


def _opened(checkpoint: Checkpoint, content: bytes) -> Tokenizer:
    path = checkpoint.folder / "tokenizer.json"
    try:
        return tokenizer(content, str(path), 8)
    except BundleError as error:
        raise bad_checkpoint(path, error.why, "Download the checkpoint again") from error


def _size(checkpoint: Checkpoint) -> tuple[int, int]:
    """Height and width of what the model sees."""
    prepared = checkpoint.prepared
    size = prepared["size"]
    if prepared.get("do_center_crop") and prepared.get("crop_size"):
        size = prepared["crop_size"]
    if isinstance(size, int):
        return size, size
    if "height" in size:
        return int(size["height"]), int(size["width"])
    return int(size["shortest_edge"]), int(size["shortest_edge"])


def _edge(checkpoint: Checkpoint) -> int | None:
    """The shorter side before the middle is cut out; None where both sides are stretched."""
    prepared: dict[str, Any] = checkpoint.prepared
    size = prepared["size"]
    short = size if isinstance(size, int) else size.get("shortest_edge")
    if "crop_pct" in prepared and short is not None:  # ConvNeXt and ResNet
        return int(short / (prepared["crop_pct"] or 0.875)) if short < 384 else None
    if short is not None:  # a bare number is the shorter side where the middle is cut out
        cuts = not isinstance(size, int) or bool(prepared.get("do_center_crop"))
        return int(short) if cuts else None
    if prepared.get("do_center_crop") and (size["height"], size["width"]) != _size(checkpoint):
        raise bad_checkpoint(
            checkpoint.folder,
            f"its images are stretched to {size['height']} × {size['width']} and then cut",
            "Give `size` a shortest_edge in its preprocessor_config.json",
        )
    return None
