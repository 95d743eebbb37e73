"""torch, imported by name: serving installs without it, and nothing here is loaded where it is missing."""

from __future__ import annotations

from importlib import import_module
from typing import Any, TypeAlias

torch: Any = import_module("torch")
functional: Any = torch.nn.functional
Tensor: TypeAlias = Any
