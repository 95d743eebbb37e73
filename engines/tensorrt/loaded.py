"""A tower's plans on one GPU: their weights, and contexts to run them in."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from engines import cuda
from engines.errors import EngineError, PlanRefused
from engines.tensorrt.api import Api, Heard, numpy_name
from engines.tensorrt.buckets import Bucket
from engines.tensorrt.build import Plans
from engines.tensorrt.profiles import place
from engines.tensorrt.protocols import CudaEngine, ExecutionContext, Runtime

_REMEDY: Final = "Build it again with: tidegate engine build"


class Loaded:
    """One engine for each plan; `bytes` of the GPU's memory went to them.

    `uncaptured` says that a slot found that their work cannot be captured in a graph.
    """

    def __init__(self, api: Api, plans: Plans, device: int, where: str) -> None:
        self.api, self.plans, self.device, self.where = api, plans, device, where
        self.uncaptured = False
        cuda.activate(device)
        free, _ = cuda.memory()
        self._runtime: Runtime | None = api.runtime()
        self._engines = [self._engine(self._runtime, stored.plan) for stored in plans.stored]
        self.bytes = max(0, free - cuda.memory()[0])

    def context(self, bucket: Bucket, stream: cuda.Stream) -> ExecutionContext:
        """A context for one bucket, without working memory as yet; raises EngineError."""
        number, profile = place([stored.key.profiles for stored in self.plans.stored], bucket)
        strategy = self.api.trt.ExecutionContextAllocationStrategy.USER_MANAGED
        with self.api.listening() as heard:
            context = self._engines[number].create_execution_context(strategy)
            good = context is not None
            if context is not None and context.active_optimization_profile != profile:
                good = context.set_optimization_profile_async(profile, stream.handle)
                stream.wait()
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
        self._engines.clear()
        self._runtime = None  # after its engines

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


def _inferred(context: ExecutionContext, heard: Heard) -> bool:
    """Whether the shapes of all tensors follow from those that are set."""
    try:
        return not context.infer_shapes()
    except RuntimeError as error:  # a shape that is impossible: the only call here that raises
        heard.errors.append(str(error))
        return False


def _spell(tensors: dict[str, str]) -> str:
    return ", ".join(f"{name} {dtype}" for name, dtype in sorted(tensors.items()))
