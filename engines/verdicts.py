"""Verdicts and reference answers, kept in the cache, so that a restart does not verify again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from engines.alive import Alive, unheard
from engines.batch import Batch
from engines.bundle import Bundle
from engines.engine import FusedEngine
from engines.errors import EngineError
from engines.planner import Budget
from engines.sessions.choose import BACKENDS, EngineChoice
from engines.sessions.host import cache_folder
from engines.verify import Answers, Verdict, answers

REFERENCE: Final = EngineChoice("onnxruntime", "fp32")
"""What every other engine is compared with."""


def facts_of(bundle: Bundle, backend: str, precision: str, budget: Budget | None = None) -> str:
    """A digest of all that decides a verdict: bundle, precision, GPUs, driver, every version, and the budget,
    which decides the shapes that plans are built for.
    """
    described = [BACKENDS[name].describe() for name in (backend, REFERENCE.backend)]
    return _digest(_version(), bundle.digest, backend, precision, repr(budget), *described, *_devices())


class Verdicts:
    """By `facts_of`; in memory too, for where nothing can be written.

    With each are kept the digests of the plans that were judged: built anew, they may run other kernels.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[Verdict, tuple[str, ...]]] = {}

    def recall(self, facts: str, plans: Sequence[str] | None = None) -> Verdict | None:
        """What was kept, of these very plans where some are named; None where nothing legible was."""
        try:
            tree = json.loads(_place(f"{facts}.json").read_bytes())
            judged = tuple(str(plan) for plan in tree.get("plans", ()))
            self._known[facts] = Verdict.from_dict(tree), judged  # by another process, perhaps
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            if facts not in self._known:
                return None
        verdict, judged = self._known[facts]
        return verdict if plans is None or tuple(plans) == judged else None

    def refusal(self, facts: str, precision: str, there: Callable[[], Collection[str]]) -> Verdict | None:
        """A verdict by which an engine at this precision may not serve, None where it has to be tried.

        It holds as long as all plans that it was kept with are `there`: once one of them was pruned, spoiled
        or built anew, they are others. Kept with none, as for torch, it holds until `facts` change.
        """
        verdict = self.recall(facts)
        if verdict is None or verdict.serves(precision):
            return None
        judged = self._known[facts][1]
        return verdict if not judged or set(judged) <= set(there()) else None

    def keep(self, facts: str, verdict: Verdict, plans: Sequence[str] = ()) -> None:
        """Remember a verdict, and of which plans it is."""
        self._known[facts] = verdict, tuple(plans)
        tree = verdict.to_dict() | {"plans": list(plans)}
        _write(_place(f"{facts}.json"), json.dumps(tree, indent=1).encode())


def forget() -> None:
    """Drop every verdict that is kept: engines are verified anew. What the reference said stays."""
    for path in _place("").glob("*.json"):
        with suppress(OSError):  # a read-only home holds none of ours
            path.unlink()


def reference_answers(bundle: Bundle, events: Batch, threads: int = 0, alive: Alive = unheard) -> Answers:
    """What the reference says of the events a bundle brings: asked once, then kept; raises EngineError."""
    path = _place(f"{_digest(_version(), bundle.digest, BACKENDS[REFERENCE.backend].describe())}.safetensors")
    fit = bundle.calibration.get("fp32")
    thresholds = fit.thresholds if fit is not None else {}
    try:
        kept = load_safetensors(path.read_bytes())
        sentiment, moderation = kept["sentiment"], kept["moderation"]
        if sentiment.shape == (len(events), 3) and moderation.shape == (len(events), len(bundle.labels)):
            return Answers(sentiment, moderation, bundle.labels.names, thresholds)
    except (OSError, SafetensorError, KeyError):
        pass
    engine = FusedEngine(bundle, REFERENCE, threads=threads, contributions=False, uncalibrated="warn")
    try:
        made = answers(engine, events, alive)
    finally:
        engine.close()
    columns = {"sentiment": made.sentiment, "moderation": made.moderation}
    _write(path, save_safetensors({name: np.ascontiguousarray(own) for name, own in columns.items()}))
    return made


def _version() -> str:
    try:
        return version("tidegate")
    except PackageNotFoundError:
        return ""


def _devices() -> list[str]:
    try:
        from engines.cuda import devices

        return [f"{own.name} {own.capability} driver {own.driver}" for own in devices()]
    except (EngineError, ImportError):
        return []


def _digest(*facts: str) -> str:
    return hashlib.sha256("|".join(facts).encode()).hexdigest()[:24]


def _place(name: str) -> Path:
    return cache_folder() / "verdicts" / name


def _write(path: Path, data: bytes) -> None:
    draft = path.with_suffix(f".{os.getpid()}.draft")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(data)
        draft.replace(path)
    except OSError:  # a read-only home: it is found out again next time
        draft.unlink(missing_ok=True)
