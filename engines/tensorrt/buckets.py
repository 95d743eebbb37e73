"""The shapes that plans are made for: few, and every micro-batch fits one of them, padded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engines.planner import Budget
from engines.preprocess.spec import Preprocess

ROWS: Final = "rows"
"""The first dimension of every input and output."""


@dataclass(frozen=True, slots=True)
class Input:
    """One input or output of a graph: dimensions are numbers, or names as the graph spells them."""

    name: str
    dtype: str
    dims: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Signature:
    """What a graph takes and gives."""

    inputs: tuple[Input, ...]
    outputs: tuple[Input, ...]

    @property
    def axes(self) -> tuple[str, ...]:
        """The named dimensions of the inputs, in their order, but the rows."""
        found = (dim for one in self.inputs for dim in one.dims if isinstance(dim, str) and dim != ROWS)
        return tuple(dict.fromkeys(found))

    @classmethod
    def of(cls, graph: bytes) -> Signature:
        """The signature of an ONNX file's bytes; raises EngineError."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        raise NotImplementedError

    @classmethod
    def from_dict(cls, tree: Mapping[str, Any]) -> Signature:
        """The inverse of `to_dict`."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Bucket:
    """So many rows, and a size for every other named dimension, in the signature's order."""

    rows: int
    axes: tuple[tuple[str, int], ...] = ()

    @property
    def cells(self) -> int:
        """What it costs: rows, times all their lengths together."""
        return self.rows * max(1, sum(size for _, size in self.axes))

    def shape(self, one: Input) -> tuple[int, ...]:
        """The shape of an input, or of an output whose dimensions the inputs name."""
        sizes = {ROWS: self.rows, **dict(self.axes)}
        return tuple(sizes[dim] if isinstance(dim, str) else dim for dim in one.dims)

    def fits(self, rows: int, axes: Mapping[str, int]) -> bool:
        """Whether a micro-batch of `rows` whose named dimensions are `axes` can be padded to it."""
        return rows <= self.rows and all(axes.get(name, 0) <= size for name, size in self.axes)


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of a micro-batch, from `start` on, and the bucket that they run in."""

    start: int
    rows: int
    bucket: Bucket


def buckets_of(
    tower: str, signature: Signature, preprocess: Preprocess, budget: Budget
) -> tuple[Bucket, ...]:
    """The ladder of a tower ("text", "image", "audio" or "head"), cheapest first; raises EngineError.

    The first is one row of the shortest.
    """
    raise NotImplementedError


def smallest(buckets: Iterable[Bucket], rows: int, axes: Mapping[str, int]) -> Bucket | None:
    """The cheapest bucket that a micro-batch fits, None where none does."""
    return min((b for b in buckets if b.fits(rows, axes)), key=lambda b: (b.cells, b.rows), default=None)


def pieces(buckets: Sequence[Bucket], rows: int, axes: Mapping[str, int]) -> tuple[Piece, ...]:
    """A micro-batch cut into runs of consecutive rows, each with its bucket: one where that is cheapest.

    Where a bucket was given up, for want of memory say, those that are left still serve. Empty where the
    axes fit none of them.
    """
    raise NotImplementedError
