"""A lane without a GPU: buckets are padded and cut as on one, and run as they come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np

from engines.tensorrt.buckets import Bucket
from engines.tensorrt.signature import Signature
from engines.tensorrt.staging import Inbox
from engines.torchgraph.program import Memo, Program, tensors


class PlainLane:
    """Notes what was launched; `fails` may raise before a bucket is made ready.

    As on the GPU of number `device`, `taken` grows by a mebibyte for each bucket that is ready.
    """

    def __init__(
        self,
        program: Program,
        signature: Signature,
        fails: Callable[[Bucket], None] = lambda bucket: None,
        device: int | None = None,
        taken: Counter[int] | None = None,
    ) -> None:
        self.program, self.signature, self.fails = program, signature, fails
        self.device, self.weights = device, program.bytes
        self.taken = Counter() if taken is None else taken
        self.launched: list[Bucket] = []
        self.closed = False

    def prepare(self, bucket: Bucket) -> PlainReady:
        self.fails(bucket)
        if self.device is not None:
            self.taken[self.device] += 1 << 20
        return PlainReady(self, bucket)

    def held(self) -> int:
        return 0 if self.device is None else self.taken[self.device]

    def close(self) -> None:
        self.closed = True


class PlainReady:
    def __init__(self, lane: PlainLane, bucket: Bucket) -> None:
        self._lane, self._bucket, self._memo = lane, bucket, Memo()
        self._staged = {one.name: np.zeros(bucket.shape(one), one.dtype) for one in lane.signature.inputs}
        self.inbox, self.outbox = Inbox(self._staged), {}

    def launch(self) -> None:
        self._lane.launched.append(self._bucket)
        answer = self._lane.program.run(tensors(self._staged), self._memo)
        self.outbox = {name: value.numpy() for name, value in answer.items()}
