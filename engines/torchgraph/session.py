"""A program as a session: as it comes on a processor; on GPUs padded to buckets, in lanes."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from engines.batch import Float32
from engines.errors import DeviceLost, EngineError, OutOfMemory, again
from engines.sessions.base import Arrays
from engines.tensorrt.buckets import Bucket, Piece, pieces
from engines.tensorrt.signature import Signature
from engines.tensorrt.staging import Answer, Inbox, check, measured
from engines.torchgraph.failures import RAISED, failure
from engines.torchgraph.program import Program, tensors

log = logging.getLogger(__name__)

_FAILED: Final = "A graph failed"


class Ready(Protocol):
    """A bucket that can be run: what fills `inbox` is computed by `launch` into `outbox`."""

    inbox: Inbox
    outbox: Mapping[str, NDArray[Any]]

    def launch(self) -> None:
        """Compute, and wait for it without the interpreter lock."""
        ...


class Lane(Protocol):
    """A place where buckets run one after the other."""

    @property
    def device(self) -> int | None:
        """The number of its GPU; None on a processor."""
        ...

    @property
    def weights(self) -> int:
        """Bytes of its program's weights, which the lanes of a GPU share."""
        ...

    def prepare(self, bucket: Bucket) -> Ready:
        """Make a bucket ready; raises OutOfMemory."""
        ...

    def held(self) -> int:
        """Bytes that this process has on its GPU now."""
        ...

    def close(self) -> None:
        """Give the memory back."""
        ...


class HostSession:
    """A program run as it is, on the processor."""

    def __init__(self, program: Program, signature: Signature, where: str) -> None:
        self._program, self._signature, self._where = program, signature, where

    def run(self, inputs: Arrays) -> dict[str, Float32]:
        """Outputs by name; raises EngineError."""
        measured(self._signature, inputs, self._where)
        given = {one.name: np.asarray(inputs[one.name], one.dtype) for one in self._signature.inputs}
        with told(self._where):
            return {name: value.numpy() for name, value in self._program.run(tensors(given)).items()}

    def close(self) -> None:
        """Nothing to give back before the garbage collector does."""


@dataclass(slots=True)
class _Held:
    """A lane, and its buckets that are ready."""

    lane: Lane
    ready: dict[Bucket, Ready] = field(default_factory=dict)


class LanesSession:
    """Micro-batches of any size, padded, cut where no bucket holds them, on whichever lane is free.

    All buckets are made ready here, the costliest first: a lane's graphs share memory. What doesn't fit the
    memory is given up as long as something is left; `heard` is told the share done.
    """

    def __init__(
        self,
        lanes: Sequence[Lane],
        signature: Signature,
        buckets: Sequence[Bucket],
        where: str,
        heard: Callable[[float], None] = lambda share: None,
    ) -> None:
        check(signature, where)
        self._signature, self._where = signature, where
        self._dead: EngineError | None = None
        self._free: deque[_Held] = deque()
        self._changed, self._closed = threading.Condition(), False
        self._planned = len(buckets)
        held = [_Held(lane) for lane in lanes]
        on = {lane.device: lane for lane in lanes if lane.device is not None}
        before = {device: lane.held() for device, lane in on.items()}
        try:
            self._buckets = self._prepared(held, buckets, heard)
        except EngineError:
            self._close(held)
            raise
        self._memory = {
            device: lane.weights + max(0, lane.held() - before[device]) for device, lane in on.items()
        }
        self._free.extend(held)

    @property
    def buckets(self) -> tuple[Bucket, ...]:
        """Those that are ready, cheapest first."""
        return self._buckets

    @property
    def memory(self) -> dict[int, int]:
        """Bytes held on each GPU, by its number: weights, and what making the buckets ready took."""
        return dict(self._memory)

    @property
    def reduced(self) -> bool:
        """Whether memory did not suffice, and micro-batches are smaller than planned."""
        return len(self._buckets) < self._planned

    def run(self, inputs: Arrays) -> dict[str, Float32]:
        """Outputs by name; raises EngineError."""
        rows, axes = measured(self._signature, inputs, self._where)
        answer = Answer(self._signature.outputs, rows)
        cut = pieces(self._buckets, rows, axes) if rows else ()
        if rows and not cut:
            sizes = ", ".join(f"{name} {size}" for name, size in axes.items())
            raise EngineError(
                _FAILED,
                where=self._where,
                why=f"nothing is planned for so large an input: {sizes}",
                remedy="Keep to the bundle's preprocess.json: it says how long inputs may be",
            )
        for piece in cut:
            self._piece(piece, inputs, answer)
        return answer.views

    def close(self) -> None:
        """Give the memory back; no `run` after this. A lane in use goes when it comes back."""
        self._end(EngineError(_FAILED, where=self._where, why="its session is closed"))
        with self._changed:
            free, self._closed = list(self._free), True
            self._free.clear()
        self._close(free)

    def _end(self, error: EngineError) -> None:
        """Lend no more lanes: whoever asks, or waits, gets the error."""
        with self._changed:
            self._dead = self._dead or error
            self._changed.notify_all()

    def _close(self, held: Sequence[_Held]) -> None:
        for each in held:
            with suppress(EngineError), told(self._where):  # a GPU that is lost has taken its memory along
                each.lane.close()

    @contextmanager
    def _lent(self) -> Iterator[_Held]:
        """A lane, once one is free; raises EngineError where there will be none."""
        with self._changed:
            while self._dead is None and not self._free:
                self._changed.wait()
            if self._dead is not None:
                raise again(self._dead)
            held = self._free.popleft()
        try:
            yield held
        finally:
            with self._changed:
                closed = self._closed
                if not closed:
                    self._free.append(held)
                    self._changed.notify()
            if closed:
                self._close([held])

    def _piece(self, piece: Piece, inputs: Arrays, answer: Answer) -> None:
        rows = slice(piece.start, piece.start + piece.rows)
        with self._lent() as held:
            ready = held.ready[piece.bucket]
            try:
                with told(self._where):
                    ready.inbox.fill(inputs, rows)
                    ready.launch()
                    answer.take(ready.outbox, rows)
            except DeviceLost as error:
                self._end(again(error))
                raise

    def _prepared(
        self, held: Sequence[_Held], buckets: Sequence[Bucket], heard: Callable[[float], None]
    ) -> tuple[Bucket, ...]:
        good, refused = [], None
        order = sorted(buckets, key=lambda bucket: (bucket.cells, bucket.rows), reverse=True)
        for k, bucket in enumerate(order):
            try:
                with told(self._where):
                    ready = [each.lane.prepare(bucket) for each in held]
            except OutOfMemory as error:
                log.warning("%s: no micro-batches of %d rows: %s", self._where, bucket.rows, error)
                refused = error
            else:
                good.append(bucket)
                for each, own in zip(held, ready, strict=True):
                    each.ready[bucket] = own
            heard((k + 1) / len(order))
        if refused is not None and not good:
            raise refused
        return tuple(good[::-1])


@contextmanager
def told(where: str, what: str = _FAILED) -> Iterator[None]:
    """What torch raises in here becomes an EngineError: of memory, of the device, or of the graph."""
    try:
        yield
    except EngineError as error:
        if error.where:
            raise
        raise type(error)(error.what, where=where, why=error.why, remedy=error.remedy) from error
    except RAISED as error:
        raise failure(error, what, where) from error
