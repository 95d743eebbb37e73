"""Checkpoints of every supported architecture: tiny, random, saved as transformers saves them."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from engines.model.architectures import ARCHITECTURES

SIDE = 32
WORDS = ["the", "a", "good", "bad", "film", "was", "not", "great", "awful", "nice", "slow", *"好坏电影"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
_TEXT = {
    "vocab_size": 64,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 48,
}
_VISION = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": SIDE,
    "patch_size": 8,
}
_MAPS = {"hidden_sizes": [8, 16], "depths": [1, 1]}
_SPEECH = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": (8,) * 7,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
    "classifier_proj_size": 8,
}
_DEBERTA = {
    "relative_attention": True,
    "position_buckets": 8,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": "p2c|c2p",
    "position_biased_input": False,
    "type_vocab_size": 0,
    "pooler_hidden_size": 16,
}
_CLAP = {
    "spec_size": 64,
    "num_mel_bins": 16,
    "patch_embeds_hidden_size": 8,
    "depths": [1, 1],
    "num_attention_heads": [2, 2],
    "window_size": 8,
    "hidden_size": 16,
    "num_hidden_layers": 2,
}
_WHISPER = {
    "d_model": 16,
    "encoder_layers": 2,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_layers": 1,
    "decoder_attention_heads": 2,
    "decoder_ffn_dim": 32,
    "num_mel_bins": 8,
    "max_source_positions": 50,
    "vocab_size": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
    "classifier_proj_size": 8,
}
_CONFIGS = {
    "bert": ("BertConfig", _TEXT),
    "roberta": ("RobertaConfig", {**_TEXT, "pad_token_id": 1, "type_vocab_size": 1}),
    "xlm-roberta": ("XLMRobertaConfig", {**_TEXT, "pad_token_id": 1, "type_vocab_size": 1}),
    "distilbert": (
        "DistilBertConfig",
        {
            "vocab_size": 64,
            "dim": 16,
            "n_layers": 2,
            "n_heads": 2,
            "hidden_dim": 32,
            "max_position_embeddings": 48,
        },
    ),
    "deberta-v2": ("DebertaV2Config", {**_TEXT, **_DEBERTA}),
    "modernbert": (
        "ModernBertConfig",
        {**_TEXT, "num_hidden_layers": 4, "local_attention": 8, "pad_token_id": 0, "cls_token_id": 2}
        | {"sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3},
    ),
    "vit": ("ViTConfig", _VISION),
    "clip": ("CLIPConfig", {"vision_config": _VISION, "text_config": _TEXT, "projection_dim": 8}),
    "clip_vision_model": ("CLIPVisionConfig", _VISION),
    "siglip": ("SiglipConfig", {"vision_config": _VISION, "text_config": _TEXT}),
    "siglip_vision_model": ("SiglipVisionConfig", _VISION),
    "resnet": ("ResNetConfig", {**_MAPS, "embedding_size": 8, "layer_type": "basic"}),
    "dinov2": ("Dinov2Config", _VISION),
    "convnext": ("ConvNextConfig", {**_MAPS, "num_stages": 2}),
    "convnextv2": ("ConvNextV2Config", {**_MAPS, "num_stages": 2}),
    "wav2vec2": ("Wav2Vec2Config", _SPEECH),
    "hubert": ("HubertConfig", {**_SPEECH, "feat_extract_norm": "layer", "do_stable_layer_norm": True}),
    "wavlm": ("WavLMConfig", _SPEECH),
    "whisper": ("WhisperConfig", _WHISPER),
    "audio-spectrogram-transformer": (
        "ASTConfig",
        {**{k: v for k, v in _VISION.items() if k != "image_size"}, "max_length": 64, "num_mel_bins": 16}
        | {"frequency_stride": 8, "time_stride": 8},
    ),
    "clap": (
        "ClapConfig",
        {"audio_config": _CLAP, "text_config": {**_TEXT, "pad_token_id": 1}, "projection_dim": 8},
    ),
    "clap_audio_model": ("ClapAudioConfig", _CLAP),
}
_EXTRACTORS = {
    "speech": {
        "sampling_rate": 16_000,
        "do_normalize": True,
        "feature_extractor_type": "Wav2Vec2FeatureExtractor",
    },
    "whisper": {
        "sampling_rate": 16_000,
        "feature_size": 8,
        "n_fft": 400,
        "hop_length": 160,
        "chunk_length": 1,
    },
    "ast": {"sampling_rate": 16_000, "num_mel_bins": 16, "max_length": 64},
    "clap": {"sampling_rate": 48_000, "feature_size": 16, "max_length_s": 1, "truncation": "rand_trunc"},
}
_PIXELS = {
    "size": {"height": SIDE, "width": SIDE},
    "do_resize": True,
    "do_normalize": True,
    "image_mean": [0.48, 0.46, 0.41],
    "image_std": [0.27, 0.26, 0.28],
    "resample": 3,
}


def save(kind: str, folder: Path, names: list[str] | None = None, seed: int = 0, **changes) -> Path:
    """A checkpoint of the architecture: its encoder, or with `names` of classes its classifier."""
    torch.manual_seed(seed)
    own, (config_class, sizes) = ARCHITECTURES[kind], _CONFIGS[kind]
    config = getattr(transformers, config_class)(**{**sizes, **changes})
    whole = {"clip": "CLIPModel", "siglip": "SiglipModel"}.get(kind, own.encoder)
    if names is not None:
        config.num_labels = len(names)
        config.id2label = dict(enumerate(names))
        config.label2id = {name: k for k, name in enumerate(names)}
    model = getattr(transformers, own.classifier if names is not None else whole)(config)
    liven(model)
    model.save_pretrained(folder)
    if own.modality == "text":
        (folder / "tokenizer.json").write_text(words().to_str())
    else:
        prepared = _PIXELS if own.front == "pixels" else _EXTRACTORS[own.front]
        (folder / "preprocessor_config.json").write_text(json.dumps(prepared))
    return folder


def liven(model: torch.nn.Module) -> None:
    """Weights of everyday size: fresh ones are so small that all inputs look alike."""
    for name, weight in model.named_parameters():
        if weight.dim() > 1:
            torch.nn.init.normal_(weight, std=0.5 if "embed" in name else weight[0].numel() ** -0.5)
        else:
            weight.data += 0.1 * torch.randn_like(weight)


def words() -> Tokenizer:
    """A tokenizer that knows a few words, as BERT's are made."""
    vocabulary = {word: k for k, word in enumerate(SPECIAL + WORDS)}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return made
