"""Buckets → optimisation profiles: the range of shapes that each engine is built for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from engines.errors import EngineError
from engines.tensorrt.buckets import Bucket

_SEVERAL: Final = (10, 8)
"""From this TensorRT on an engine may have several profiles: before, they gave wrong results."""


@dataclass(frozen=True, slots=True)
class Profile:
    """TensorRT's min, opt and max of every named dimension."""

    lowest: Bucket
    typical: Bucket
    highest: Bucket

    def holds(self, bucket: Bucket) -> bool:
        """Whether a bucket lies within."""
        return self.highest.fits(bucket.rows, dict(bucket.axes)) and bucket.fits(
            self.lowest.rows, dict(self.lowest.axes)
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, tree: Mapping[str, Any]) -> Profile:
        """The inverse of `to_dict`; raises KeyError, TypeError or ValueError."""
        return cls(*(_bucket(tree[part]) for part in ("lowest", "typical", "highest")))


def profiles_of(buckets: Sequence[Bucket], version: str) -> tuple[tuple[Profile, ...], ...]:
    """Engines to build, each with its profiles: one for each length, in which only the rows vary.

    From TensorRT 10.8 on one engine has them all, and holds the weights once; before, each has its own.
    They are tuned for the most rows, which is where the work is.
    """
    lengths: dict[tuple[tuple[str, int], ...], list[Bucket]] = {}
    for bucket in sorted(buckets, key=lambda b: (b.axes, b.rows)):
        lengths.setdefault(bucket.axes, []).append(bucket)
    found = tuple(Profile(own[0], own[-1], own[-1]) for own in lengths.values())
    return (found,) if release(version) >= _SEVERAL else tuple((one,) for one in found)


def place(engines: Sequence[Sequence[Profile]], bucket: Bucket) -> tuple[int, int]:
    """Which engine, and which of its profiles, runs a bucket: the tightest one; raises EngineError."""
    held = [
        (profile.highest.cells, e, p)
        for e, profiles in enumerate(engines)
        for p, profile in enumerate(profiles)
        if profile.holds(bucket)
    ]
    if not held:
        raise EngineError(
            "A plan does not hold a shape that is wanted of it",
            why=f"no profile has {bucket.rows} rows with {dict(bucket.axes)}",
            remedy="Build it anew: tidegate engine build",
        )
    return min(held)[1:]


def release(version: str) -> tuple[int, int]:
    """Major and minor of a version like "10.15.1.29"; raises EngineError."""
    found = re.match(r"(\d+)\.(\d+)", version)
    if not found:
        raise EngineError("TensorRT's version cannot be read", why=repr(version[:40]))
    return int(found[1]), int(found[2])


def _bucket(tree: Mapping[str, Any]) -> Bucket:
    return Bucket(int(tree["rows"]), tuple((str(name), int(size)) for name, size in tree["axes"]))
