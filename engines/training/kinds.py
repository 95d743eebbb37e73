"""The towers that a recipe may name: networks, with what must be done to inputs before them."""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: no-warn-return-any

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from torch import nn

from engines.errors import EngineError
from engines.model.architectures import supported
from engines.model.config import ModelConfig
from engines.model.silent import SilentTower
from engines.model.towers import AudioTower, ImageTower, TextTower
from engines.preprocess.spec import AudioSpec, ImageSpec, TextSpec
from engines.training.recipe import TOWERS, Recipe

BAG_DEPTH: Final = 16
"""Width of the bag's table."""
_VOCABULARY: Final = 16_384


@dataclass(frozen=True, slots=True)
class Kind:
    """One modality's tower as a recipe asks for it.

    ``make(config)`` gives the fresh network; ``spec`` is its `TextSpec`, `ImageSpec` or `AudioSpec`;
    ``most`` are the rows that a training batch may hold; ``told`` decides with the recipe what it is.
    """

    modality: str
    make: Callable[[ModelConfig], nn.Module]
    spec: Any
    tokens: int
    most: int
    told: str
    learns: bool = True


def kind_of(modality: str, recipe: Recipe) -> Kind:
    """What a recipe names for a modality; raises EngineError for what is neither a name nor a checkpoint."""
    own = recipe.tower(modality)
    if own.tower == "none":
        return silent(modality, recipe)
    if own.tower == "small":
        made, most = _SMALL[modality]
        return Kind(modality, made, _spec(modality, recipe), own.tokens, most, "small")
    if own.tower == "bag" and modality == "text":
        from engines.model.bags import BagTower

        spec = TextSpec(_VOCABULARY, recipe.text_length, "bag")
        return Kind(
            modality, lambda config: BagTower(BAG_DEPTH, own.tokens, config.width), spec, own.tokens, 256,
            f"bag {BAG_DEPTH}",
        )  # fmt: skip
    return _pretrained(modality, Path(own.tower), recipe)


def silent(modality: str, recipe: Recipe) -> Kind:
    """No tower: a modality that nothing is known of says nothing."""
    spec = _spec(modality, recipe)
    return Kind(
        modality, lambda config: SilentTower(modality, config.width, spec), spec, 1, 1, "none", learns=False
    )


def _spec(modality: str, recipe: Recipe) -> TextSpec | ImageSpec | AudioSpec:
    if modality == "text":
        return TextSpec(_VOCABULARY, recipe.text_length)
    if modality == "image":
        return ImageSpec(recipe.image_side, recipe.image_side)
    return AudioSpec(recipe.audio_seconds)


_SMALL: Final[dict[str, tuple[Callable[[ModelConfig], nn.Module], int]]] = {
    "text": (TextTower, 256), "image": (ImageTower, 128), "audio": (AudioTower, 128),
}  # fmt: skip


def _pretrained(modality: str, folder: Path, recipe: Recipe) -> Kind:
    if not folder.is_dir():
        near = get_close_matches(str(folder), TOWERS[modality], 1)
        meant = f"Did you mean {near[0]}? " if near else ""
        raise EngineError(
            f"There is no such {modality} tower", where=str(folder),
            why=f"it is neither {' nor '.join(TOWERS[modality])} nor the folder of a checkpoint",
            remedy=f"{meant}Download a checkpoint ({supported(modality)}) and name its folder",
        )  # fmt: skip
    from engines.model import preparation
    from engines.model.checkpoint import open_checkpoint
    from engines.model.pretrained import PretrainedTower

    own = recipe.tower(modality)
    checkpoint = open_checkpoint(folder, modality)
    spec: Any
    if modality == "text":
        spec = preparation.text_spec(checkpoint, recipe.text_length)
    elif modality == "image":
        spec = preparation.image_spec(checkpoint)
    else:
        spec = preparation.audio_spec(checkpoint, recipe.audio_seconds)
    tuning: Any = own.tuning
    return Kind(
        modality, lambda config: PretrainedTower.load(modality, folder, own.tokens, config.width, tuning),
        spec, own.tokens, 32, _digest(folder),
    )  # fmt: skip


def _digest(folder: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(
        p for p in folder.iterdir() if p.suffix in (".json", ".safetensors", ".txt", ".model")
    ):
        with path.open("rb") as file:
            total.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()
