"""One graph at another precision, made by NVIDIA's Model Optimizer in a process of its own.

It patches ONNX Runtime, loads torch, sets log levels and writes to the terminal: a daemon that builds an
engine wants none of that, and gets the memory back when the process ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.alive import Alive, unheard
from engines.errors import EngineError

Samples = Sequence[Mapping[str, NDArray[Any]]]
"""Inputs of a graph by name, as many micro-batches as there are."""

PRECISIONS: Final = ("fp32", "bf16", "fp16", "fp8", "int8")
"""Every precision that a graph can be cast to."""
QUANTISED: Final = ("fp8", "int8")
"""Those that need samples: the range of every activation is measured once, and never taken from a batch."""
NEEDED: Final = (
    "onnx", "onnxscript", "torch", "modelopt", "onnx_graphsurgeon", "onnxslim", "polygraphy", "lief",
)  # fmt: skip
GRAPH, RESULT, SAMPLES = "graph.onnx", "result.onnx", "samples"
PRECISION, FAILURE = "precision.txt", "failure.txt"
_TOLD: Final = "told.txt"
_LOOK: Final = 5.0
"""Seconds from one sign of life to the next."""
_MOST: Final = 7200.0
"""Seconds after which a process counts as hung: the largest graphs take minutes."""
_ROOT: Final = Path(__file__).parents[2]


def missing() -> str | None:
    """Why nothing can be cast here; None where it can."""
    lost = [name for name in NEEDED if find_spec(name) is None]
    return f"not installed: {', '.join(lost)}" if lost else None


@dataclass(frozen=True, slots=True)
class Wanted:
    """One graph, the precision it is wanted at, its name, and inputs that it gets in practice."""

    model: bytes
    precision: str
    tower: str = "graph"
    samples: Samples = ()


def cast_graph(
    model: bytes,
    precision: str,
    tower: str = "graph",
    samples: Samples = (),
    alive: Alive = unheard,
    *,
    head_too: bool = False,
) -> bytes:
    """An fp32 graph at another precision; names, types and shapes of inputs and outputs stay.

    The head stays at fp32 unless ``head_too``. fp16 takes ``samples`` to find what would overflow, fp8 and
    int8 need them. A graph without attention has no use for fp8 and is cast to fp16. `alive` is called every
    few seconds. Raises EngineError.
    """
    return cast_graphs([Wanted(model, precision, tower, samples)], alive, head_too=head_too)[0]


def cast_graphs(wanted: Sequence[Wanted], alive: Alive = unheard, *, head_too: bool = False) -> list[bytes]:
    """Several graphs as `cast_graph` makes them, in one process; raises EngineError for the first
    that fails.
    """
    done = [each.model for each in wanted]
    real = [k for k, w in enumerate(wanted) if w.precision != "fp32" and (head_too or w.tower != "head")]
    for k in real:
        _check(wanted[k])
    if real:
        with tempfile.TemporaryDirectory() as name:
            for k, made in zip(real, _run(Path(name), [wanted[k] for k in real], alive), strict=True):
                done[k] = made
    return done


def _run(folder: Path, wanted: Sequence[Wanted], alive: Alive) -> list[bytes]:
    own = [folder / str(k) for k in range(len(wanted))]
    for place, each in zip(own, wanted, strict=True):
        (place / SAMPLES).mkdir(parents=True)
        (place / GRAPH).write_bytes(each.model)
        (place / PRECISION).write_text(each.precision, encoding="utf-8")
        for k, sample in enumerate(each.samples):
            np.savez(place / SAMPLES / f"{k:05}.npz", allow_pickle=False, **sample)
    ended = _ended([sys.executable, "-m", "engines.precision.job", *map(str, own)], folder, alive)
    for place, each in zip(own, wanted, strict=True):
        if not (place / RESULT).is_file():
            raise EngineError(
                f"The {each.tower} graph cannot be made at {each.precision}", why=_reason(place, ended),
                remedy="Use another precision for this bundle",
            )  # fmt: skip
    return [(place / RESULT).read_bytes() for place in own]


def _ended(command: Sequence[str], folder: Path, alive: Alive) -> str:
    """Run a process to its end, and tell of it; it is killed where `alive` raises, or nothing comes of it."""
    over = time.monotonic() + _MOST
    with (folder / _TOLD).open("wb") as told:
        child = subprocess.Popen(
            command, env=_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=told
        )
        try:
            while child.poll() is None and time.monotonic() < over:
                alive()
                with suppress(subprocess.TimeoutExpired):
                    child.wait(_LOOK)
        finally:
            hung = child.poll() is None
            child.kill()
            child.wait()
    if hung:
        return f"its process did not end within {_MOST:.0f} s"
    lines = (folder / _TOLD).read_text("utf-8", "replace").strip().splitlines()
    return f"its process ended with {child.returncode}: {lines[-1][:300] if lines else 'it said nothing'}"


def _check(wanted: Wanted) -> None:
    tower, precision = wanted.tower, wanted.precision
    if precision not in PRECISIONS:
        raise EngineError(f"There is no precision {precision}", remedy=f"Use one of {', '.join(PRECISIONS)}")
    if precision in QUANTISED and not wanted.samples:
        raise EngineError(
            f"The {tower} graph cannot be quantised", why=f"{precision} needs samples to measure ranges on",
            remedy="Give the bundle golden vectors or an evaluation set",
        )  # fmt: skip
    lost = missing()
    if lost is not None:
        raise EngineError(
            f"The {tower} graph cannot be made at {precision}", why=lost,
            remedy="pip install 'tidegate[quantise]', or export the bundle at this precision elsewhere",
        )  # fmt: skip


def _environment() -> dict[str, str]:
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "CUDA_VISIBLE_DEVICES": ""}


def _reason(folder: Path, ended: str) -> str:
    failure = folder / FAILURE
    return failure.read_text("utf-8")[:500] if failure.is_file() else ended
