"""The results of stages in a folder, each under a digest of all that decided it: so a cut run goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from engines.errors import EngineError
from engines.training.dataset import Dataset, Events

VERSION: Final = 1
"""Raised whenever a stage gives something else for the same inputs."""
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Work:
    """A folder of results, made when the first is written."""

    folder: Path

    def place(self, stage: str, *inputs: object) -> Path:
        """The file of a stage's result, whether it is there or not; ``inputs`` are plain values."""
        return self.folder / f"{stage}-{key(stage, *inputs)[:20]}.safetensors"


def key(stage: str, *inputs: object) -> str:
    """SHA-256 over a stage's name and inputs, and the version of the code."""
    text = json.dumps([VERSION, stage, *inputs], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def save(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays at once or not at all, so that a file that is there is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, part)
    part.replace(path)


def load(path: Path) -> Arrays | None:
    """What `save` wrote, None where there is no such file; raises EngineError for a damaged one."""
    if not path.exists():
        return None
    try:
        return dict(load_file(path))
    except (SafetensorError, OSError) as error:
        raise damaged(path, error) from error


def damaged(path: Path, error: Exception) -> EngineError:
    """The error of a kept result that cannot be read."""
    return EngineError(
        "A result that was kept from an earlier run cannot be read", where=str(path), why=str(error)[:200],
        remedy="Remove this file: its stage is done again",
    )  # fmt: skip


def ragged(name: str, rows: Sequence[NDArray[Any]], like: NDArray[Any]) -> Arrays:
    """Rows of different lengths as two arrays; ``like`` gives the type where there is none."""
    flat = np.concatenate(rows) if rows else like[:0]
    return {name: flat, f"{name}.ends": np.cumsum([len(row) for row in rows], dtype=np.int64)}


def rows_of(arrays: Arrays, name: str) -> list[NDArray[Any]]:
    """The inverse of `ragged`; the rows are views."""
    ends = arrays[f"{name}.ends"].tolist()
    return [arrays[name][start:end] for start, end in zip([0, *ends], ends, strict=False)]


def digest(data: Dataset) -> str:
    """SHA-256 over all parts with their media, all events and the labels of a data set."""
    total = hashlib.sha256()
    for own in data.parts:
        total.update(f"{len(own)} parts\n".encode())
        for part in own:
            told = (part.sentiment, sorted(part.labels.items()), part.factor, part.split, part.lang)
            total.update(repr(told).encode())
            content = part.read()
            total.update(f"{len(content)}\n".encode() + content)
    for name in Events.__slots__:
        column: NDArray[Any] = getattr(data.events, name)
        told_column = "\n".join(column.tolist()).encode() if column.dtype.kind == "U" else column.tobytes()
        total.update(f"{name} {column.shape}\n".encode() + told_column)
    for label in data.labels.labels:
        told_label = (label.name, [sorted(s) for s in label.evidence], label.severity)
        total.update(repr(told_label).encode())
    return total.hexdigest()
