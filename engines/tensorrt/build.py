"""A tower of a bundle → plans for a GPU: found in the store, or built once and kept there."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from engines import cuda
from engines.bundle import Bundle
from engines.device import Device
from engines.errors import EngineError, OutOfMemory
from engines.sessions.base import Terms
from engines.tensorrt.api import Heard, load
from engines.tensorrt.buckets import Bucket, buckets_of
from engines.tensorrt.key import Option, PlanKey
from engines.tensorrt.profiles import profiles_of
from engines.tensorrt.progress import Progress, Tell
from engines.tensorrt.protocols import BuilderConfig, OnnxParser
from engines.tensorrt.signature import Signature
from engines.tensorrt.store import PlanStore, Stored, StoreError

log = logging.getLogger(__name__)

CASTABLE: Final = ("bf16", "fp16")
"""The precisions that an fp32 graph is cast to here; others need a graph of the bundle's own."""

_CASTING: Final = 1
"""To be raised where casting changes, so that plans of the old one are built anew."""
_WORKSPACE: Final = 8 << 30
_HALVINGS: Final = 1
_SAMPLES: Final = 16
"""Micro-batches that show where fp16 would overflow."""
_REMEDY: Final = (
    "Set engine.backend: torch, or engine.precision to another one, and keep the graph for a report"
)


@dataclass(frozen=True, slots=True)
class Plans:
    """What a session runs: each bucket lies within a profile of one of the plans."""

    signature: Signature
    buckets: tuple[Bucket, ...]
    stored: tuple[Stored, ...]


def built(
    bundle: Bundle,
    tower: str,
    precision: str,
    terms: Terms,
    device: Device,
    store: PlanStore | None = None,
    *,
    fresh: bool = False,
) -> Plans:
    """The plans of a tower ("text", "image", "audio" or "head") for a GPU; raises EngineError.

    They come from the store, unless they are not there or `fresh` ones are asked for. Where memory does not
    suffice to build for the largest rows, half of them are planned for: larger micro-batches are cut.
    """
    work = _Work(bundle, tower, precision, terms, device, store or PlanStore(say=log.warning))
    wanted = buckets_of(tower, work.signature, bundle.preprocess, terms.budget)
    ladders = [wanted]
    while len(ladders) <= _HALVINGS and (smaller := _halved(ladders[-1])):
        ladders.append(smaller)
    if not fresh and (known := _known(work, ladders)):
        return known
    for halvings, buckets in enumerate(ladders):
        try:
            return work.plans(buckets, halvings, fresh)
        except OutOfMemory as error:
            if buckets is ladders[-1]:
                raise
            log.warning("%s; trying with half the rows", str(error))
    raise AssertionError("A ladder was neither built nor refused. This is a bug.")


def graph_of(bundle: Bundle, tower: str, precision: str) -> tuple[bytes, str, bool]:
    """The graph that a tower is built from, at which precision that makes it, and whether it has yet to be
    cast to that. Raises EngineError.

    The head is never cast: it carries the calibration. Where the bundle has graphs of a precision that needs
    samples, those towers that it has none of are built at fp32.
    """
    graphs = bundle.manifest["graphs"]
    graph = bundle.read(bundle.graph_name(tower, precision))
    if precision in graphs[tower]:
        return graph, precision, False
    if tower == "head" or any(precision in own for own in graphs.values()):
        return graph, "fp32", False
    if precision not in CASTABLE:
        raise EngineError(
            f"The {tower} tower cannot be built at {precision}",
            where=bundle.name,
            why="the bundle has no graph of that precision, and it cannot be had by casting alone",
            remedy=f"Write one with: tidegate bundle export --precision {precision}",
        )
    return graph, precision, True


class _Work:
    """Everything that the plans of a tower have in common."""

    def __init__(
        self, bundle: Bundle, tower: str, precision: str, terms: Terms, device: Device, store: PlanStore
    ) -> None:
        self.api, self.store, self.terms, self.device = load(), store, terms, device
        self.bundle, self.tower = bundle, tower
        self.graph, self.precision, self.cast = graph_of(bundle, tower, precision)
        self.where = f"{bundle.name}/{tower}, {self.precision}, on {device.name}"
        self.signature = Signature.of(self.graph)
        self.options: dict[str, Option] = {
            "workspace": min(device.memory // 4, _WORKSPACE),
            "tf32": False,  # fp32 is the reference: it is computed as such
            "streams": 0,  # several micro-batches share a GPU: none of them takes streams of its own
        }
        if self.cast:
            self.options["cast"] = _CASTING

    def keys(self, buckets: Sequence[Bucket]) -> list[PlanKey]:
        version = self.api.version
        return [
            PlanKey.of(self.graph, self.tower, self.precision, version, self.device, self.options, profiles)
            for profiles in profiles_of(buckets, version)
        ]

    def found(self, buckets: tuple[Bucket, ...]) -> Plans | None:
        stored = [self.store.get(key) for key in self.keys(buckets)]
        plans = tuple(each for each in stored if each is not None)
        return Plans(self.signature, buckets, plans) if len(plans) == len(stored) else None

    def plans(self, buckets: tuple[Bucket, ...], halvings: int, fresh: bool) -> Plans:
        keys, stored = self.keys(buckets), []
        for k, key in enumerate(keys):
            with self.store.building(key) as other:
                if other is not None and not fresh:
                    stored.append(other)
                else:
                    stored.append(self._build(key, halvings, _part(self.terms.progress, k, len(keys))))
        return Plans(self.signature, buckets, tuple(stored))

    def _build(self, key: PlanKey, halvings: int, tell: Tell | None) -> Stored:
        begun = time.monotonic()
        what = f"{self.tower} {self.precision}"
        log.info("building a plan: %s", key.describe())
        if tell is not None and self.cast:
            tell(f"{what}: casting", 0.0)
        graph = self._cast() if self.cast else self.graph
        timings = self._timings(key)
        cuda.activate(self.device.index)
        plan, learnt = _compile(self, graph, key, timings, Progress(what, tell))
        seconds = round(time.monotonic() - begun, 1)
        facts = {
            "signature": self.signature.to_dict(),
            "seconds": seconds,
            "bytes": len(plan),
            "halvings": halvings,
        }
        log.info("built in %.0f s, %.1f MB: %s", seconds, len(plan) / 1e6, key.describe())
        try:
            if learnt:
                self.store.keep_timings(key, learnt)
            return self.store.put(key, plan, facts)
        except StoreError as error:
            log.warning("a plan is served without being kept, and will be built again: %s", error)
            return Stored(key, plan, facts)

    def _cast(self) -> bytes:
        from engines.evaluation import samples
        from engines.precision.cast import cast_graph

        heard = samples(self.bundle, self.tower)[:_SAMPLES] if self.precision == "fp16" else ()
        return cast_graph(self.graph, self.precision, self.tower, heard)

    def _timings(self, key: PlanKey) -> bytes:
        try:
            return self.store.timings(key) or b""
        except StoreError:
            return b""


def _known(work: _Work, ladders: Sequence[tuple[Bucket, ...]]) -> Plans | None:
    """Plans that are there whole: smaller ones only where memory did not suffice for larger."""
    for halvings, buckets in enumerate(ladders):
        plans = work.found(buckets)
        if plans and all(each.facts.get("halvings", 0) == halvings for each in plans.stored):
            return plans
    return None


def _compile(
    work: _Work, graph: bytes, key: PlanKey, timings: bytes, progress: Progress
) -> tuple[bytes, bytes]:
    """A plan, and the builder's timing cache: without the one that was kept, where that is in the way."""
    with work.api.listening() as heard:
        plan, learnt = _attempt(work, graph, key, timings, progress, heard)
        if plan is None and timings and not heard.memory:
            log.warning("building again without what earlier builds measured: %s", heard.why)
            heard.errors.clear()
            plan, learnt = _attempt(work, graph, key, b"", progress, heard)
        if plan is None:
            raise heard.error("A plan cannot be built", work.where, "" if heard.memory else _REMEDY)
        return plan, learnt


def _attempt(
    work: _Work, graph: bytes, key: PlanKey, timings: bytes, progress: Progress, heard: Heard
) -> tuple[bytes | None, bytes]:
    trt, builder = work.api.trt, work.api.builder()
    builder.max_threads = max(1, work.terms.threads)
    network, parser = work.api.network(builder)
    if not parser.parse(graph):
        raise _unread(parser, heard, work.where)
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, int(work.options["workspace"]))
    config.clear_flag(trt.BuilderFlag.TF32)
    config.max_aux_streams = int(work.options["streams"])
    for profile in key.profiles:
        shapes = builder.create_optimization_profile()
        for one in work.signature.inputs:
            shapes.set_shape(
                one.name, *(end.shape(one) for end in (profile.lowest, profile.typical, profile.highest))
            )
        if config.add_optimization_profile(shapes) < 0:
            raise heard.error("A graph cannot be planned for", work.where, _REMEDY)
    _set_timings(config, timings)
    config.progress_monitor = monitor = work.api.monitor(progress)
    plan = builder.build_serialized_network(network, config)
    del monitor  # it had to outlive the build
    if progress.error is not None:
        raise progress.error
    if plan is None:
        return None, b""
    learnt = config.get_timing_cache()
    return bytes(plan), bytes(learnt.serialize()) if learnt is not None else b""


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


def _part(tell: Tell | None, k: int, count: int) -> Tell | None:
    """Tells of one of several as its part of the whole."""
    return None if tell is None else lambda what, share: tell(what, (k + share) / count)


def _halved(buckets: Sequence[Bucket]) -> tuple[Bucket, ...]:
    most = max(bucket.rows for bucket in buckets) // 2
    return tuple(bucket for bucket in buckets if bucket.rows <= most)
