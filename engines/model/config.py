"""The sizes of a fused model, as they are recorded in its bundle."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """What has to be known to build the networks again.

    ``text_tokens``, ``image_tokens`` and ``audio_tokens`` are K, the tokens each tower ends in; ``fusion`` is
    one of `engines.model.fusion.FUSIONS`; with ``severity`` the head grades too.
    """

    labels: tuple[str, ...]
    width: int = 64
    text_tokens: int = 2
    image_tokens: int = 2
    audio_tokens: int = 2
    vocabulary: int = 16384
    attention_heads: int = 4
    fusion: str = "bottleneck"
    fusion_layers: int = 2
    bottlenecks: int = 2
    image_height: int = 64
    image_width: int = 64
    rate: int = 16000
    severity: bool = False

    @property
    def counts(self) -> tuple[int, int, int]:
        """K of text, image and audio."""
        return self.text_tokens, self.image_tokens, self.audio_tokens

    def to_json(self) -> dict[str, object]:
        """Plain values, for the bundle's provenance."""
        return asdict(self)
