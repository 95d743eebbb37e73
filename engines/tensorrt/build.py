"""A tower of a bundle → plans for a GPU: found in the store, or built once and kept there."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from engines import cuda
from engines.bundle import EVALUATION, GOLDEN, Bundle
from engines.device import Device
from engines.errors import EngineError, NotBuilt, OutOfMemory
from engines.sessions.base import Terms
from engines.tensorrt.api import load
from engines.tensorrt.buckets import Bucket, buckets_of
from engines.tensorrt.compiler import Order, compiled
from engines.tensorrt.key import Option, PlanKey, flavour, release_of
from engines.tensorrt.profiles import profiles_of
from engines.tensorrt.progress import Progress, Tell
from engines.tensorrt.signature import Signature
from engines.tensorrt.store import PlanStore, Stored, StoreError

log = logging.getLogger(__name__)

CASTABLE: Final = ("bf16", "fp16")
"""The precisions that an fp32 graph is cast to here; others need a graph of the bundle's own."""

_CASTING: Final = 2
"""To be raised where casting changes, so that plans of the old one are built anew."""
_READING: Final = 1
"""The same for what makes a graph readable."""
_WORKSPACE: Final = 8 << 30
_HALVINGS: Final = 1
_DIGITS: Final = 16
_SAMPLES: Final = 16
"""Micro-batches that show where fp16 would overflow."""


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
    suffice to build for the largest micro-batches, at most half of them is planned for: larger ones are cut.
    Raises NotBuilt where they are not there and the terms allow no building.
    """
    work = _Work(bundle, tower, precision, terms, device, store or PlanStore(terms.plans, log.warning))
    wanted = buckets_of(tower, work.signature, bundle.preprocess, terms.budget)
    ladders = [wanted]
    while len(ladders) <= _HALVINGS and (smaller := _halved(ladders[-1])):
        ladders.append(smaller)
    if not fresh and (known := _known(work, ladders)):
        return known
    if not terms.build:
        return work.kept(wanted)
    for halvings, buckets in enumerate(ladders):
        try:
            return work.plans(buckets, halvings, fresh)
        except OutOfMemory as error:
            if buckets is ladders[-1]:
                raise
            log.warning("%s; trying with micro-batches of at most half the size", str(error))
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
            "reading": _READING,
            "cuda": flavour(),
        }
        if self.cast:
            self.options |= {"cast": _CASTING, "modelopt": release_of("nvidia-modelopt")}
        if self.cast and self.precision == "fp16":
            self.options["samples"] = _samples_of(bundle)
        self._readable: bytes | None = None

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

    def kept(self, buckets: tuple[Bucket, ...]) -> Plans:
        """What is in the store; raises NotBuilt where a plan is not."""
        found = self.found(buckets)
        if found is not None:
            return found
        lacking = next(key for key in self.keys(buckets) if self.store.get(key) is None)
        raise NotBuilt(
            "A plan is not built, and engine.build is false",
            where=self.where,
            why=self.store.why_not(lacking),
            remedy=f"Build it, with the configuration that serves: tidegate engine build {self.bundle.name}",
        )

    def plans(self, buckets: tuple[Bucket, ...], halvings: int, fresh: bool) -> Plans:
        keys, stored = self.keys(buckets), []
        for k, key in enumerate(keys):
            tell = _part(self.terms.progress, k, len(keys))
            with self.store.building(key, self._alive(tell, "waiting for another process")) as other:
                if other is not None and not fresh:
                    stored.append(other)
                else:
                    stored.append(self._build(key, halvings, tell))
        if halvings and not _reduced(stored, halvings):  # all of them were there, built for something else
            with suppress(StoreError):
                self.store.note(keys[0], {"halvings": halvings})
        return Plans(self.signature, buckets, tuple(stored))

    def _build(self, key: PlanKey, halvings: int, tell: Tell | None) -> Stored:
        begun = time.monotonic()
        log.info("building a plan: %s", key.describe())
        graph = self._graph(tell)
        timings = self._timings(key)
        cuda.activate(self.device.index)
        order = Order(graph, self.signature, key, self.terms.threads, self.where, self.terms.gpu_memory)
        plan, learnt = compiled(self.api, order, timings, Progress(self._what, tell))
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

    def _graph(self, tell: Tell | None) -> bytes:
        """What TensorRT reads, cast where it has to be: made once, for all plans of the tower."""
        from engines.tensorrt.readable import readable

        if self._readable is None:
            self._readable = readable(self._cast(tell) if self.cast else self.graph)
        return self._readable

    def _cast(self, tell: Tell | None) -> bytes:
        from engines.evaluation import samples
        from engines.precision.cast import cast_graph

        alive = self._alive(tell, "casting")
        alive()
        heard = samples(self.bundle, self.tower)[:_SAMPLES] if self.precision == "fp16" else ()
        return cast_graph(self.graph, self.precision, self.tower, heard, alive)

    def _alive(self, tell: Tell | None, doing: str) -> Callable[[], None]:
        """A sign of life for what has no share to tell."""
        what = f"{self._what}: {doing}"
        return lambda: None if tell is None else tell(what, 0.0)

    @property
    def _what(self) -> str:
        return f"{self.tower} {self.precision}"

    def _timings(self, key: PlanKey) -> bytes:
        try:
            return self.store.timings(key) or b""
        except StoreError:
            return b""


def _samples_of(bundle: Bundle) -> str:
    """What tells those samples apart that fp16 is tried on, by the file that they come from."""
    files = bundle.manifest["files"]
    name = next((name for name in (EVALUATION, GOLDEN) if name in files), None)
    return str(files[name]["sha256"])[:_DIGITS] if name is not None else "none"


def _known(work: _Work, ladders: Sequence[tuple[Bucket, ...]]) -> Plans | None:
    """Plans that are there whole: smaller ones only where memory did not suffice for larger.

    One that says so is enough: others may be those of the larger ones, built before memory ran out.
    """
    for halvings, buckets in enumerate(ladders):
        plans = work.found(buckets)
        if plans and (not halvings or _reduced(plans.stored, halvings)):
            return plans
    return None


def _reduced(stored: Sequence[Stored], halvings: int) -> bool:
    return any(each.facts.get("halvings", 0) == halvings for each in stored)


def _part(tell: Tell | None, k: int, count: int) -> Tell | None:
    """Tells of one of several as its part of the whole."""
    return None if tell is None else lambda what, share: tell(what, (k + share) / count)


def _halved(buckets: Sequence[Bucket]) -> tuple[Bucket, ...]:
    """Those that cost at most half of the costliest, and single rows, which cannot be cut; all of them stand
    in the larger ladder too, so GPUs of both share buckets. Empty where that makes nothing cheaper.
    """
    most = max(bucket.cells for bucket in buckets)
    found = tuple(bucket for bucket in buckets if bucket.rows == 1 or bucket.cells * 2 <= most)
    return found if max((bucket.cells for bucket in found), default=most) < most else ()
