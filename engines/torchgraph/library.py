"""torch, imported by name: serving installs without it, and nothing here is loaded where it is missing."""

from __future__ import annotations

from importlib import import_module
from typing import Any, TypeAlias

torch: Any = import_module("torch")
functional: Any = torch.nn.functional
Tensor: TypeAlias = Any


def exact() -> None:
    """Products and convolutions of fp32 computed as such, by the names that this release of torch has: it
    refuses to compute at all where both have been used.
    """
    backends = torch.backends
    if hasattr(backends.cuda.matmul, "fp32_precision"):
        backends.cuda.matmul.fp32_precision = backends.cudnn.conv.fp32_precision = "ieee"
    else:
        backends.cuda.matmul.allow_tf32 = backends.cudnn.allow_tf32 = False
