"""What makes a plan valid: where any of it changes, the plan is built anew."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType
from typing import Any, Final

from engines.device import Device
from engines.errors import EngineError
from engines.tensorrt.profiles import Profile

Option = str | int | float | bool

_SCHEMA: Final = "tidegate.plan/1"
_LINES: Final = ("graph", "tower", "precision", "device", "capability", "tensorrt", "driver_major", "system")
_NONE: Final = "none"
_CUDAS: Final = range(11, 20)
_WORDS: Final = {
    "tensorrt": "TensorRT",
    "capability": "compute capability",
    "device": "GPU",
    "driver_major": "driver",
}


@dataclass(frozen=True, slots=True, eq=False)
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

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", MappingProxyType(dict(sorted(self.options.items()))))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlanKey) and self.digest == other.digest  # 1, 1.0 and True are not the same

    def __hash__(self) -> int:
        return hash(self.digest)

    def __reduce__(self) -> tuple[Callable[..., PlanKey], tuple[Any, ...]]:
        return PlanKey.from_dict, (self.to_dict(),)

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
        return cls(
            graph=hashlib.sha256(graph).hexdigest(),
            tower=tower,
            precision=precision,
            tensorrt=tensorrt,
            capability=device.capability,
            device=device.name,
            driver_major=device.driver,
            options=options,
            profiles=tuple(profiles),
            system=f"{platform.system()}-{platform.machine()}".lower(),
        )

    @property
    def digest(self) -> str:
        """64 hexadecimal digits that change with anything in the key."""
        return digest_of(self.to_dict())

    @property
    def builder(self) -> str:
        """64 hexadecimal digits of what a timing cache is valid for: TensorRT, GPU, driver and system."""
        tree = self.to_dict()
        return digest_of(
            {name: tree[name] for name in ("tensorrt", "capability", "device", "driver_major", "system")}
        )

    def describe(self) -> str:
        """One line for a person: tower, precision, shapes, TensorRT and GPU."""
        shapes = "; ".join(_spell(profile) for profile in self.profiles)
        return (
            f"{self.tower} {self.precision} ({shapes}) of graph {self.graph[:8]}, TensorRT {self.tensorrt}, "
            f"{self.device}, driver {self.driver_major}"
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        tree: dict[str, Any] = {own.name: getattr(self, own.name) for own in fields(self)}
        return tree | {
            "capability": list(self.capability),
            "options": dict(self.options),
            "profiles": [profile.to_dict() for profile in self.profiles],
        }

    @classmethod
    def from_dict(cls, tree: Mapping[str, Any]) -> PlanKey:
        """The inverse of `to_dict`; raises EngineError."""
        try:
            major, minor = tree["capability"]
            return cls(
                **{name: str(tree[name]) for name in ("graph", "tower", "precision", "tensorrt", "device")},
                capability=(int(major), int(minor)),
                driver_major=int(tree["driver_major"]),
                options=dict(tree["options"]),
                profiles=tuple(map(Profile.from_dict, tree["profiles"])),
                system=str(tree["system"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise EngineError("A plan's key cannot be read", why=repr(error)) from error


def flavour() -> str:
    """Which CUDA the installed TensorRT is made for, "cu13": releases for several share their version.

    "none" where it did not come as a package, as in NVIDIA's own images.
    """
    return "+".join(f"cu{k}" for k in _CUDAS if release_of(f"tensorrt-cu{k}-libs") != _NONE) or _NONE


def release_of(package: str) -> str:
    """The version of a package, "none" where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return _NONE


def differences(stored: PlanKey, wanted: PlanKey) -> tuple[str, ...]:
    """What of a stored key is not as wanted, in words: "driver 570 instead of 580"."""
    found = [
        f"{_WORDS.get(name, name)} {_short(was)} instead of {_short(now)}"
        for name in _LINES
        if (was := getattr(stored, name)) != (now := getattr(wanted, name))
    ]
    for name in sorted(stored.options.keys() | wanted.options.keys()):
        was, now = (key.options.get(name, "unset") for key in (stored, wanted))
        if was != now or type(was) is not type(now):
            found.append(f"option {name} {was!r} instead of {now!r}")
    if stored.profiles != wanted.profiles:
        was, now = ("; ".join(map(_spell, key.profiles)) or "none" for key in (stored, wanted))
        found.append(f"shapes {was} instead of {now}" if was != now else "shapes tuned for other sizes")
    return tuple(found)


def digest_of(tree: Mapping[str, Any]) -> str:
    """64 hexadecimal digits of a tree that JSON can hold, whatever the order of its names."""
    text = json.dumps([_SCHEMA, tree], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _spell(profile: Profile) -> str:
    low, high = profile.lowest, profile.highest
    rows = f"{low.rows}–{high.rows}" if low.rows != high.rows else str(high.rows)
    sizes = (
        f"{top}" if top == bottom else f"{bottom}–{top}"
        for (_, bottom), (_, top) in zip(low.axes, high.axes, strict=True)
    )
    return "×".join((rows, *sizes))


def _short(value: Any) -> str:
    if isinstance(value, tuple):
        return ".".join(map(str, value))
    text = str(value)
    return text[:12] if len(text) == hashlib.sha256().digest_size * 2 else text
