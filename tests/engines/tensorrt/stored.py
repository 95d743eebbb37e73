"""A plan and its key, and what the tests of keeping plans ask of the disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engines.device import Device
from engines.tensorrt.buckets import Bucket
from engines.tensorrt.key import PlanKey
from engines.tensorrt.profiles import Profile
from engines.tensorrt.store import PlanStore

GPU = Device("NVIDIA H200", (9, 0), 580, 1)
ONE = Bucket(1, (("length", 16),))
KEY = PlanKey.of(b"graph", "text", "fp16", "10.15.1", GPU, {"level": 3}, [Profile(ONE, ONE, ONE)])
OTHER = replace(KEY, tower="image")
PLAN = bytes(range(256)) * 8


def file_of(store: PlanStore, key: PlanKey = KEY) -> Path:
    return store.folder / f"{key.digest}.plan"


def aside(store: PlanStore) -> list[str]:
    return [path.name.split(".")[1] for path in store.folder.glob("*.refused")]


def refuse(patch: pytest.MonkeyPatch, name: str, path: str | None, code: int) -> None:
    """Let a call of the system fail, for one path or for all."""
    real: Callable[..., Any] = getattr(os, name)

    def call(first: Any, *rest: Any, **named: Any) -> Any:
        if path is None or str(first) == path:
            raise OSError(code, os.strerror(code))
        return real(first, *rest, **named)

    patch.setattr(os, name, call)
