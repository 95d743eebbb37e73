"""From logits to probabilities, per precision and presence pattern, and how far each fit may be trusted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from engines.batch import Float32, UInt8
from engines.errors import BundleError, EngineError
from engines.thresholds import Thresholds

Uncalibrated = Literal["auto", "refuse", "warn"]
"""What to do about an engine whose precision nothing was fitted for; auto: refuse, unless the whole bundle
says of itself that it is not calibrated.
"""
_ARRAYS: Final = ("temperature", "scale", "bias", "unimodal_temperature")


@dataclass(frozen=True, slots=True)
class Fitted:
    """What the last fit was made with: the backend whose logits it saw, the SHA-256 of the labelled events,
    how many of them, and the largest difference that other backends of this precision showed, in a
    probability. Labels that those events did not suffice for may be of an earlier fit, of which nothing is
    kept here.
    """

    engine: str
    dataset: str
    rows: int
    agrees: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Calibration:
    """The fit for one precision; the first axis of the first three is the presence bitmask 0…7.

    All float32: ``temperature`` [8], ``scale`` and ``bias`` [8, labels], ``unimodal_temperature`` [3]; and
    ``bend`` [labels, 3], None where there is none: a label's scaled logit once more, with a scale of its own
    on either side of zero, and a shift (Kull et al. 2017, Beta calibration).
    ``thresholds`` by label, empty where none were worked out; ``calibrated`` is False where nothing was
    fitted, so that probabilities are only the logits in another form. ``uncalibrated`` names the labels, and
    "sentiment", of which that is so although others were fitted.
    """

    temperature: Float32
    scale: Float32
    bias: Float32
    unimodal_temperature: Float32
    thresholds: Mapping[str, Thresholds] = field(default_factory=dict)
    fitted: Fitted | None = None
    calibrated: bool = True
    bend: Float32 | None = None
    uncalibrated: tuple[str, ...] = ()

    @classmethod
    def identity(cls, labels: int) -> Calibration:
        """Changes nothing: what a bundle starts from before it is calibrated."""
        one, three = np.ones((8, labels), np.float32), np.ones(3, np.float32)
        return cls(np.ones(8, np.float32), one, np.zeros_like(one), three, calibrated=False)

    def sentiment(self, logits: Float32, presence: UInt8) -> Float32:
        """float32 [rows, 3] probabilities from logits [rows, 3]; `presence` uint8 [rows]."""
        return softmax(logits / self.temperature[presence][:, None])

    def moderation(self, logits: Float32, presence: UInt8) -> Float32:
        """float32 [rows, labels] probabilities from logits [rows, labels]; `presence` uint8 [rows]."""
        scaled = self.scale[presence] * logits + self.bias[presence]
        return sigmoid(scaled if self.bend is None else bent(scaled, self.bend))

    def unimodal(self, logits: Float32) -> Float32:
        """float32 [rows, 3 modalities, 3] probabilities from logits of that shape."""
        return softmax(logits / self.unimodal_temperature[:, None])

    def to_dict(self) -> dict[str, Any]:
        """The plain form that calibration.json holds."""
        tree: dict[str, Any] = {
            name: np.asarray(getattr(self, name), dtype=np.float64).tolist() for name in _ARRAYS
        }
        if self.bend is not None:
            tree["bend"] = np.asarray(self.bend, dtype=np.float64).tolist()
        tree["calibrated"] = self.calibrated
        if self.uncalibrated:
            tree["uncalibrated"] = list(self.uncalibrated)
        if self.fitted is not None:
            names = ("engine", "dataset", "rows")
            tree["fitted"] = {name: getattr(self.fitted, name) for name in names}
            tree["fitted"]["agrees"] = dict(self.fitted.agrees)
        if self.thresholds:
            tree["thresholds"] = {name: each.to_dict() for name, each in self.thresholds.items()}
        return tree


def serving(
    fits: Mapping[str, Calibration], precision: str, uncalibrated: Uncalibrated = "auto", where: str = ""
) -> tuple[Calibration, bool]:
    """The fit that serves a precision, and whether it was made for it; raises EngineError when refused.

    A fit that was made for another precision keeps no thresholds: what they promise was measured there.
    """
    fit = fits.get(precision)
    if fit is not None and fit.calibrated:
        return fit, True
    if not tolerated(fits, uncalibrated):
        known = [name for name, each in fits.items() if each.calibrated]
        raise EngineError(
            "The bundle has no calibration for this precision",
            where=where,
            why=f"it is calibrated for {', '.join(known) or 'none'}, not for {precision}",
            remedy=(f"Set engine.precision to {' or '.join(known)}, calibrate" if known else "Calibrate")
            + " the bundle with `tidegate bundle calibrate`, or set engine.uncalibrated: warn",
        )
    nearest = fit or fits.get("fp32") or next(iter(fits.values()))
    return replace(nearest, thresholds={}), False


def equivalent(fits: Mapping[str, Calibration], precision: str) -> Mapping[str, Calibration]:
    """The fits, with fp32's for a precision that was verified to decide as fp32 does: what thresholds promise
    holds for the same decisions. Unchanged where nothing was fitted at fp32.
    """
    exact = fits.get("fp32")
    return {**fits, precision: exact} if exact is not None and exact.calibrated else fits


def tolerated(fits: Mapping[str, Calibration], uncalibrated: Uncalibrated = "auto") -> bool:
    """Whether a precision without a fit of its own may be served, with a warning."""
    marked = not any(fit.calibrated for fit in fits.values())
    return uncalibrated == "warn" or (uncalibrated == "auto" and marked)


def parse(data: bytes, labels: int, where: str = "calibration.json") -> dict[str, Calibration]:
    """Read the bytes of a calibration.json for so many labels; raises BundleError."""
    try:
        tree = json.loads(data)["precisions"]
        fits = {str(precision): _fit(entry) for precision, entry in tree.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _bad(where, f"it is malformed: {error!r}") from error
    if not fits:
        raise _bad(where, "it names no precision")
    for precision, fit in fits.items():
        _check(fit, labels, where, precision)
    return fits


def dump(path: Path, fits: Mapping[str, Calibration]) -> None:
    """Write calibration.json, so that `parse` gives the same fits back."""
    tree = {"precisions": {precision: fit.to_dict() for precision, fit in fits.items()}}
    path.write_text(json.dumps(tree, indent=1) + "\n", encoding="utf-8")


def bent(logits: Float32, bend: Float32) -> Float32:
    """Logits [rows, labels] with a scale above zero, another below, and a shift; ``bend`` [labels, 3]."""
    above, below = np.logaddexp(0, logits), np.logaddexp(0, -logits)  # their difference is the logit
    return np.asarray(bend[:, 0] * above - bend[:, 1] * below + bend[:, 2], np.float32)


def softmax(logits: Float32) -> Float32:
    """Softmax over the last axis, in float32."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), dtype=np.float32)


def sigmoid(logits: Float32) -> Float32:
    """Logistic function that does not overflow, in float32."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits)), dtype=np.float32)


def _fit(entry: Mapping[str, Any]) -> Calibration:
    fitted, bend = entry.get("fitted"), entry.get("bend")
    return Calibration(
        **{name: np.asarray(entry[name], dtype=np.float32) for name in _ARRAYS},
        thresholds={str(k): Thresholds.from_dict(each) for k, each in entry.get("thresholds", {}).items()},
        fitted=None if fitted is None else _fitted(fitted),
        calibrated=bool(entry.get("calibrated", True)),
        bend=None if bend is None else np.asarray(bend, dtype=np.float32).reshape(-1, 3),
        uncalibrated=tuple(str(name) for name in entry.get("uncalibrated", ())),
    )


def _fitted(entry: Mapping[str, Any]) -> Fitted:
    agrees = {str(name): float(value) for name, value in entry.get("agrees", {}).items()}
    return Fitted(str(entry["engine"]), str(entry["dataset"]), int(entry["rows"]), agrees)


def _check(fit: Calibration, labels: int, where: str, precision: str) -> None:
    shapes: dict[str, tuple[int, ...]] = dict(
        zip(_ARRAYS, ((8,), (8, labels), (8, labels), (3,)), strict=True)
    )
    if fit.bend is not None:
        shapes["bend"] = (labels, 3)
    for name, shape in shapes.items():
        array = getattr(fit, name)
        if array.shape != shape or not np.isfinite(array).all():
            why = f"{precision}.{name} must be finite numbers of shape {shape}, not {array.shape}"
            raise _bad(where, why)
    if min(fit.temperature.min(), fit.unimodal_temperature.min()) <= 0:
        raise _bad(where, f"{precision} has a temperature that is not above 0")


def _bad(where: str, why: str) -> BundleError:
    return BundleError(
        "The calibration cannot be used", where=where, why=why, remedy="Calibrate the bundle again"
    )
