"""What makes a plan valid: where any of it changes, the plan is built anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engines.device import Device
from engines.tensorrt.profiles import Profile

Option = str | int | float | bool


@dataclass(frozen=True, slots=True)
class PlanKey:
    """The graph's SHA-256, what it is built by and for, how, and for which shapes.

    `system` is the operating system and processor ("linux-x86_64"); `options` are the builder's.
    """

    graph: str
    tower: str
    precision: str
    tensorrt: str
    capability: tuple[int, int]
    device: str
    driver_major: int
    options: Mapping[str, Option]
    profiles: tuple[Profile, ...]
    system: str

    @classmethod
    def of(
        cls,
        graph: bytes,
        tower: str,
        precision: str,
        tensorrt: str,
        device: Device,
        options: Mapping[str, Option],
        profiles: Sequence[Profile],
    ) -> PlanKey:
        """The key of a graph's bytes, built here for a device."""
        raise NotImplementedError

    @property
    def digest(self) -> str:
        """64 hexadecimal digits that change with anything in the key."""
        raise NotImplementedError

    def describe(self) -> str:
        """One line for a person: tower, precision, shapes, TensorRT and GPU."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        raise NotImplementedError

    @classmethod
    def from_dict(cls, tree: Mapping[str, Any]) -> PlanKey:
        """The inverse of `to_dict`; raises EngineError."""
        raise NotImplementedError


def differences(stored: PlanKey, wanted: PlanKey) -> tuple[str, ...]:
    """What of a stored key is not as wanted, in words: "driver 570 instead of 580"."""
    raise NotImplementedError
