"""The file that says what other people's classes mean: which of them are our sentiments and labels.

A mapping with ``checkpoints``, a list of ``modality``, ``folder`` (as seen from the file), ``activation``
(softmax or sigmoid) and ``map``: each of the model's classes, by name or number, to ``negative``,
``neutral``, ``positive``, ``ignore``, one of our labels, or a list of these; or the word ``stars`` for a
model that gives one to five of them. Optional: ``name``, ``version``, ``licence``, ``labels`` (order and
descriptions), ``seconds`` (how much of a sound is heard), ``max_tokens``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from engines.batch import MODALITIES, SENTIMENTS
from engines.errors import EngineError
from engines.mistakes import yaml_mistake

IGNORE: Final = "ignore"
STARS: Final = ("negative", "negative", "neutral", "positive", "positive")
_LABEL: Final = re.compile(r"[a-z0-9_]+(/[a-z0-9_]+)*")
_KEYS: Final = frozenset({"checkpoints", "name", "version", "licence", "labels", "seconds", "max_tokens"})
_ENTRY: Final = frozenset({"modality", "folder", "activation", "map"})


@dataclass(frozen=True, slots=True)
class Source:
    """One checkpoint of the file; ``map`` is None for a model that gives stars."""

    modality: str
    folder: Path
    activation: str
    map: dict[str, tuple[str, ...]] | None


@dataclass(frozen=True, slots=True)
class MapFile:
    """The file as read; ``labels`` in the order of the bundle's columns, with their descriptions; ``name``
    empty is the output folder's.
    """

    path: Path
    sources: tuple[Source, ...]
    labels: dict[str, str]
    name: str = ""
    version: str = "1"
    licence: str = "see the model card: each checkpoint has its own"
    seconds: float = 10.0
    max_tokens: int = 512


def read_map(path: Path) -> MapFile:
    """Read and check the file alone; raises EngineError."""
    try:
        tree = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        why = f"it cannot be read: {error.strerror or error}"
        raise bad_map(path, why, "Name the map's file; the README shows one") from error
    except UnicodeDecodeError as error:
        raise bad_map(path, "it is not UTF-8", "Save it as UTF-8") from error
    except yaml.YAMLError as error:
        raise bad_map(path, yaml_mistake(error)) from error
    if not isinstance(tree, dict) or not isinstance(tree.get("checkpoints"), list) or not tree["checkpoints"]:
        raise bad_map(path, "it must be a mapping with a list `checkpoints` that is not empty")
    _unknown(path, "it", tree, _KEYS)
    sources = tuple(_source(path, k, entry) for k, entry in enumerate(tree["checkpoints"]))
    plain: dict[str, Any] = {}
    for name, kind in (
        ("name", str),
        ("version", str),
        ("licence", str),
        ("seconds", float),
        ("max_tokens", int),
    ):
        if name in tree:
            try:
                plain[name] = kind(tree[name])
            except (TypeError, ValueError) as error:
                raise bad_map(path, f"`{name}` is no {kind.__name__}: {tree[name]!r:.60}") from error
    return MapFile(path, sources, _labels(path, tree.get("labels"), sources), **plain)


def bad_map(path: Path, why: str, remedy: str = "Mend the map file") -> EngineError:
    """The error for a map that cannot be used."""
    return EngineError("The checkpoints cannot be imported", where=str(path), why=why, remedy=remedy)


def _source(path: Path, k: int, entry: Any) -> Source:
    where = f"checkpoint {k + 1}"
    if not isinstance(entry, dict) or not isinstance(entry.get("folder"), str):
        raise bad_map(path, f"{where} must be a mapping with a `folder`")
    where = f"checkpoint {k + 1} ({entry['folder']})"
    _unknown(path, where, entry, _ENTRY)
    if entry.get("modality") not in MODALITIES:
        raise bad_map(path, f"{where} needs a `modality`: {', '.join(MODALITIES)}")
    if entry.get("activation") not in ("softmax", "sigmoid"):
        raise bad_map(
            path,
            f"{where} needs an `activation`",
            "Write softmax where exactly one of its classes holds, sigmoid where each stands for itself",
        )
    targets = entry.get("map")
    if targets == "stars":
        return Source(entry["modality"], path.parent / entry["folder"], entry["activation"], None)
    if not isinstance(targets, dict) or not targets:
        raise bad_map(path, f"{where} needs a `map` from its classes to ours, or the word stars")
    if any(isinstance(name, bool) for name in targets):
        raise bad_map(path, f"{where} has a class that YAML reads as true or false", "Put its name in quotes")
    found = {str(name): _targets(path, where, name, value) for name, value in targets.items()}
    return Source(entry["modality"], path.parent / entry["folder"], entry["activation"], found)


def _targets(path: Path, where: str, name: Any, value: Any) -> tuple[str, ...]:
    values = tuple(value) if isinstance(value, list) else (value,)
    for each in values:
        if not isinstance(each, str) or not _LABEL.fullmatch(each):
            raise bad_map(
                path,
                f"{where} maps {name!r} to {each!r:.60}, which is no name",
                f"Write {', '.join(SENTIMENTS)}, {IGNORE}, or a label such as harassment or spam/ads",
            )
    return tuple(each for each in values if each != IGNORE)


def _labels(path: Path, declared: Any, sources: tuple[Source, ...]) -> dict[str, str]:
    used = dict.fromkeys(
        target for source in sources for targets in (source.map or {}).values() for target in targets
    )
    found = {target: "" for target in used if target not in SENTIMENTS}
    if declared is None:
        declared = [{"name": name} for name in found]
    names: list[Any] = declared if isinstance(declared, list) else [None]
    if not all(isinstance(one, dict) and isinstance(one.get("name"), str) for one in names):
        raise bad_map(path, "`labels` must be a list of mappings with a `name`")
    told = {one["name"]: str(one.get("description", "")) for one in names}
    if lost := sorted(found.keys() ^ told.keys()):
        raise bad_map(path, f"`labels` and the maps do not name the same: {', '.join(lost)}")
    if not used and all(source.map for source in sources):
        raise bad_map(
            path,
            "no class is mapped to a sentiment or a label, so the bundle would say nothing",
            f"Map classes to {', '.join(SENTIMENTS)}, or to labels of yours",
        )
    return told


def _unknown(path: Path, where: str, tree: dict[Any, Any], known: frozenset[str]) -> None:
    if unknown := sorted(map(str, tree.keys() - known)):
        raise bad_map(path, f"{where} has unknown keys: {', '.join(unknown)}")
