"""One model at one precision: built, loaded, verified, run; beside the roofline and beside its peers."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from engines import golden
from engines.engine import EngineChoice, FusedEngine
from engines.rates import Rates
from engines.sessions.base import Arrays, Session
from engines.sessions.tensorrt import opened
from engines.tensorrt.buckets import Bucket, buckets_of
from engines.tensorrt.signature import Signature
from engines.throughput import Floor, alternating, inputs_of
from tests.gpu import peers
from tests.gpu.ground import LANES, Ground
from tests.gpu.models import SHAPES, bundle_of, size_of
from tests.gpu.results import Check, at_least, at_most, holds

EACH = 6
"""Runs of every lane in one turn."""


def measure(ground: Ground, name: str, precision: str) -> None:
    """The part `name-precision`."""
    shape, check = SHAPES[name], f"{name} {precision}"
    bundle = ground.at(bundle_of(shape, ground.work, ground.small), precision)
    if bundle is None:
        return
    with ground.checking(f"{check}: build, load, run"):
        begun = time.monotonic()
        session = opened(bundle, shape.tower, precision, ground.terms(), store=ground.store)
        took = time.monotonic() - begun
        ground.tell(holds(f"{check}: build, load, run", True, f"{took:.0f} s to build or find, and load"))
        try:
            with ground.checking(f"{check}: verify"):
                _verify(ground, bundle, precision, check)
            _speed(ground, bundle, shape, precision, session, check)
        finally:
            session.close()


def prepare(ground: Ground, name: str) -> None:
    """The part `prepare-name`: the bundle, and its graphs at every precision, for the parts that follow."""
    shape, begun = SHAPES[name], time.monotonic()
    with ground.checking(f"{name}: bundle"):
        bundle = bundle_of(shape, ground.work, ground.small)
        told = f"random weights, rows of {size_of(shape, ground.small)}; {time.monotonic() - begun:.0f} s"
        ground.tell(Check(f"{name}: bundle", "made", reason=told))
        for precision in (*ground.precisions, *["fp8"] * shape.quantised):
            ground.at(bundle, precision)


def _verify(ground: Ground, bundle, precision: str, check: str) -> None:
    engine = FusedEngine(
        bundle, EngineChoice("tensorrt", precision), budget=ground.budget, contributions=False,
        uncalibrated="warn",
    )  # fmt: skip
    try:
        error = engine.golden_error()
    finally:
        engine.close()
    found = float("inf") if error is None else error
    ground.tell(at_most(f"{check}: error of a golden logit", found, golden.bound(precision)))


def _speed(ground: Ground, bundle, shape, precision: str, session: Session, check: str) -> None:
    graph = bundle.read(bundle.graph_name(shape.tower))
    signature = Signature.of(graph)
    buckets = buckets_of(shape.tower, signature, bundle.preprocess, ground.budget)
    longest = max(sum(size for _, size in bucket.axes) for bucket in buckets)
    full = [b for b in buckets if sum(size for _, size in b.axes) == longest]
    bucket = max(full, key=lambda own: own.rows)
    inputs = inputs_of(signature, bucket, bundle.preprocess)
    with ThreadPoolExecutor(LANES) as pool:
        contenders = {"ours": lambda: _busy(pool, session, inputs)}
        contenders |= peers.torch_peers(ground, shape, precision, bucket.rows, check)
        contenders |= peers.onnx_peers(ground, bundle, shape, precision, inputs, check)
        before = ground.rates(precision)
        found = alternating(contenders, ground.seconds)
        after = ground.rates(precision)
    found["ours"] /= EACH * LANES
    rates = Rates(max(before.matrix, after.matrix), max(before.copy, after.copy))
    seconds = shape.size if shape.tower == "audio" and not ground.small else 1
    ours = bucket.rows * seconds / found["ours"]
    floor = Floor(graph, signature, bundle.preprocess, precision).rows_per_second(bucket, rates) * seconds
    told = (
        f"{ours:,.0f} of {floor:,.0f} {shape.unit} at {bucket.rows} rows; this card's matrix rate "
        f"{rates.matrix / 1e12:.0f} TFLOP/s, copy rate {rates.copy / 1e12:.2f} TB/s"
    )
    ground.tell(at_least(f"{check}: of the serial roofline", ours / floor, shape.bar, told))
    for peer, spent in found.items():
        if peer != "ours":
            theirs = bucket.rows * seconds / spent
            ratio, reason = ours / theirs, f"{ours:,.0f} and {theirs:,.0f} {shape.unit}"
            good = "pass" if ratio > 1 else "fail"
            ground.tell(Check(f"{check}: against {peer}", f"{ratio:.2f}×", "> 1", good, reason))
    _every_bucket(ground, session, signature, buckets, bundle, check)


def _every_bucket(ground: Ground, session, signature, buckets, bundle, check: str) -> None:
    told = []
    for bucket in buckets:
        inputs = inputs_of(signature, bucket, bundle.preprocess)
        spent = alternating({"ours": lambda inputs=inputs: session.run(inputs)}, ground.seconds / 8, 2)
        sizes = "×".join(str(size) for _, size in bucket.axes)
        told.append(f"{_spell(bucket)}{'×' if sizes else ''}{sizes}: {spent['ours'] * 1e3:.2f} ms")
    ground.tell(Check(f"{check}: latency by bucket, one at a time", f"{len(told)} buckets", "", "noted",
                      "; ".join(told)))  # fmt: skip


def _spell(bucket: Bucket) -> str:
    return str(bucket.rows)


def _busy(pool: ThreadPoolExecutor, session: Session, inputs: Arrays) -> None:
    """Every lane runs the bucket a few times; its time is divided by how many runs that were."""

    def turn(_: int) -> None:
        for _ in range(EACH):
            session.run(inputs)

    list(pool.map(turn, range(LANES)))
