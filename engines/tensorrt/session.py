"""A tower's plans as a session: micro-batches of any size, from several threads, on one GPU or more."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Mapping
from functools import partial
from itertools import count
from typing import Final

from engines.batch import Float32
from engines.errors import DeviceLost, EngineError, NoDevice, OutOfMemory, again
from engines.sessions.base import Arrays
from engines.tensorrt.api import Api
from engines.tensorrt.buckets import Bucket, Piece, pieces
from engines.tensorrt.build import Plans
from engines.tensorrt.loaded import Loaded
from engines.tensorrt.pool import ROOMS, Pool
from engines.tensorrt.slots import Slot
from engines.tensorrt.staging import Answer, check, measured

log = logging.getLogger(__name__)

_CLOSED: Final = EngineError("A graph failed", why="its session is closed")


class TensorRTSession:
    """One tower; `plans` by the number of the GPU that they were built for, all of one signature.

    A micro-batch goes to the next GPU in turn, cut where no bucket holds it. It may fill `share` of a GPU's
    memory, whatever else fills it.
    """

    def __init__(
        self, api: Api, plans: Mapping[int, Plans], share: float, where: str, *, graphs: bool = True
    ) -> None:
        first = next(iter(plans.values()))
        check(first.signature, where)
        self._signature, self._where = first.signature, where
        common = set.intersection(*(set(each.buckets) for each in plans.values()))
        self._buckets = tuple(bucket for bucket in first.buckets if bucket in common)
        self._planned = len(self._buckets)
        self._dead: EngineError | None = None
        self._turn, self._lock = count(), threading.Lock()
        self._loaded: list[Loaded] = []
        try:
            for device, own in plans.items():
                self._loaded.append(Loaded(api, own, device, f"{where}, device {device}", share))
        except EngineError:
            self.close()
            raise
        self._pools = [
            Pool(partial(Slot, each, share=share, graphs=graphs), ROOMS[each.device]) for each in self._loaded
        ]

    @property
    def memory(self) -> dict[int, int]:
        """Bytes held on each GPU, by its number: weights, and the slots that there are."""
        pairs = zip(self._loaded, self._pools, strict=True)
        return {loaded.device: loaded.bytes + pool.bytes for loaded, pool in pairs}

    @property
    def plans(self) -> tuple[str, ...]:
        """The SHA-256 of each plan: two of one key may compute by other kernels."""
        return tuple(sorted({digest for loaded in self._loaded for digest in loaded.digests}))

    @property
    def buckets(self) -> tuple[Bucket, ...]:
        """Those that micro-batches run in, cheapest first."""
        return self._buckets

    @property
    def reduced(self) -> bool:
        """Whether memory ran out, and micro-batches are smaller since."""
        return len(self._buckets) < self._planned

    @property
    def slots(self) -> int:
        """How many slots there are, on all GPUs."""
        return sum(pool.slots for pool in self._pools)

    def run(self, inputs: Arrays) -> dict[str, Float32]:
        """Outputs by name, all parts of one array; raises EngineError."""
        rows, axes = measured(self._signature, inputs, self._where)
        answer = Answer(self._signature.outputs, rows)
        left = deque(self._cut(rows, axes))
        while left:
            left.extendleft(reversed(self._tried(left.popleft(), axes, inputs, answer)))
        return answer.views

    def close(self) -> None:
        """Give everything back."""
        self._end(_CLOSED)
        for loaded in self._loaded:
            loaded.close()

    def _piece(self, piece: Piece, inputs: Arrays, answer: Answer) -> None:
        if self._dead is not None:
            raise again(self._dead)
        pool = self._pools[next(self._turn) % len(self._pools)]
        try:
            with pool.lend(piece.bucket) as slot:
                slot.run(inputs, slice(piece.start, piece.start + piece.rows), answer)
        except (DeviceLost, NoDevice) as error:
            self._end(DeviceLost(error.what, where=self._where, why=error.why, remedy=error.remedy))
            raise again(self._dead or error) from error

    def _cut(self, rows: int, axes: Mapping[str, int]) -> list[Piece]:
        found = self._pieces(0, rows, axes)
        if rows and not found:
            sizes = ", ".join(f"{name} {size}" for name, size in axes.items())
            raise EngineError(
                "A graph failed",
                where=self._where,
                why=f"nothing is planned for so large an input: {sizes}",
                remedy="Keep to the bundle's preprocess.json: it says how long inputs may be",
            )
        return found

    def _pieces(self, start: int, rows: int, axes: Mapping[str, int]) -> list[Piece]:
        return [Piece(start + own.start, own.rows, own.bucket) for own in pieces(self._buckets, rows, axes)]

    def _tried(self, piece: Piece, axes: Mapping[str, int], inputs: Arrays, answer: Answer) -> list[Piece]:
        """Run a piece; where memory does not suffice, free what no tower uses, and give its halves to be run.

        Raises OutOfMemory where it cannot be halved.
        """
        try:
            self._piece(piece, inputs, answer)
            return []
        except OutOfMemory as error:
            short = error
        if sum(pool.room.trim() for pool in self._pools) or piece.bucket.rows == 1:
            try:
                self._piece(piece, inputs, answer)
                return []
            except OutOfMemory as error:
                short = error
        if piece.bucket.rows == 1:
            raise again(short)
        self._give_up(piece.bucket, str(short))
        parts = self._pieces(piece.start, piece.rows, axes)
        if not parts:
            raise again(short)
        return parts

    def _give_up(self, bucket: Bucket, why: str) -> None:
        def stays(other: Bucket) -> bool:
            return other.rows * 2 <= bucket.rows or other.cells < bucket.cells

        with self._lock:
            if bucket not in self._buckets:
                return
            self._buckets = tuple(each for each in self._buckets if stays(each))
        log.warning("smaller micro-batches from now on, of less than %d rows: %s", bucket.rows, why)

    def _end(self, error: EngineError) -> None:
        self._dead = self._dead or error
        for pool in getattr(self, "_pools", ()):
            pool.end(self._dead)
