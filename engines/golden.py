"""Golden vectors: recorded inputs and answers, so that a backend that computes wrongly is never served.

``golden.safetensors`` holds n events with one row of each modality, whether shown or not:
each text channel under its name (``ids`` say), int32 [n, L] with 0 = padding, ``pixels`` uint8 [n, H, W, 3],
``samples`` int16 [n, S], ``lengths`` int32 [n], ``presence`` uint8 [n]; and the expected logits, fp32:
``sentiment`` [n, 3], ``moderation`` [n, labels], ``unimodal`` [n, 3, 3], and ``severity``
[n, labels] where the head grades.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from engines.batch import MODALITIES, Batch, Example
from engines.errors import BundleError
from engines.head import Logits

Tensors = Mapping[str, NDArray[Any]]

BOUND: Final = {"fp32": 2e-3, "bf16": 5e-2}
"""Largest error of a logit, relative to 1 + its size, that a precision may show.

Numbers at bf16 have 8 significant bits: a network of a dozen layers is off by .03 where nothing is wrong.
"""
OTHER_BOUND: Final = 3e-2
"""The same for other precisions below fp32."""
VERIFIED: Final = {"fp8": 1.0, "int8": 1.0}
"""The same where decisions are verified, which tell more of 8 bits: only nonsense is caught here."""

_KINDS: Final[dict[str, Any]] = {
    "pixels": np.uint8, "samples": np.int16, "lengths": np.int32, "presence": np.uint8,
    "sentiment": np.float32, "moderation": np.float32, "unimodal": np.float32,
}  # fmt: skip


def bound(precision: str, verified: bool = False) -> float:
    """The largest error that is accepted from a precision; `verified`: of an engine whose decisions are
    verified against fp32 besides, as those on GPUs are.
    """
    usual = BOUND.get(precision, OTHER_BOUND)
    return VERIFIED.get(precision, usual) if verified else usual


def batch_of(golden: Tensors, channels: Sequence[str] = ("ids",)) -> Batch:
    """The recorded inputs as a batch; raises BundleError."""
    return Batch.of(examples_of(golden, channels))


def examples_of(golden: Tensors, channels: Sequence[str] = ("ids",)) -> list[Example]:
    """The recorded inputs, event by event; raises BundleError."""
    check(golden, channels)
    return [_example(golden, channels, k) for k in range(len(golden["presence"]))]


def write_golden(
    path: Path, examples: Sequence[Example], expected: Tensors, channels: Sequence[str] = ("ids",)
) -> None:
    """Record examples (at most one image and one audio each) and their expected logits."""
    first = {m: [_row(e, m) for e in examples] for m in MODALITIES[1:]}
    shape = next((row.shape for row in first["image"] if row is not None), (1, 1, 3))
    tensors = (
        {
            name: _pad([e.text[c] if e.text else None for e in examples], np.dtype(np.int32))
            for c, name in enumerate(channels)
        }
        | {
            "pixels": np.stack([np.zeros(shape, np.uint8) if r is None else r for r in first["image"]]),
            "samples": _pad(first["audio"], np.dtype(np.int16)),
            "lengths": np.array([0 if r is None else len(r) for r in first["audio"]], np.int32),
            "presence": np.array([e.presence for e in examples], np.uint8),
        }
        | {
            name: np.ascontiguousarray(expected[name], np.float32)
            for name in ("sentiment", "moderation", "unimodal", *["severity"] * ("severity" in expected))
        }
    )
    check(tensors, channels)
    save_file(tensors, path)


def check(golden: Tensors, channels: Sequence[str] = ("ids",)) -> None:
    """Raise BundleError where a tensor is missing, of a wrong type or not one row an event."""
    n = len(golden.get("presence", ()))
    kinds = _KINDS | dict.fromkeys(channels, np.int32)
    wrong = [
        k for k, kind in kinds.items() if k not in golden or golden[k].dtype != kind or len(golden[k]) != n
    ]
    if wrong or not n or golden["presence"].max() > 7:
        raise BundleError(
            "The golden vectors cannot be used",
            where="golden.safetensors",
            why=f"missing, or of a wrong type or length: {', '.join(wrong) or 'presence'}",
            remedy="Write the bundle anew",
        )


def error(golden: Tensors, answer: Logits) -> float:
    """The largest error of logits against the recorded, relative to 1 + their size; infinite for NaN."""
    seen = (golden["presence"][:, None] >> np.arange(3) & 1).astype(bool)
    pairs = [
        (answer.sentiment, golden["sentiment"]),
        (answer.moderation, golden["moderation"]),
        (answer.unimodal[seen], golden["unimodal"][seen]),
    ]
    if "severity" in golden and answer.severity is not None:
        pairs.append((answer.severity, golden["severity"]))
    if any(got.shape != want.shape for got, want in pairs):
        return float("inf")
    return max(relative(got, want) for got, want in pairs)


def relative(got: NDArray[Any], want: NDArray[Any]) -> float:
    """The largest error of an array, relative to 1 + the size of what is wanted; infinite for NaN."""
    worst = float(np.max(np.abs(got - want) / (1 + np.abs(want)), initial=0))
    return worst if np.isfinite(worst) else float("inf")


def _example(golden: Tensors, channels: Sequence[str], k: int) -> Example:
    presence = int(golden["presence"][k])
    ids = (golden[name][k] for name in channels)
    return Example(
        text=tuple(row[: np.count_nonzero(row)] for row in ids) if presence & 1 else None,
        images=[golden["pixels"][k]] if presence & 2 else [],
        audio=[golden["samples"][k, : golden["lengths"][k]]] if presence & 4 else [],
    )


def _row(example: Example, modality: str) -> NDArray[Any] | None:
    rows = example.images if modality == "image" else example.audio
    return rows[0] if rows else None


def _pad(rows: Sequence[NDArray[Any] | None], kind: np.dtype[Any]) -> NDArray[Any]:
    longest = max([1, *(len(row) for row in rows if row is not None)])
    table = np.zeros((len(rows), longest), kind)
    for k, row in enumerate(rows):
        if row is not None:
            table[k, : len(row)] = row
    return table
