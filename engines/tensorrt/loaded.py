"""A tower's plans on one GPU: their weights, and contexts to run them in."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from engines import cuda
from engines.errors import EngineError, OutOfMemory, PlanRefused
from engines.tensorrt.api import Api, Heard, numpy_name
from engines.tensorrt.buckets import Bucket
from engines.tensorrt.build import Plans
from engines.tensorrt.profiles import place
from engines.tensorrt.protocols import CudaEngine, ExecutionContext, Runtime

_REMEDY: Final = "Build it again with: tidegate engine build"


class Loaded:
    """One engine for each of the plans, whose own bytes are not kept; `bytes` of the GPU's memory went there.

    `digests` are the plans' SHA-256; `uncaptured` says that a slot found that their work cannot be captured
    in a graph. Raises OutOfMemory where `share` of the GPU's memory would be passed.
    """

    def __init__(self, api: Api, plans: Plans, device: int, where: str, share: float) -> None:
        self.api, self.device, self.where = api, device, where
        self.digests = tuple(hashlib.sha256(stored.plan).hexdigest() for stored in plans.stored)
        self.uncaptured = False
        stored = tuple(replace(each, plan=b"") for each in plans.stored)
        self.plans = replace(plans, stored=stored)
        self._engines: list[CudaEngine] = []
        self._runtime: Runtime | None = None
        cuda.activate(device)
        with cuda.ALONE:
            free, _ = cuda.memory()
            try:
                self._load([stored.plan for stored in plans.stored], share)
            except BaseException:
                self._forget()
                raise
            self.bytes = max(0, free - cuda.memory()[0])

    def context(self, bucket: Bucket, stream: cuda.Stream) -> ExecutionContext:
        """A context for one bucket, without working memory as yet; raises EngineError."""
        number, profile = place([stored.key.profiles for stored in self.plans.stored], bucket)
        strategy = self.api.trt.ExecutionContextAllocationStrategy.USER_MANAGED
        with self.api.listening() as heard:
            context = self._engines[number].create_execution_context(strategy)
            good = context is not None
            if context is not None and context.active_optimization_profile != profile:
                good = _chosen(context, profile, stream, heard)
            if context is None or not good:
                raise heard.error("A plan cannot be run", self.where)
            for one in self.plans.signature.inputs:
                good = good and context.set_input_shape(one.name, bucket.shape(one))
            if not good or not _inferred(context, heard):
                raise heard.error("A plan cannot be run", f"{self.where}, {bucket}")
        return context

    def close(self) -> None:
        """Give the weights back, once no context is left; harmless on a lost GPU."""
        with suppress(EngineError):
            cuda.activate(self.device)
        with cuda.ALONE:
            self._forget()

    def _forget(self) -> None:
        self._engines.clear()
        self._runtime = None  # after its engines

    def _load(self, plans: Sequence[bytes], share: float) -> None:
        self._runtime = self.api.runtime()
        for plan in plans:
            check_room(len(plan), share, self.where)  # most of a plan is its weights
            self._engines.append(self._engine(self._runtime, plan))

    def _engine(self, runtime: Runtime, plan: bytes) -> CudaEngine:
        with self.api.listening() as heard:
            engine = runtime.deserialize_cuda_engine(plan)
        if engine is None:
            if heard.memory:
                raise heard.error("A plan cannot be loaded", self.where)
            raise PlanRefused("A plan cannot be loaded", where=self.where, why=heard.why, remedy=_REMEDY)
        signature = self.plans.signature
        wanted = {one.name: one.dtype for one in (*signature.inputs, *signature.outputs)}
        names = [engine.get_tensor_name(k) for k in range(engine.num_io_tensors)]
        found = {name: numpy_name(engine.get_tensor_dtype(name)) for name in names}
        if found != wanted:
            raise PlanRefused(
                "A plan is of another graph",
                where=self.where,
                why=f"it takes and gives {_spell(found)} instead of {_spell(wanted)}",
                remedy=_REMEDY,
            )
        return engine


def check_room(needed: int, share: float, where: str) -> None:
    """Raises OutOfMemory where so many bytes more would pass a share of the current device's memory."""
    free, total = cuda.memory()
    if total - free + needed > share * total:
        raise OutOfMemory(
            "GPU memory does not suffice",
            where=where,
            why=f"{needed / 1e6:.0f} MB more would pass {share:.0%} of {total / 1e9:.1f} GB",
            remedy="Raise engine.gpu_memory, lower the micro-batches' budgets, or free the GPU",
        )


def _chosen(context: ExecutionContext, profile: int, stream: cuda.Stream, heard: Heard) -> bool:
    """Whether a context could be set to a profile, once it is."""
    try:
        good = context.set_optimization_profile_async(profile, stream.handle)
    except RuntimeError as error:  # the bindings raise where the library says no
        heard.errors.append(str(error))
        return False
    stream.wait()
    return good


def _inferred(context: ExecutionContext, heard: Heard) -> bool:
    """Whether the shapes of all tensors follow from those that are set."""
    try:
        return not context.infer_shapes()
    except RuntimeError as error:  # a shape that is impossible
        heard.errors.append(str(error))
        return False


def _spell(tensors: dict[str, str]) -> str:
    return ", ".join(f"{name} {dtype}" for name, dtype in sorted(tensors.items()))
