"""The evaluation set: held-out events with what is known of them, so that a bundle can be judged anywhere.

``evaluation.safetensors`` holds n events. ``rows`` int32 [n, 3] names each event's text, image and sound, -1
= absent. Each text channel lies under its name, int32, one text behind the other, with ``….lengths`` int32
[texts]; ``pixels`` uint8 [images, H, W, 3]; ``samples`` int16, one sound behind the other, with
``samples.lengths`` int32 [sounds]. ``sentiment`` int8 [n] and ``labels`` int8 [n, labels] are what people or
generators say of them, -1 = unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from engines import golden
from engines.batch import MODALITIES, Batch, Example, Float32
from engines.bundle import EVALUATION, Bundle
from engines.combine import combinations
from engines.errors import BundleError
from engines.head import Head
from engines.planner import Budget
from engines.preprocess.spec import CODE_POINTS, Preprocess
from engines.sessions.base import Arrays, Session, Terms
from engines.sessions.choose import BACKENDS
from engines.towers import Towers

Tensors = Mapping[str, NDArray[Any]]
UNKNOWN: Final = -1
"""What nobody said, among ``sentiment`` and ``labels``."""


@dataclass(frozen=True, slots=True)
class Evaluation(Batch):
    """A batch of held-out events and what is known of each: ``sentiment`` int8 [events] and ``labels`` int8
    [events, labels], -1 where it is unknown.
    """

    sentiment: NDArray[np.int8]
    labels: NDArray[np.int8]


def write_evaluation(
    path: Path,
    examples: Sequence[Example],
    sentiment: NDArray[np.int8],
    labels: NDArray[np.int8],
    channels: Sequence[str],
) -> None:
    """Record events of at most one image and one sound each; an input that several share is written once."""
    texts, images, sounds = _Shared(), _Shared(), _Shared()
    rows = [
        (
            texts.place(e.text),
            images.place(e.images[0] if e.images else None),
            sounds.place(e.audio[0] if e.audio else None),
        )
        for e in examples
    ]
    shape = images.kept[0].shape if images.kept else (1, 1, 3)
    tensors: dict[str, NDArray[Any]] = {
        "rows": np.array(rows, np.int32).reshape(len(rows), 3),
        "pixels": np.stack(images.kept) if images.kept else np.zeros((0, *shape), np.uint8),
        "sentiment": np.asarray(sentiment, np.int8),
        "labels": np.asarray(labels, np.int8),
    }
    for c, name in enumerate(channels):
        tensors |= _ragged(name, [text[c] for text in texts.kept], np.int32)
    tensors |= _ragged("samples", sounds.kept, np.int16)
    save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, path)


def parse(tensors: Tensors, preprocess: Preprocess, labels: int) -> Evaluation:
    """What `write_evaluation` recorded, for a bundle of so many labels; raises BundleError."""
    text, image = preprocess.text, preprocess.image
    kinds: dict[str, Any] = {"rows": np.int32, "pixels": np.uint8, "sentiment": np.int8, "labels": np.int8}
    for name in (*text.channels, "samples"):
        kinds |= {name: np.int16 if name == "samples" else np.int32, f"{name}.lengths": np.int32}
    wrong = [name for name, kind in kinds.items() if name not in tensors or tensors[name].dtype != kind]
    if wrong:
        raise _bad(f"missing or of a wrong type: {', '.join(wrong)}")
    rows, pixels = tensors["rows"], tensors["pixels"]
    n = len(rows)
    if rows.shape != (n, 3) or tensors["sentiment"].shape != (n,) or tensors["labels"].shape != (n, labels):
        raise _bad(f"rows, sentiment and labels must tell of the same events, and of {labels} labels")
    channels = [_rows(tensors, name) for name in text.channels]
    for name, own, known in zip(text.channels, channels, text.sizes, strict=True):
        ids = tensors[name]
        size = known if len(text.files) < 2 else CODE_POINTS  # of several, the smallest is known
        if len(own) != len(channels[0]) or (ids.size and not (ids.min() > 0 and ids.max() < size)):
            raise _bad(f"{name} must hold ids from 1 to {size - 1}, for as many texts as {text.channels[0]}")
    if len(pixels) and pixels.shape[1:] != (image.height, image.width, 3):
        raise _bad(f"images must be of {image.height} × {image.width} pixels")
    sounds = _rows(tensors, "samples")
    parts = (list(zip(*channels, strict=True)), list(pixels), sounds)
    counts = [len(own) for own in parts]
    if not n or (rows < UNKNOWN).any() or (rows >= counts).any() or (rows == UNKNOWN).all(axis=1).any():
        raise _bad("each row must name a text, image or sound that is there")
    if tensors["sentiment"].min() < UNKNOWN or tensors["sentiment"].max() > 2:
        raise _bad("a sentiment is -1, 0, 1 or 2")
    if tensors["labels"].size and not (tensors["labels"].min() >= -1 and tensors["labels"].max() <= 1):
        raise _bad("a label is -1, 0 or 1")
    owners = [np.flatnonzero(rows[:, m] >= 0).astype(np.int32) for m in range(3)]
    texts, images, audio = ([own[k] for k in rows[rows[:, m] >= 0, m]] for m, own in enumerate(parts))
    presence = ((rows >= 0) << np.arange(3)).sum(axis=1).astype(np.uint8)
    return Evaluation(
        presence, texts, owners[0], images, owners[1], audio, owners[2],
        tensors["sentiment"], tensors["labels"],
    )  # fmt: skip


def events_of(bundle: Bundle) -> tuple[Batch, bool] | None:
    """The events that a bundle brings to be judged by, and whether they are its evaluation set; otherwise
    they are the golden vectors, which are few. None where it has neither. Raises BundleError.
    """
    if bundle.evaluation is not None:
        return bundle.evaluation, True
    if bundle.golden is not None:
        return golden.batch_of(bundle.golden, bundle.preprocess.text.channels), False
    return None


def samples(bundle: Bundle, tower: str, budget: Budget | None = None) -> list[Arrays]:
    """Inputs of a graph by name, one for each micro-batch that serving would make of `events_of`: for
    calibrating a quantised graph, and for comparing. Empty where the bundle has no such events.

    The head's are what the fp32 towers say on ONNX Runtime. Raises EngineError.
    """
    found = events_of(bundle)
    if found is None:
        return []
    budget = budget or Budget(1024, 8, 20.0, bundle.preprocess.audio.rate, 64)
    text, shapes = bundle.preprocess.text, [(count, bundle.width) for count in bundle.tokens]
    heard: list[Arrays] = []
    sessions: list[Session] = []
    for name, shape in zip(MODALITIES, shapes, strict=True):
        if tower == "head":
            sessions.append(BACKENDS["onnxruntime"].open(bundle, name, "fp32", Terms(budget=budget)))
        else:
            sessions.append(_Listener({"tokens": shape}, heard if name == tower else None))
    towers = Towers(sessions, shapes, budget, channels=text.channels, planned=text.planned)
    tokens = towers.run(found[0])
    for session in sessions:
        session.close()
    if tower == "head":
        answers = {"sentiment": (3,), "moderation": (len(bundle.labels),), "unimodal": (3, 3)}
        Head(_Listener(answers, heard), shapes, budget.head_rows).run([combinations(found[0])], tokens)
    return heard


class _Listener:
    """A session that keeps what it is given, and says nothing."""

    def __init__(self, answers: Mapping[str, tuple[int, ...]], heard: list[Arrays] | None) -> None:
        self._answers, self._heard = answers, heard

    def run(self, inputs: Arrays) -> dict[str, Float32]:
        """Zeros."""
        if self._heard is not None:
            self._heard.append({name: np.ascontiguousarray(value) for name, value in inputs.items()})
        rows = len(next(iter(inputs.values())))
        return {name: np.zeros((rows, *shape), np.float32) for name, shape in self._answers.items()}

    def close(self) -> None:
        """Nothing to give back."""


class _Shared:
    """Inputs, each kept once, in the order in which they came."""

    def __init__(self) -> None:
        self.kept: list[Any] = []
        self._places: dict[int, int] = {}

    def place(self, value: Any) -> int:
        """Where an input is kept; -1 for None."""
        if value is None:
            return UNKNOWN
        if id(value) not in self._places:
            self._places[id(value)] = len(self.kept)
            self.kept.append(value)
        return self._places[id(value)]


def _ragged(name: str, rows: Sequence[NDArray[Any]], kind: Any) -> dict[str, NDArray[Any]]:
    flat = np.concatenate([np.zeros(0, kind), *rows]).astype(kind)
    return {name: flat, f"{name}.lengths": np.array([len(row) for row in rows], np.int32)}


def _rows(tensors: Tensors, name: str) -> list[NDArray[Any]]:
    flat, lengths = tensors[name], tensors[f"{name}.lengths"]
    if flat.ndim != 1 or lengths.ndim != 1 or (lengths < 0).any() or lengths.sum(dtype=np.int64) != len(flat):
        raise _bad(f"{name}.lengths do not add up to what {name} holds")
    return np.split(flat, np.cumsum(lengths, dtype=np.int64)[:-1]) if len(lengths) else []


def _bad(why: str) -> BundleError:
    return BundleError(
        "The evaluation set cannot be used", where=EVALUATION, why=why, remedy="Write the bundle anew"
    )
