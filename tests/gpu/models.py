"""Bundles of well-known shapes with random weights: made on the host, without a network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.bundle import Bundle

_TEXT = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
_TINY: Mapping[str, dict[str, Any]] = {
    "bert": {**_TEXT, "intermediate_size": 64, "max_position_embeddings": 40},
    "vit": {
        "image_size": 32, "patch_size": 8, "hidden_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "intermediate_size": 64,
    },
    "wav2vec2": {
        "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
        "conv_dim": (16,) * 7, "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2,
        "classifier_proj_size": 8,
    },
}  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """A model to measure: its tower, what a row is, and the size of a row (tokens, pixels, seconds)."""

    name: str
    tower: str
    config: str
    unit: str
    size: int
    bar: float
    quantised: bool

    @property
    def classes(self) -> tuple[str, ...]:
        """Of its head."""
        return ("negative", "neutral", "positive")


SHAPES = {
    shape.name: shape
    for shape in (
        Shape("bert", "text", "BertConfig", "seq/s", 128, 0.80, True),
        Shape("vit", "image", "ViTConfig", "img/s", 224, 0.80, True),
        Shape("wav2vec2", "audio", "Wav2Vec2Config", "audio-s/s", 10, 0.60, False),
    )
}
"""BERT-base of 128 tokens, ViT-B/16 of 224 pixels, wav2vec2-base of 10 seconds, and their bars."""


def size_of(shape: Shape, small: bool) -> int:
    """Tokens, pixels or seconds of a row."""
    return {"text": 16, "image": 32, "audio": 1}[shape.tower] if small else shape.size


def config_of(shape: Shape, small: bool) -> Any:
    """The configuration in transformers: its defaults are the base models."""
    import transformers

    own = dict(_TINY[shape.name]) if small else {}
    config = getattr(transformers, shape.config)(**own)
    config.num_labels = len(shape.classes)
    config.id2label = dict(enumerate(shape.classes))
    config.label2id = {name: k for k, name in enumerate(shape.classes)}
    return config


def bundle_of(shape: Shape, work: Path, small: bool) -> Bundle:
    """The bundle, made once and kept in the work folder; raises EngineError."""
    folder = work / f"{shape.name}{'-small' if small else ''}"
    if not (folder / "bundle.json").is_file():
        from engines.training.importing import import_bundle

        place = work / f"{folder.name}-checkpoint"
        _checkpoint(shape, place, small)
        entry = {
            "modality": shape.tower, "folder": str(place), "activation": "softmax",
            "map": {name: name for name in shape.classes},
        }  # fmt: skip
        size = size_of(shape, small)
        plan: dict[str, Any] = {"name": shape.name, "licence": "Apache-2.0", "checkpoints": [entry]}
        plan |= {"max_tokens": size} if shape.tower == "text" else {}
        plan |= {"seconds": size} if shape.tower == "audio" else {}
        path = place / "map.yaml"
        path.write_text(json.dumps(plan), encoding="utf-8")  # JSON is YAML too
        draft = folder.with_name(f"{folder.name}.draft")  # a part may be cut at any time
        shutil.rmtree(draft, ignore_errors=True)
        import_bundle(path, draft, lambda line: print(f"  {line}", flush=True))
        draft.rename(folder)
    return Bundle.load(folder)


def _checkpoint(shape: Shape, folder: Path, small: bool) -> None:
    import torch
    import transformers

    from engines.model.architectures import ARCHITECTURES
    from tests.tiny_checkpoints import liven, words

    torch.manual_seed(0)
    config = config_of(shape, small)
    model = getattr(transformers, ARCHITECTURES[shape.name].classifier)(config)
    liven(model)
    model.save_pretrained(folder)
    if shape.tower == "text":
        (folder / "tokenizer.json").write_text(words().to_str(), encoding="utf-8")
    elif shape.tower == "image":
        side = size_of(shape, small)
        prepared = {
            "size": {"height": side, "width": side}, "do_resize": True, "do_normalize": True,
            "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "resample": 2,
        }  # fmt: skip
        (folder / "preprocessor_config.json").write_text(json.dumps(prepared), encoding="utf-8")
    else:
        prepared = {"sampling_rate": 16_000, "do_normalize": True}
        prepared["feature_extractor_type"] = "Wav2Vec2FeatureExtractor"
        (folder / "preprocessor_config.json").write_text(json.dumps(prepared), encoding="utf-8")
