"""Buckets → optimisation profiles: the range of shapes that each engine is built for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engines.tensorrt.buckets import Bucket


@dataclass(frozen=True, slots=True)
class Profile:
    """TensorRT's min, opt and max of every named dimension."""

    lowest: Bucket
    typical: Bucket
    highest: Bucket

    def holds(self, bucket: Bucket) -> bool:
        """Whether a bucket lies within."""
        raise NotImplementedError


def profiles_of(buckets: Sequence[Bucket], version: str) -> tuple[tuple[Profile, ...], ...]:
    """Engines to build, each with its profiles: several an engine from TensorRT 10.8 on, one before.

    Every bucket lies within a profile; earlier releases give wrong results with several.
    """
    raise NotImplementedError


def place(engines: Sequence[Sequence[Profile]], bucket: Bucket) -> tuple[int, int]:
    """Which engine, and which of its profiles, runs a bucket: the tightest one; raises EngineError."""
    raise NotImplementedError
