"""A graph and its shapes → a plan, by TensorRT's builder."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from engines import cuda
from engines.errors import EngineError
from engines.tensorrt.api import Api, Heard
from engines.tensorrt.key import PlanKey
from engines.tensorrt.profiles import Profile
from engines.tensorrt.progress import Progress
from engines.tensorrt.protocols import Builder, BuilderConfig, Member, OnnxParser
from engines.tensorrt.signature import Signature

log = logging.getLogger(__name__)

_REMEDY: Final = (
    "Set engine.backend: torch, or engine.precision to another one, and keep the graph for a report"
)

_ROOM: Final = (
    "End what else holds the GPU's memory, lower engine.tokens, engine.image_rows or engine.audio_seconds, "
    "or set engine.precision to a narrower one"
)
"""What helps where memory runs out: engine.gpu_memory bounds what kernels are tried in, not whole builds."""
_SHARE: Final = ", or raise engine.gpu_memory: kernels were left out that need more"


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be built: `key` holds the profiles and the builder's options; `where` is for errors.

    Kernels are tried within `share` of the device's memory.
    """

    graph: bytes
    signature: Signature
    key: PlanKey
    threads: int
    where: str
    share: float = 1.0


def compiled(api: Api, order: Order, timings: bytes, progress: Progress) -> tuple[bytes, bytes]:
    """A plan for the current device, and the builder's timing cache; raises EngineError.

    It is built without the `timings` of earlier builds where those are in the way.
    """
    with api.listening() as heard:
        plan, learnt = _attempt(api, order, timings, progress, heard)
        if plan is None and timings and not heard.memory:
            log.warning("building again without what earlier builds measured: %s", heard.why)
            heard.errors.clear()
            plan, learnt = _attempt(api, order, b"", progress, heard)
        if plan is None:
            raise heard.error("A plan cannot be built", order.where, _remedy(heard))
        return plan, learnt


def _attempt(
    api: Api, order: Order, timings: bytes, progress: Progress, heard: Heard
) -> tuple[bytes | None, bytes]:
    trt, builder, options = api.trt, api.builder(), order.key.options
    builder.max_threads = max(1, order.threads)
    network, parser = api.network(builder)
    if not parser.parse(order.graph):
        raise _unread(parser, heard, order.where)
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, int(options["workspace"]))
    _share(config, trt.MemoryPoolType.TACTIC_DRAM, order.share)
    config.clear_flag(trt.BuilderFlag.TF32)
    config.max_aux_streams = int(options["streams"])
    if not all(_planned(builder, config, order, profile, heard) for profile in order.key.profiles):
        raise heard.error("A graph cannot be planned for", order.where, _remedy(heard))
    _set_timings(config, timings)
    config.progress_monitor = monitor = api.monitor(progress)
    with progress.ticking():
        plan = builder.build_serialized_network(network, config)
    del monitor  # it had to outlive the build
    if progress.error is not None:
        raise progress.error
    if plan is None:
        heard.failed()
        return None, b""
    learnt = config.get_timing_cache()
    return bytes(plan), bytes(learnt.serialize()) if learnt is not None else b""


def _share(config: BuilderConfig, pool: Member, share: float) -> None:
    """Bound a pool to a share of the device: where host and GPU share memory, its own bound may be less."""
    config.set_memory_pool_limit(pool, min(config.get_memory_pool_limit(pool), int(share * cuda.memory()[1])))


def _planned(builder: Builder, config: BuilderConfig, order: Order, profile: Profile, heard: Heard) -> bool:
    shapes = builder.create_optimization_profile()
    ends = (profile.lowest, profile.typical, profile.highest)
    try:
        for one in order.signature.inputs:
            shapes.set_shape(one.name, *(end.shape(one) for end in ends))
    except RuntimeError as error:  # the bindings raise where the library says no
        heard.errors.append(str(error))
        return False
    return config.add_optimization_profile(shapes) >= 0


def _set_timings(config: BuilderConfig, timings: bytes) -> None:
    """Build with what earlier builds measured, or from nothing where another builder measured it."""
    for data in dict.fromkeys((timings, b"")):
        cache = config.create_timing_cache(data)
        if cache is not None and config.set_timing_cache(cache, ignore_mismatch=False):
            return


def _unread(parser: OnnxParser, heard: Heard, where: str) -> EngineError:
    errors = [parser.get_error(k) for k in range(min(parser.num_errors, 3))]
    words = [f"{e.node_operator()} {e.node_name()}: {e.desc()}".strip(" :") for e in errors]
    if parser.num_errors > len(words):
        words.append(f"and {parser.num_errors - len(words)} more")
    return EngineError(
        "TensorRT cannot read a graph", where=where, why="; ".join(words)[:600] or heard.why, remedy=_REMEDY
    )


def _remedy(heard: Heard) -> str:
    if heard.memory:
        return _ROOM + (_SHARE if heard.short else "")
    return _REMEDY
