"""A GPU host where there is none: stands in for `tensorrt` and `cuda.bindings.runtime`, and for nothing else.

In a test: the fixture `gpu`, which is the machine with its knobs. For a process of its own: `environment`.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.standin.machine import Gpu, Machine, machine, reset

__all__ = ["VARIABLE", "Gpu", "Machine", "environment", "heard", "installed", "machine", "order", "turn"]

VARIABLE = "TIDEGATE_STANDIN"
"""What holds the knobs of a process of its own, as JSON."""

ROOT = Path(__file__).parents[2]
PATH = Path(__file__).parent / "path"
_LOOK_SECONDS = 0.05
_followed: set[Path] = set()


@contextmanager
def installed(**knobs: Any) -> Iterator[Machine]:
    """The two modules replaced meanwhile, on a machine as good as new."""
    import tests.standin.cudart as cudart
    import tests.standin.tensorrt as tensorrt
    from engines.cuda.runtime import runtime
    from engines.tensorrt import api

    turn(reset(), knobs)
    cudart.reset()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        patch.setitem(sys.modules, "tensorrt", tensorrt)
        patch.setitem(sys.modules, "cuda.bindings.runtime", cudart)
        patch.setattr(api, "_library_version", lambda version: api.release(machine.library or version))
        runtime.cache_clear()
        api.load.cache_clear()
        try:
            yield machine
        finally:
            runtime.cache_clear()
            api.load.cache_clear()
            cudart.reset()


def environment(**knobs: Any) -> dict[str, str]:
    """The variables of a process that shall find the stand-ins when it imports the two modules."""
    paths = [str(PATH), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(paths), VARIABLE: json.dumps(knobs)}


def order(file: Path, **knobs: Any) -> None:
    """Have processes whose environment names this file as `orders` turn knobs while they run, or as they
    start; what is not in the file any more stays as it was turned.
    """
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps(knobs))
    _heard(file).unlink(missing_ok=True)
    draft.replace(file)


def heard(file: Path) -> bool:
    """Whether a process has turned what was ordered last."""
    return _heard(file).exists()


def _heard(file: Path) -> Path:
    return file.with_suffix(".heard")


def _follow(machine: Machine, file: Path) -> None:
    """Turn the knobs that a file says, now and whenever it says others."""
    if file in _followed:
        return
    _followed.add(file)
    last = ""

    def look() -> None:
        nonlocal last
        text = file.read_text() if file.exists() else ""
        if text and text != last:
            turn(machine, json.loads(text))
            _heard(file).touch()
        last = text

    def watch() -> None:
        while True:
            time.sleep(_LOOK_SECONDS)
            look()

    look()
    threading.Thread(target=watch, daemon=True, name="standin-orders").start()


def turn(machine: Machine, knobs: dict[str, Any]) -> None:
    """Set knobs, from JSON too; `fail` is a mapping of calls to statuses, `orders` the file of `order`."""
    for name, value in knobs.items():
        if name == "fail":
            for call, status in value.items():
                machine.fail(call, *([status] if isinstance(status, str) else status))
        elif name == "orders":
            _follow(machine, Path(value))
        elif name == "gpus":
            machine.gpus = [each if isinstance(each, Gpu) else Gpu(**_tuples(each)) for each in value]
        elif name in Machine.__dataclass_fields__:
            setattr(machine, name, frozenset(value) if name == "nan" else value)
        else:
            raise TypeError(f"no such knob: {name}")


def _tuples(tree: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in tree.items()}
