"""Rehearsals: a micro-batch for each length that a tower was planned for, so that users run no plan first.

Planned lengths stand for optimisation profiles, which before TensorRT 10.8 are plans of their own. One pass
over golden vectors is one micro-batch a tower: it reaches few of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.batch import Batch, Example
from engines.bundle import Bundle
from engines.golden import Tensors
from engines.head import Logits
from engines.preprocess.spec import TextSpec
from engines.tensorrt.buckets import Bucket
from engines.tensorrt.signature import Signature, axes_of

ROWS: Final = 8
"""Rows of a rehearsal that differ: a reference has to run them too, on the processor."""

Sizes = Mapping[str, int]
"""How long each input of a graph may be in a bucket: those of one fixed shape are left out."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Events of one modality that a tower runs in one micro-batch, in this very bucket."""

    tower: str
    bucket: Bucket
    examples: tuple[Example, ...]
    """Those that differ; they are repeated up to the bucket's rows."""

    @property
    def batch(self) -> Batch:
        """As many events as the bucket has rows."""
        return Batch.of([self.examples[k] for k in self.order])

    @property
    def order(self) -> NDArray[np.intp]:
        """Which of `examples` each event is, intp [rows]."""
        return np.arange(self.bucket.rows) % len(self.examples)

    def expected(self, answer: Logits) -> Tensors:
        """What `golden.error` compares the batch's logits with, from a reference's of `examples`.

        It is as if they had been recorded.
        """
        fields = ("sentiment", "moderation", "unimodal", *["severity"] * (answer.severity is not None))
        tensors = {name: getattr(answer, name)[self.order] for name in fields}
        return {"presence": self.batch.presence, **tensors}

    @property
    def name(self) -> str:
        """The tower and its profile, for a person."""
        sizes = ", ".join(f"{name} {size}" for name, size in self.bucket.axes)
        return f"the {self.tower} tower's profile" + (f" of {sizes}" if sizes else "")


def rehearsals(
    bundle: Bundle, buckets: Mapping[str, Sequence[Bucket]], given: Sequence[Example]
) -> list[Rehearsal]:
    """One for each length, or mix of lengths, that towers have `buckets` for; raises EngineError.

    ``given`` are events to take rows from, some with each modality and each channel of a text. What is too
    long is cut, and one row at least is repeated within itself until it is as long as the bucket: the planner
    keeps such events together, and no other bucket holds them for less.
    """
    found = []
    for tower, planned in buckets.items():
        signature = Signature.of(bundle.read(bundle.graph_name(tower)))
        for bucket in _one_each(planned):
            sizes = _sizes(signature, bucket)
            count = min(bucket.rows, ROWS)
            examples = tuple(_EXAMPLES[tower](sizes, bundle.preprocess.text, given, count))
            found.append(Rehearsal(tower, bucket, examples))
    return found


def _one_each(buckets: Sequence[Bucket]) -> list[Bucket]:
    """The cheapest bucket of each length that has several rows: one row alone seldom shows all of it."""
    lengths: dict[tuple[tuple[str, int], ...], list[Bucket]] = {}
    for bucket in sorted(buckets, key=lambda bucket: bucket.rows):
        lengths.setdefault(bucket.axes, []).append(bucket)
    return [next((own for own in group if own.rows > 1), group[0]) for group in lengths.values()]


def _sizes(signature: Signature, bucket: Bucket) -> Sizes:
    axes = dict(bucket.axes)
    return {one.name: axes[axis] for one in signature.inputs for axis in axes_of(one) if axis in axes}


def _texts(sizes: Sizes, spec: TextSpec, given: Sequence[Example], count: int) -> Iterator[Example]:
    """Where several encoders share the texts, each gets its own, by turns; a single row is read by all."""
    planned, more = spec.channels[: spec.planned], spec.channels[spec.planned :]
    wide = tuple(name for name in planned if sizes.get(name, 1) > 1)
    turns = [(name,) for name in wide] if 1 < len(wide) <= count else [wide]
    texts = [example.text for example in given if example.text is not None]
    rows = [[text[c] for text in texts if len(text[c])] for c in range(len(spec.channels))]
    for k in range(count):
        read = (*turns[k % len(turns)], *more)
        yield Example(
            tuple(
                _fitted(rows[c], k, sizes.get(name, 1), whole=k < len(turns)) if name in read else _NONE
                for c, name in enumerate(spec.channels)
            )
        )


def _images(sizes: Sizes, spec: TextSpec, given: Sequence[Example], count: int) -> Iterator[Example]:
    images = [image for example in given for image in example.images]
    yield from (Example(None, [images[k % len(images)]]) for k in range(count))


def _sounds(sizes: Sizes, spec: TextSpec, given: Sequence[Example], count: int) -> Iterator[Example]:
    sounds = [sound for example in given for sound in example.audio]
    longest = sizes.get("samples", len(sounds[0]))
    yield from (Example(None, [], [_fitted(sounds, k, longest, whole=k == 0)]) for k in range(count))


def _fitted(rows: Sequence[NDArray[Any]], k: int, longest: int, whole: bool) -> NDArray[Any]:
    """One of the rows, cut, or where `whole` repeated, to `longest`."""
    row = rows[k % len(rows)]
    return np.resize(row, longest) if whole else row[:longest]


_NONE: Final = np.zeros(0, np.int32)
_EXAMPLES: Final = {"text": _texts, "image": _images, "audio": _sounds}
