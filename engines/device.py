"""One GPU, as far as planning and choosing need to know it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU: its model, compute capability, the driver's version (570, say), bytes of memory, and which."""

    name: str
    capability: tuple[int, int]
    driver: int
    memory: int
    index: int = 0
    uuid: str = ""
