"""The shapes that plans are made for: few, within the budget, and any micro-batch runs in them, padded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from engines.errors import EngineError
from engines.planner import Budget
from engines.preprocess.spec import Preprocess, TextSpec
from engines.tensorrt.signature import ROWS, Input, Signature, axes_of

__all__ = ["ROWS", "Bucket", "Input", "Piece", "Signature", "buckets_of", "pieces", "smallest"]

_SHORTEST: Final = 16
"""Tokens of the shortest bucket, or somewhat more: shorter texts run no faster on a GPU."""
_EVEN: Final = 8
"""Lengths between are multiples of this, which matrix units like."""
_SECONDS: Final = 2
"""The same for sounds."""
_STEP: Final = 4
"""From one number of rows to the next: what stands between is cut into pieces where that costs less."""
_STEPS: Final = {"image": 3, "head": 8}
"""The same for images, of which each costs as much as a long text, and for the head, which costs little."""
_LAUNCH: Final = 8
"""A run costs about this part of the largest bucket, whatever it holds: an assumption, not a measurement."""


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

    The first is one row of the shortest; none but a single row goes over the budget. Lengths double and rows
    quadruple. Below a quarter of the budget every second length is enough: a GPU isn't busy there. What runs
    is at most five times the padded micro-batch, or what is small, a sixteenth of the budget.
    """
    if tower == "text":
        found = list(_of_text(signature, preprocess.text, budget.tokens))
    elif tower == "audio":
        window = max(preprocess.audio.samples, math.ceil(preprocess.audio.seconds * preprocess.audio.rate))
        longest = dict.fromkeys(signature.axes, window)
        cells = max(1, int(budget.audio_seconds * budget.rate))
        found = list(_varied(longest, tuple(longest)[:1], cells, _lengths(window, _SECONDS * budget.rate, 1)))
    else:
        if signature.axes:
            raise EngineError(
                f"The {tower} graph cannot be planned for",
                why=f"nothing bounds its {', '.join(signature.axes)}",
                remedy="Write the bundle anew",
            )
        most = budget.image_rows if tower == "image" else budget.head_rows
        found = [Bucket(rows) for rows in _rungs(most, _STEPS[tower])]
    return tuple(sorted(set(found), key=_cost))


def smallest(buckets: Iterable[Bucket], rows: int, axes: Mapping[str, int]) -> Bucket | None:
    """The cheapest bucket that a micro-batch fits whole, None where none does: `pieces` always finds some."""
    return min((b for b in buckets if b.fits(rows, axes)), key=_cost, default=None)


def pieces(buckets: Sequence[Bucket], rows: int, axes: Mapping[str, int]) -> tuple[Piece, ...]:
    """A micro-batch cut into runs of consecutive rows, each with its bucket: one where that is cheapest.

    Every micro-batch that is planned within the budget has some. Where buckets were given up, for want of
    memory say, those that are left still serve; empty where the axes fit none of them.
    """
    return _cut(tuple(buckets), rows, tuple(axes.items()))


@lru_cache(maxsize=8192)
def _cut(buckets: tuple[Bucket, ...], rows: int, axes: tuple[tuple[str, int], ...]) -> tuple[Piece, ...]:
    fitting = _undominated(buckets, dict(axes))
    if not fitting:
        return ()
    launch = max(bucket.cells for bucket in fitting) // _LAUNCH
    found: list[Piece] = []
    start = 0
    while start < rows:
        left = rows - start
        whole = next((bucket for bucket in fitting if bucket.rows >= left), None)
        part = next((bucket for bucket in reversed(fitting) if bucket.rows < left), whole)
        assert part is not None
        parts = -(-left // part.rows)
        if whole is None or parts * (part.cells + launch) < whole.cells + launch:
            whole = part
        found.append(Piece(start, min(left, whole.rows), whole))
        start += whole.rows
    return tuple(found)


def _undominated(buckets: Iterable[Bucket], axes: Mapping[str, int]) -> list[Bucket]:
    """Those that the axes fit, by rows, ascending: none of which another holds as many rows for less."""
    fitting = [bucket for bucket in buckets if bucket.fits(0, axes)]
    found: list[Bucket] = []
    for bucket in sorted(fitting, key=lambda b: (-b.rows, b.cells)):
        if not found or bucket.cells < found[-1].cells:
            found.append(bucket)
    return found[::-1]


def _of_text(signature: Signature, spec: TextSpec, tokens: int) -> Iterator[Bucket]:
    longest: dict[str, int] = {}
    axes: dict[str, str] = {}
    for one in signature.inputs:
        for axis in axes_of(one):
            longest[axis] = max(longest.get(axis, 1), _longest(spec, one.name))
            axes[one.name] = axis
    # Micro-batches are planned by the first channels: the lengths of the others follow in proportion.
    planned = (
        tuple(axes[name] for name in spec.channels[: spec.planned] if name in axes) or tuple(longest)[:1]
    )
    lead = max((longest[axis] for axis in planned), default=1)
    return _varied(longest, planned, tokens, _lengths(lead, _SHORTEST, _EVEN))


def _longest(spec: TextSpec, channel: str) -> int:
    """The longest that a channel gets: of characters, six a token and a space at either end."""
    return 6 * spec.max_tokens + 2 if channel == "chars" else spec.max_tokens


def _varied(
    longest: Mapping[str, int], planned: Sequence[str], cells: int, lengths: Sequence[int]
) -> Iterator[Bucket]:
    """Rows × lengths; `cells` bounds rows times the lengths of the planned axes.

    Where several axes are planned, rows mostly have one of them alone: it gets the fine lengths, and what is
    mixed, or small, the coarse ones.
    """

    def bucket(rows: int, length: int, alone: str = "") -> Bucket:
        sizes = (
            (axis, 1 if alone and axis in planned and axis != alone else -(-top * length // lengths[0]))
            for axis, top in longest.items()
        )
        return Bucket(rows, tuple(sizes))

    several = max(1, len(planned))
    for axis in planned or ("",):
        for length in lengths:
            for rows in _rungs(max(1, cells // length), _STEP)[:2]:
                yield bucket(rows, length, axis)
    for length in dict.fromkeys((*lengths[::2], lengths[-1])):
        rungs = _rungs(max(1, cells // (several * length)), _STEP)
        for rows in rungs[2 * (several == 1) :] or rungs[-1:]:
            yield bucket(rows, length)


def _lengths(longest: int, shortest: int, even: int) -> list[int]:
    """The longest, then halves, rounded up to `even`, down to what can't be halved without going below."""
    found, length = [longest], longest
    while length >= 2 * shortest:
        length = -(-length // 2)
        found.append(-(-length // even) * even)
    return found


def _rungs(most: int, step: int) -> list[int]:
    """The most rows, then each time a `step` fewer, and one."""
    found = []
    while most >= step:
        found.append(most)
        most //= step
    return [*found, 1]


def _cost(bucket: Bucket) -> tuple[int, int]:
    return bucket.cells, bucket.rows
