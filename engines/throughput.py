"""How fast graphs run on a backend, bucket by bucket, beside what the device could do at best."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.preprocess.spec import Preprocess
from engines.rates import Rates, timed
from engines.roofline import Work, work_of
from engines.sessions.base import Arrays, Session
from engines.tensorrt.buckets import Bucket
from engines.tensorrt.signature import Signature

Contender = Callable[[], object]
_ROUNDS: Final = 5


@dataclass(frozen=True, slots=True)
class Speed:
    """One bucket: seconds of a run alone, rows a second with every lane busy, and rows a second at best."""

    bucket: Bucket
    seconds: float
    rows_per_second: float
    roofline: float | None = None

    @property
    def of_roofline(self) -> float | None:
        """The ratio."""
        return None if self.roofline is None else self.rows_per_second / self.roofline


class Floor:
    """The serial roofline of one graph's buckets; its work is counted once for each length."""

    def __init__(self, graph: bytes, signature: Signature, preprocess: Preprocess, precision: str) -> None:
        self._graph, self._signature, self._preprocess = graph, signature, preprocess
        self._precision = precision
        self._works: dict[Bucket, Work] = {}

    def work(self, bucket: Bucket) -> Work:
        """FLOPs and values of one run; raises EngineError."""
        if bucket not in self._works:
            one, two = (
                inputs_of(self._signature, Bucket(rows, bucket.axes), self._preprocess) for rows in (1, 2)
            )
            self._works[bucket] = work_of(self._graph, one, two, bucket.rows)
        return self._works[bucket]

    def rows_per_second(self, bucket: Bucket, rates: Rates) -> float:
        """What a device of these rates could do; raises EngineError."""
        return bucket.rows / self.work(bucket).seconds(rates, self._precision)


def inputs_of(signature: Signature, bucket: Bucket, preprocess: Preprocess, seed: int = 0) -> Arrays:
    """Random inputs that fill a bucket: ids that there are, pixels, sounds, tokens, every modality shown."""
    random = np.random.default_rng(seed)
    ids = dict(zip(preprocess.text.channels, preprocess.text.sizes, strict=True))
    longest = max((size for _, size in bucket.axes), default=1)

    def values(name: str, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
        if name == "presence":
            return np.ones(shape, dtype)
        if name == "lengths":
            return np.full(shape, longest, dtype)
        if dtype == "uint8":
            return random.integers(0, 256, shape, np.uint8)
        if dtype.startswith("int"):
            return random.integers(1, ids.get(name, 2), shape).astype(dtype)
        scale = 3000 if name == "samples" else 1
        return (random.standard_normal(shape) * scale).astype(dtype)

    return {one.name: values(one.name, one.dtype, bucket.shape(one)) for one in signature.inputs}


def speed(session: Session, inputs: Arrays, bucket: Bucket, lanes: int = 1, seconds: float = 0.3) -> Speed:
    """Run one bucket alone, then on every lane at once; raises EngineError."""
    alone = median(timed(lambda: session.run(inputs), seconds / 2, least=3))
    if lanes < 2:
        return Speed(bucket, alone, bucket.rows / alone)
    with ThreadPoolExecutor(lanes) as pool:
        count = max(2, round(seconds / alone))
        begun = time.perf_counter()
        for done in [pool.submit(_repeat, session, inputs, count) for _ in range(lanes)]:
            done.result()
        return Speed(bucket, alone, lanes * count * bucket.rows / (time.perf_counter() - begun))


def alternating(
    contenders: Mapping[str, Contender], seconds: float = 0.5, rounds: int = _ROUNDS
) -> dict[str, float]:
    """The median seconds of a run of each: they take turns, so what disturbs the machine disturbs all."""
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for run in contenders.values():
        timed(run, 0.0, least=1, warm=2)
    for _ in range(rounds):
        for name, run in contenders.items():
            found[name] += timed(run, seconds / rounds, least=2, warm=1)
    return {name: median(each) for name, each in found.items()}


def largest(buckets: Sequence[Bucket]) -> Bucket:
    """The one with the most rows, of those the costliest."""
    return max(buckets, key=lambda bucket: (bucket.rows, bucket.cells))


def _repeat(session: Session, inputs: Arrays, count: int) -> None:
    for _ in range(count):
        session.run(inputs)
