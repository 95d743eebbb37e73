"""Arrays ↔ the blocks of memory that are copied to a GPU and back: one block each way for a micro-batch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.batch import Float32, UInt8
from engines.errors import EngineError
from engines.sessions.base import Arrays
from engines.tensorrt.buckets import Bucket
from engines.tensorrt.signature import ROWS, Input, Signature

ALIGNMENT: Final = 256
"""Bytes at whose multiples a tensor may begin."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a block a tensor lies."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int

    @property
    def bytes(self) -> int:
        """Its size."""
        return math.prod(self.shape) * self.dtype.itemsize

    def view(self, block: UInt8) -> NDArray[Any]:
        """The tensor in a block."""
        return block[self.offset : self.offset + self.bytes].view(self.dtype).reshape(self.shape)


@dataclass(frozen=True, slots=True)
class Layout:
    """The tensors of a bucket's inputs, or of its outputs, one after the other in `bytes`."""

    places: tuple[Place, ...]
    bytes: int

    @classmethod
    def of(cls, tensors: Sequence[Input], bucket: Bucket) -> Layout:
        """The layout of these in a bucket."""
        places, end = [], 0
        for one in tensors:
            places.append(Place(one.name, np.dtype(one.dtype), bucket.shape(one), end))
            end += math.ceil(places[-1].bytes / ALIGNMENT) * ALIGNMENT
        return cls(tuple(places), max(end, ALIGNMENT))

    def views(self, block: UInt8) -> dict[str, NDArray[Any]]:
        """Every tensor of a block, by name."""
        return {place.name: place.view(block) for place in self.places}


class Inbox:
    """A bucket's inputs in a block of zeros; whatever a micro-batch doesn't fill is zero."""

    def __init__(self, views: Mapping[str, NDArray[Any]]) -> None:
        self._views = views
        self._used = 0

    def fill(self, inputs: Arrays, rows: slice) -> None:
        """Copy some rows of a micro-batch in."""
        count = rows.stop - rows.start
        for name, view in self._views.items():
            given = inputs[name][rows]
            here = view[:count]
            np.copyto(here[tuple(slice(size) for size in given.shape)], given, casting="same_kind")
            for axis, size in enumerate(given.shape[1:], 1):
                if size < view.shape[axis]:
                    here[(slice(None),) * axis + (slice(size, None),)] = 0
            view[count : self._used] = 0  # what an earlier one left
        self._used = count


class Answer:
    """All outputs of a micro-batch, in one array of the caller's: `views` are its parts by name."""

    def __init__(self, outputs: Sequence[Input], rows: int) -> None:
        widths = [math.prod(int(size) for size in one.dims[1:]) for one in outputs]
        whole: Float32 = np.empty(rows * sum(widths), np.float32)
        ends = np.cumsum([rows * width for width in widths])
        self.views: dict[str, Float32] = {
            one.name: whole[end - rows * width : end].reshape(rows, *map(int, one.dims[1:]))
            for one, width, end in zip(outputs, widths, ends, strict=True)
        }

    def take(self, views: Mapping[str, NDArray[Any]], rows: slice) -> None:
        """Copy what a bucket gave for some rows."""
        for name, own in self.views.items():
            own[rows] = views[name][: rows.stop - rows.start]


def measured(signature: Signature, inputs: Arrays, where: str) -> tuple[int, dict[str, int]]:
    """The rows of a micro-batch and the sizes of its other named dimensions; raises EngineError."""
    counts: set[int] = set()
    axes: dict[str, int] = {}
    for one in signature.inputs:
        given = inputs.get(one.name)
        if given is None or not _alike(one, given):
            raise _misfit(where, one, given)
        shape = given.shape
        counts.add(shape[0])
        for dim, size in zip(one.dims[1:], shape[1:], strict=True):
            if isinstance(dim, str):
                axes[dim] = max(axes.get(dim, 1), size)
    if len(counts) != 1:
        raise EngineError("A graph failed", where=where, why="its inputs have not as many rows as each other")
    return counts.pop(), axes


def check(signature: Signature, where: str) -> None:
    """Raise EngineError where outputs cannot be cut to the real rows."""
    for one in signature.outputs:
        if one.dims[:1] != (ROWS,) or not all(isinstance(size, int) for size in one.dims[1:]):
            raise EngineError(
                "A graph cannot be planned for",
                where=where,
                why=f"its output {one.name} is {_spell(one.dims)}, not so many rows of one fixed shape",
                remedy="Export it as engines/export.py does: rows first, every other dimension a number",
            )


def _alike(one: Input, given: NDArray[Any]) -> bool:
    return (
        given.ndim == len(one.dims)
        and np.can_cast(given.dtype, one.dtype, "same_kind")
        and all(isinstance(d, str) or d == n for d, n in zip(one.dims, given.shape, strict=True))
    )


def _misfit(where: str, one: Input, given: NDArray[Any] | None) -> EngineError:
    got = "missing" if given is None else f"{given.dtype} {_spell(given.shape)}"
    wanted = f"{one.dtype} {_spell(one.dims)}"
    return EngineError(
        "A graph failed", where=where, why=f"its input {one.name} is {got} instead of {wanted}"
    )


def _spell(dims: Sequence[object]) -> str:
    return f"[{', '.join(map(str, dims))}]"
