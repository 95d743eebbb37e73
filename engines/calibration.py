"""From logits to probabilities, per precision and presence pattern."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engines.batch import Float32, UInt8
from engines.errors import BundleError


@dataclass(frozen=True)
class Calibration:
    """The fit for one precision; the first axis of the first three is the presence bitmask 0…7.

    All float32: ``temperature`` [8], ``scale`` and ``bias`` [8, labels], ``unimodal_temperature`` [3].
    """

    temperature: Float32
    scale: Float32
    bias: Float32
    unimodal_temperature: Float32

    @classmethod
    def identity(cls, labels: int) -> Calibration:
        """Changes nothing: what a bundle starts from before it is calibrated."""
        one, three = np.ones((8, labels), np.float32), np.ones(3, np.float32)
        return cls(np.ones(8, np.float32), one, np.zeros_like(one), three)

    def sentiment(self, logits: Float32, presence: UInt8) -> Float32:
        """float32 [rows, 3] probabilities from logits [rows, 3]; `presence` uint8 [rows]."""
        return softmax(logits / self.temperature[presence][:, None])

    def moderation(self, logits: Float32, presence: UInt8) -> Float32:
        """float32 [rows, labels] probabilities from logits [rows, labels]; `presence` uint8 [rows]."""
        return sigmoid(self.scale[presence] * logits + self.bias[presence])

    def unimodal(self, logits: Float32) -> Float32:
        """float32 [rows, 3 modalities, 3] probabilities from logits of that shape."""
        return softmax(logits / self.unimodal_temperature[:, None])

    def to_dict(self) -> dict[str, Any]:
        """The plain form that calibration.json holds."""
        return {name: np.asarray(value, dtype=np.float64).tolist() for name, value in vars(self).items()}


def parse(data: bytes, labels: int, where: str = "calibration.json") -> dict[str, Calibration]:
    """Read the bytes of a calibration.json for so many labels; raises BundleError."""
    shapes = {"temperature": (8,), "scale": (8, labels), "bias": (8, labels), "unimodal_temperature": (3,)}
    try:
        tree = json.loads(data)["precisions"]
        fits = {
            str(precision): Calibration(**{name: np.asarray(fit[name], dtype=np.float32) for name in shapes})
            for precision, fit in tree.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _bad(where, f"it is malformed: {error!r}") from error
    if not fits:
        raise _bad(where, "it names no precision")
    for precision, fit in fits.items():
        for name, shape in shapes.items():
            array = getattr(fit, name)
            if array.shape != shape or not np.isfinite(array).all():
                raise _bad(
                    where, f"{precision}.{name} must be finite numbers of shape {shape}, not {array.shape}"
                )
        if min(fit.temperature.min(), fit.unimodal_temperature.min()) <= 0:
            raise _bad(where, f"{precision} has a temperature that is not above 0")
    return fits


def dump(path: Path, fits: Mapping[str, Calibration]) -> None:
    """Write calibration.json, so that `parse` gives the same fits back."""
    tree = {"precisions": {precision: fit.to_dict() for precision, fit in fits.items()}}
    path.write_text(json.dumps(tree, indent=1) + "\n", encoding="utf-8")


def softmax(logits: Float32) -> Float32:
    """Softmax over the last axis, in float32."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), dtype=np.float32)


def sigmoid(logits: Float32) -> Float32:
    """Logistic function that does not overflow, in float32."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits)), dtype=np.float32)


def _bad(where: str, why: str) -> BundleError:
    return BundleError(
        "The calibration cannot be used", where=where, why=why, remedy="Calibrate the bundle again"
    )
