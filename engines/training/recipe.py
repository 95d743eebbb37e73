"""What to train, as a YAML file says it: every key has a default, and a key that is not known is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, TypeVar, get_type_hints

import yaml

from engines.errors import EngineError
from engines.mistakes import yaml_mistake

TOWERS: Final = {
    "text": ("small", "bag", "none"),
    "image": ("small", "none"),
    "audio": ("small", "none"),
}
"""Towers by name, for each modality; anything else is the folder of a Hugging Face checkpoint."""
TUNINGS: Final = ("frozen", "lora", "full")
RATES: Final = {"text": 3e-3, "image": 2e-3, "audio": 2e-3}
"""The learning rate of layers that start from nothing: small towers, and what reads a frozen checkpoint."""
TUNED: Final = {"lora": 5e-4, "full": 5e-5}
"""That of a checkpoint's own weights, which the rates above would wreck within an epoch."""
FUSIONS: Final = ("bottleneck", "concat", "attention")
"""`engines.model.fusion.FUSIONS`, whose module needs torch."""
_Spec = TypeVar("_Spec")


@dataclass(frozen=True, slots=True)
class TowerRecipe:
    """One modality's tower: its name in `TOWERS` or a checkpoint's folder, and how it is trained.

    ``tuning`` concerns checkpoints only; ``tokens`` is K; ``epochs`` 0 and ``rows`` 0 are chosen by how many
    rows there are, ``rate`` 0 by what learns (`Recipe.settled`).
    """

    tower: str = "small"
    tuning: str = "frozen"
    tokens: int = 2
    epochs: int = 0
    rows: int = 0
    rate: float = 0.0
    decay: float = 0.01


@dataclass(frozen=True, slots=True)
class HeadRecipe:
    """The fusion head: how modalities meet, and how often training hides one (``dropped``)."""

    fusion: str = "bottleneck"
    epochs: int = 0
    rows: int = 0
    rate: float = 2e-3
    decay: float = 0.02
    dropped: float = 0.15


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything but the data that decides what comes out.

    ``name`` empty is the output folder's; ``seeds`` heads are trained and averaged; ``validation`` is the
    share of the training rows that decide which epoch is kept, ``patience`` after how many worse ones
    training stops (0: never); ``augment`` disturbs inputs as people and platforms do; ``distil`` is a
    teacher's share in the targets.
    """

    name: str = ""
    version: str = "1.0.0"
    licence: str = "unspecified"
    seed: int = 1
    seeds: int = 1
    width: int = 64
    text: TowerRecipe = field(default_factory=TowerRecipe)
    image: TowerRecipe = field(default_factory=TowerRecipe)
    audio: TowerRecipe = field(default_factory=TowerRecipe)
    head: HeadRecipe = field(default_factory=HeadRecipe)
    text_length: int = 256
    image_side: int = 64
    audio_seconds: float = 10.0
    validation: float = 0.1
    patience: int = 4
    class_weights: bool = True
    augment: bool = True
    distil: float = 0.7

    def __post_init__(self) -> None:
        for name, found, known in (
            *((f"{m}.tuning", self.tower(m).tuning, TUNINGS) for m in TOWERS),
            ("head.fusion", self.head.fusion, FUSIONS),
        ):
            if found not in known:
                raise _bad("", f"{name} is {found!r:.40}", f"It is one of {', '.join(known)}")
        for name, value, low, high in (
            ("seeds", self.seeds, 1, 16), ("width", self.width, 8, 1024),
            ("image_side", self.image_side, 16, 512),
            ("text_length", self.text_length, 8, 8192), ("audio_seconds", self.audio_seconds, 0.1, 600),
            ("validation", self.validation, 0, 0.5), ("distil", self.distil, 0, 1),
            ("head.dropped", self.head.dropped, 0, 0.9), ("patience", self.patience, 0, 1000),
            *((f"{m}.tokens", self.tower(m).tokens, 1, 64) for m in TOWERS),
            *((f"{m}.rate", self.tower(m).rate, 0, 1) for m in TOWERS),
        ):  # fmt: skip
            if not low <= value <= high:
                raise _bad("", f"{name} is {value}", f"It lies between {low} and {high}")
        if self.width % 8:
            raise _bad("", f"width is {self.width}", "It is a multiple of 8")

    def tower(self, modality: str) -> TowerRecipe:
        """The recipe of one modality's tower."""
        found: TowerRecipe = getattr(self, modality)
        return found

    def settled(self) -> Recipe:
        """The recipe with every tower's learning rate chosen where it says none: by `TUNED` for a checkpoint
        whose own weights learn, else by `RATES`.
        """
        rates = {}
        for m in TOWERS:
            own = self.tower(m)
            foreign = own.tower not in TOWERS[m]
            rates[m] = own.rate or (TUNED.get(own.tuning, RATES[m]) if foreign else RATES[m])
        towers: dict[str, Any] = {m: replace(self.tower(m), rate=rate) for m, rate in rates.items()}
        return replace(self, **towers)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for digests and for the bundle's provenance."""
        return asdict(self)


def load(path: Path) -> Recipe:
    """Read a recipe file; raises EngineError, with a suggestion for a key that is not known."""
    try:
        tree = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise _bad(str(path), error.strerror or str(error), "Name a file that can be read") from error
    except yaml.YAMLError as error:
        raise _bad(
            str(path), yaml_mistake(error), "Mend the line; indentation and quotes are the usual suspects"
        ) from error
    return parse({} if tree is None else tree, str(path))


def parse(tree: object, where: str = "") -> Recipe:
    """The recipe of a mapping; a tower may be its name alone (``text: bag``). Raises EngineError."""
    try:
        return _read(Recipe, tree, "")
    except EngineError as error:
        raise _bad(where, error.why, error.remedy) from error


def _read(spec: type[_Spec], tree: object, name: str) -> _Spec:
    if spec is TowerRecipe and isinstance(tree, str):
        tree = {"tower": tree}
    if not isinstance(tree, Mapping):
        raise _bad("", f"{name or 'the file'} is no mapping: {tree!r:.60}", "Write keys and values")
    known = {own.name: own for own in fields(spec)}  # type: ignore[arg-type]
    kinds = get_type_hints(spec)
    values = {}
    for key, value in tree.items():
        place = f"{name}.{key}" if name else str(key)
        if key not in known:
            near = get_close_matches(str(key), known, 1)
            meant = f"Did you mean {near[0]}?" if near else f"Known are {', '.join(known)}"
            raise _bad("", f"the key {place} is not known", meant)
        values[str(key)] = _value(kinds[key], value, place)
    defaults = _defaults(name)
    return spec(**{**defaults, **values})


def _defaults(name: str) -> dict[str, Any]:
    """What a part that is given keeps of the recipe's own defaults for it."""
    own = getattr(Recipe(), name, None) if name else None
    return {each.name: getattr(own, each.name) for each in fields(own)} if is_dataclass(own) else {}


def _value(kind: Any, value: object, place: str) -> Any:
    if is_dataclass(kind):
        return _read(kind, value, place)  # type: ignore[arg-type]
    if kind is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)  # version: 1.0
    if kind is float:
        try:  # YAML takes 3e-3 for a word
            return float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            pass
    elif type(value) is kind:
        return value
    raise _bad("", f"{place} is {value!r:.60}", f"It is a {_SPELT[kind]}")


_SPELT: Final = {str: "text", int: "whole number", float: "number", bool: "true or false"}


def _bad(where: str, why: str, remedy: str) -> EngineError:
    return EngineError("The recipe cannot be used", where=where, why=why, remedy=remedy)
