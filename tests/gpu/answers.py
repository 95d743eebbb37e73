"""Whether what is timed is right: what every bucket gives, beside ONNX Runtime at fp32 on the processor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engines import golden
from engines.batch import Float32, Outputs
from engines.bundle import Bundle
from engines.precision.cast import QUANTISED
from engines.sessions.base import Arrays, Session
from engines.sessions.choose import BACKENDS
from engines.sessions.host import usable_cores
from engines.tensorrt.buckets import Bucket
from engines.tensorrt.signature import Signature
from engines.throughput import inputs_of
from engines.verdicts import REFERENCE
from tests.gpu.ground import Ground
from tests.gpu.results import at_most, holds

ROWS = 2
"""Of each bucket that are compared: the reference takes its time on a processor."""


def checked(ground: Ground, session: Session, bundle: Bundle, tower: str, buckets: Sequence[Bucket],
            precision: str, check: str) -> None:  # fmt: skip
    """Run every bucket full: all it gives is finite, and its first rows are those of the reference."""
    signature = Signature.of(bundle.read(bundle.graph_name(tower)))
    terms = ground.terms(1, threads=usable_cores())
    reference = BACKENDS[REFERENCE.backend].open(bundle, tower, REFERENCE.precision, terms)
    spoilt, errors = [], {}
    try:
        for bucket in buckets:
            inputs = inputs_of(signature, bucket, bundle.preprocess)
            got = session.run(inputs)
            if not all(np.isfinite(each).all() for each in got.values()):
                spoilt.append(spell(bucket))
            errors[spell(bucket)] = _error(got, reference.run(_first(inputs)))
    finally:
        reference.close()
    ground.tell(holds(f"{check}: every bucket's answers are finite", not spoilt, ", ".join(spoilt)))
    worst = max(errors, key=lambda name: errors[name])
    bar = golden.bound(precision, verified=precision in QUANTISED)
    told = f"relative to 1 + the value, of {ROWS} rows of each of {len(errors)} buckets; worst {worst}"
    ground.tell(at_most(f"{check}: error of any bucket beside fp32", errors[worst], bar, told))


def numberless(got: Outputs, want: Outputs) -> list[str]:
    """The fields in which something is no number that should be one, or the other way round."""
    fields = ("sentiment", "unimodal", "moderation", "severity", "patterns")
    masks = ((name, *(np.isfinite(getattr(own, name)) for own in (got, want))) for name in fields)
    return [name for name, mine, theirs in masks if not np.array_equal(mine, theirs)]


def spell(bucket: Bucket) -> str:
    """Rows and sizes, like 128×16."""
    return "×".join(str(size) for size in (bucket.rows, *(size for _, size in bucket.axes)))


def _first(inputs: Arrays) -> Arrays:
    return {name: value[:ROWS] for name, value in inputs.items()}


def _error(got: dict[str, Float32], want: dict[str, Float32]) -> float:
    """The largest, relative to 1 + the value; infinite where something is no number."""
    return max(golden.relative(got[name][: len(row)].astype(np.float64), row) for name, row in want.items())
