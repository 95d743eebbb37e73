"""Which backend at which precision: measured on this machine, kept, explained, or pinned."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from engines.bundle import Bundle
from engines.calibration import Uncalibrated, tolerated
from engines.errors import EngineError
from engines.golden import bound
from engines.sessions import fake, onnxruntime, openvino
from engines.sessions.base import Backend
from engines.sessions.host import cache_folder, cpu_name
from engines.sessions.later import later

GPU: Final = ("tensorrt", "torch")
"""Backends for GPUs, the first of them first; their modules are imported when they are asked for."""
PRECISIONS: Final = ("fp32", "bf16", "fp16", "fp8", "int8")
"""Every precision that some backend computes at."""
BACKENDS: Final = {
    b.name: b
    for b in (
        onnxruntime.BACKEND,
        openvino.BACKEND,
        fake.BACKEND,
        later("tensorrt", PRECISIONS),
        later("torch", ("fp32", "bf16", "fp16")),
    )
}
"""Every backend by name."""
AUTO: Final = ("onnxruntime", "openvino")
"""Those that `auto` measures on a processor."""
HOST_PRECISIONS: Final = ("fp32", "bf16")
"""Those that a processor makes out of fp32 graphs."""
ORDER: Final = ("fp8", "fp16", "bf16", "fp32")
"""The precisions that `auto` tries on a GPU, the first that verifies is served; int8 is for who pins it."""
QUANTISED: Final = ("fp8", "int8")
"""Precisions that need graphs of their own: they can be calibrated, but not be cast to."""
SECONDS: Final = 15.0
"""What measuring may take; what was not reached by then is not chosen."""

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """A backend, a precision, and why."""

    backend: str
    precision: str
    why: str = "pinned"


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds for a typical batch, and the error against the golden vectors (None: there are none)."""

    seconds: float
    error: float | None


Trial = Callable[[str, str, float], Measured]
"""Try (backend, precision) for about so many seconds; raises EngineError."""

_TRIAL: Final = 1.4
"""Seconds of one pair's trial at most, besides opening it."""


def choose(
    bundle: Bundle,
    backend: str,
    precision: str,
    threads: int,
    trial: Trial,
    uncalibrated: Uncalibrated = "auto",
) -> EngineChoice:
    """The fastest pair within the error bound, among those that pins and calibration leave.

    Raises EngineError where nothing is left.
    """
    pairs = candidates(bundle, backend, precision, uncalibrated)
    if len(pairs) == 1:
        pinned = "auto" not in (backend, precision)
        return EngineChoice(*pairs[0], "pinned" if pinned else "the only one possible here")
    kept = _kept_file(bundle, backend, precision, threads)
    known = _recall(kept, pairs)
    if known is None:
        known, complete = _measure(pairs, trial)
        if complete:  # a machine that was too busy to try them all is asked again next time
            _keep(kept, known)
    return known


def known(backend: str) -> None:
    """Raise EngineError for a backend that there is not."""
    if backend != "auto" and backend not in BACKENDS:
        raise _impossible(
            f"there is no backend {backend}",
            f"Set engine.backend to auto or one of {', '.join((*AUTO, *GPU))}",
        )


def able(bundle: Bundle, precisions: Sequence[str] = PRECISIONS) -> list[Pair]:
    """Every (backend, precision) that this machine can run the bundle at, calibrated or not."""
    here = [BACKENDS[name] for name in AUTO if BACKENDS[name].missing() is None]
    return [(each.name, p) for p in precisions for each in here if _can(each, bundle, p)]


def on_gpu(
    bundle: Bundle, backend: str = "auto", precision: str = "auto", devices: Sequence[int] | None = None
) -> tuple[list[Pair], dict[str, str]]:
    """The (backend, precision) pairs to try on GPUs, best first, and why others are not among them: by the
    backend's name, or the pair's where those `devices` (None: all) cannot compute at that precision.

    The bundle need not be calibrated for them, nor have graphs of them, where fp32 ones can be cast.
    """
    pairs, reasons = [], dict[str, str]()
    wanted = ORDER if precision == "auto" else (precision,)
    for name in GPU if backend == "auto" else (backend,):
        found = BACKENDS[name]
        reason = found.missing()
        if reason is None and not found.on_gpu() and backend == "auto":
            reason = "it has no GPU"
        able = [] if reason else [p for p in wanted if _may(found, bundle, p)]
        lacking = {p: why for p in able if (why := found.lacks(p, devices)) is not None}
        reasons |= {_spell((name, p)): why for p, why in lacking.items()}
        pairs += [(name, p) for p in able if p not in lacking]
        if not able:
            reasons[name] = reason or f"it cannot run {bundle.name} at {', '.join(wanted)}"
    return pairs, reasons


def candidates(
    bundle: Bundle, backend: str, precision: str, uncalibrated: Uncalibrated = "auto"
) -> list[Pair]:
    """The (backend, precision) pairs that can run here; raises EngineError where none can.

    A precision that the bundle is not calibrated for is taken only where it is pinned and tolerated.
    """
    known(backend)
    strange = precision not in ("auto", *bundle.precisions)
    if strange and not (precision in PRECISIONS and tolerated(bundle.calibration, uncalibrated)):
        raise _impossible(
            f"{bundle.name} is not calibrated for {precision}, only for {', '.join(bundle.precisions)}",
            "Set engine.precision to auto, calibrate the bundle for it, or set engine.uncalibrated: warn",
        )
    wanted = bundle.precisions if precision == "auto" else (precision,)
    pairs, reasons = [], []
    for name in AUTO if backend == "auto" else (backend,):
        missing = BACKENDS[name].missing()
        if missing is not None:
            reasons.append(f"{name}: {missing}")
            continue
        able = [p for p in wanted if _can(BACKENDS[name], bundle, p)]
        pairs += [(name, p) for p in able]
        if not able:
            reasons.append(f"{name} cannot run {', '.join(wanted)} on this processor")
    if not pairs:
        raise _impossible("; ".join(reasons), "Set engine.backend and engine.precision to auto")
    return pairs


def _can(backend: Backend, bundle: Bundle, precision: str) -> bool:
    own = all(precision in bundle.manifest["graphs"][m] for m in ("text", "image", "audio"))
    return (own and precision in backend.reads) or precision in backend.native()


def _may(backend: Backend, bundle: Bundle, precision: str) -> bool:
    if precision in QUANTISED:
        own = any(precision in files for files in bundle.manifest["graphs"].values())
        return own and precision in backend.reads
    return _can(backend, bundle, precision)


def _measure(pairs: list[Pair], trial: Trial) -> tuple[EngineChoice, bool]:
    """The best pair, and whether all were tried."""
    deadline = time.monotonic() + SECONDS
    good: list[tuple[float, Pair]] = []
    notes, complete = [], True
    for k, pair in enumerate(pairs):
        left = deadline - time.monotonic()
        if left <= 0 and good:
            notes.append(f"{_spell(pair)} not measured: out of time")
            complete = False
            continue
        try:
            measured = trial(*pair, min(max(left, 0.3) / (len(pairs) - k), _TRIAL))
        except EngineError as error:
            notes.append(f"{_spell(pair)} failed: {error.why or error.what}")
            continue
        note = f"{_spell(pair)} {measured.seconds * 1e3:.1f} ms"
        if _exact(measured, pair[1]):
            good.append((measured.seconds, pair))
        else:
            note += " but not exact enough" if measured.error is not None else " but no golden vectors"
        notes.append(note)
    if not good:
        raise _impossible("; ".join(notes), "Pin engine.backend, or check the bundle with another version")
    pair = min(good)[1]
    why = f"fastest on this machine for a typical batch: {'; '.join(notes)}"
    return EngineChoice(*pair, why), complete


def _exact(measured: Measured, precision: str) -> bool:
    if measured.error is None:
        return precision == "fp32"
    return measured.error <= bound(precision)


def _kept_file(bundle: Bundle, backend: str, precision: str, threads: int) -> Path:
    versions = [b.describe() for b in BACKENDS.values() if b.missing() is None]
    facts = [bundle.digest, cpu_name(), *versions, str(threads), backend, precision]
    return cache_folder() / "engines" / f"{hashlib.sha256('|'.join(facts).encode()).hexdigest()[:24]}.json"


def _recall(path: Path, pairs: list[Pair]) -> EngineChoice | None:
    try:
        kept = json.loads(path.read_bytes())
        choice = EngineChoice(str(kept["backend"]), str(kept["precision"]), str(kept["why"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return choice if (choice.backend, choice.precision) in pairs else None


def _keep(path: Path, choice: EngineChoice) -> None:
    draft = path.with_suffix(f".{os.getpid()}.draft")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps(asdict(choice), indent=1), encoding="utf-8")
        draft.replace(path)
    except OSError:  # a read-only home: it is measured again next time
        draft.unlink(missing_ok=True)


def _spell(pair: Pair) -> str:
    return " ".join(pair)


def _impossible(why: str, remedy: str) -> EngineError:
    return EngineError("No engine can run this bundle as asked", why=why, remedy=remedy)
