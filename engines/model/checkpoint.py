"""A folder with someone's model: config.json and safetensors; no network, pickles or foreign code."""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: allow-subclassing-any, no-warn-return-any

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
import transformers
from torch import nn

from engines.errors import EngineError
from engines.model.architectures import ARCHITECTURES, Architecture, supported

_PICKLES: Final = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"})
_UNUSED: Final = ("masked_spec_embed", "position_ids", "num_batches_tracked", "mask_token")
"""Weights of training alone, which many checkpoints lack."""
_OF_HEADS: Final = ("pooler", *_UNUSED)
"""The same, and what a tower does not use."""


@dataclass(frozen=True)
class Checkpoint:
    """What lies in the folder: config.json, and the preparation (empty where there is none)."""

    folder: Path
    config: dict[str, Any]
    prepared: dict[str, Any]
    architecture: Architecture

    def encoder(self) -> nn.Module:
        """The encoder alone, in float32; raises EngineError."""
        own = self.architecture
        model = self._load(own.encoder, own.part, _OF_HEADS)
        found: nn.Module = model.get_submodule(own.part) if own.part else model
        return found.eval()

    def classifier(self) -> nn.Module:
        """The model with its own classification head, in float32; raises EngineError."""
        if not self.architecture.classifier:
            raise self._bad(
                f"transformers has no classification head for {self.config['model_type']}",
                "Use it as a tower in training instead",
            )
        return self._load(self.architecture.classifier, "", _UNUSED).eval()

    def digests(self) -> dict[str, str]:
        """SHA-256 of each file of weights, by name."""
        found = {}
        for path in sorted(self.folder.glob("*.safetensors")):
            with path.open("rb") as file:
                found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
        return found

    def _load(self, name: str, part: str, spared: tuple[str, ...]) -> nn.Module:
        try:
            with quiet():
                model, found = getattr(transformers, name).from_pretrained(
                    self.folder,
                    local_files_only=True,
                    use_safetensors=True,
                    attn_implementation="eager",
                    dtype=torch.float32,
                    output_loading_info=True,
                )
        except Exception as error:  # what a foreign file makes the library raise is the library's choice
            raise self._bad(f"transformers cannot load it: {_short(error)}", "Save it again") from error
        missing = [
            key
            for key in found["missing_keys"]
            if key.startswith(part) and not any(word in key for word in spared)
        ]
        if missing:
            raise self._bad(
                f"it has no weights for {len(missing)} tensors of a {name}, {min(missing)} for one",
                "Use a checkpoint that was saved from this kind of model",
            )
        loaded: nn.Module = model
        return loaded

    def _bad(self, why: str, remedy: str) -> EngineError:
        return bad_checkpoint(self.folder, why, remedy)


@contextmanager
def quiet() -> Iterator[None]:
    """No bars, no advice to who writes code: what matters of a checkpoint is told by our own errors."""
    logs = transformers.utils.logging
    told, barred = logs.get_verbosity(), logs.is_progress_bar_enabled()
    logs.set_verbosity_error()
    logs.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logs.set_verbosity(told)
        if barred:
            logs.enable_progress_bar()


def open_checkpoint(folder: Path, modality: str | None = None) -> Checkpoint:
    """Look into a folder without loading weights; raises EngineError for what cannot become a tower."""
    if not folder.is_dir():
        raise bad_checkpoint(folder, "there is no such folder", "Give the path of a downloaded checkpoint")
    config = _json(folder, "config.json")
    kind = str(config.get("model_type", "?"))
    found = ARCHITECTURES.get(kind)
    if found is None:
        raise bad_checkpoint(
            folder,
            f"its architecture (model_type) {kind} is not supported",
            f"Supported are {supported(modality)}",
        )
    if modality not in (None, found.modality):
        raise bad_checkpoint(
            folder,
            f"{kind} is for {found.modality}, not for {modality}",
            f"Supported are {supported(modality)}",
        )
    _check_weights(folder)
    if config.get("quantization_config"):
        raise bad_checkpoint(folder, "its weights are quantised", "Use the checkpoint in full precision")
    if config.get("add_adapter"):
        raise bad_checkpoint(folder, "it has convolutional adapters", "Use a checkpoint without add_adapter")
    return Checkpoint(folder, config, _prepared(folder), found)


def bad_checkpoint(where: Path, why: str, remedy: str) -> EngineError:
    """The error for a checkpoint that cannot be used."""
    return EngineError("The checkpoint cannot be used", where=str(where), why=why, remedy=remedy)


def _check_weights(folder: Path) -> None:
    names = sorted(path.name for path in folder.iterdir())
    if "adapter_config.json" in names:
        raise bad_checkpoint(
            folder / "adapter_config.json",
            "it is an adapter, whose other half is elsewhere",
            "Merge it into its base model with peft (merge_and_unload) and save that",
        )
    if "model.safetensors" in names or "model.safetensors.index.json" in names:
        return
    pickles = [name for name in names if Path(name).suffix in _PICKLES]
    if pickles:
        raise bad_checkpoint(
            folder / pickles[0],
            "it is a pickle, which can run any code when it is read",
            "Where you trust it, load it on another machine with transformers and save it with "
            "save_pretrained(), which writes model.safetensors",
        )
    raise bad_checkpoint(folder, "it holds no model.safetensors", "Download the checkpoint's weights too")


def _prepared(folder: Path) -> dict[str, Any]:
    if (folder / "preprocessor_config.json").is_file():
        return _json(folder, "preprocessor_config.json")
    if (folder / "processor_config.json").is_file():  # where newer versions put it
        tree = _json(folder, "processor_config.json")
        inner = tree.get("image_processor") or tree.get("feature_extractor")
        return inner if isinstance(inner, dict) else tree
    return {}


def _json(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    try:
        tree = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise bad_checkpoint(path, "it cannot be read", "Download the whole checkpoint") from error
    except ValueError as error:
        raise bad_checkpoint(path, f"it is not JSON: {error}", "Download the checkpoint again") from error
    if not isinstance(tree, dict):
        raise bad_checkpoint(path, "it is not an object", "Download the checkpoint again")
    return tree


def _short(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
