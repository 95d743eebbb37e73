"""One model at one precision: built, loaded, verified, run; beside the roofline and beside its peers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from engines import golden
from engines.bundle import Bundle
from engines.engine import EngineChoice, FusedEngine
from engines.errors import EngineError
from engines.precision.cast import QUANTISED
from engines.rates import Rates
from engines.sessions.base import Arrays, Session
from engines.sessions.tensorrt import opened
from engines.tensorrt.buckets import Bucket, buckets_of
from engines.tensorrt.signature import Signature
from engines.throughput import Floor, alternating, inputs_of
from tests.gpu import peers
from tests.gpu.answers import checked, spell
from tests.gpu.ground import LANES, Ground
from tests.gpu.models import SHAPES, Shape, bundle_of, size_of
from tests.gpu.results import Check, at_least, at_most, holds, not_measured

Runs = dict[str, Callable[[], object]]
EACH = 6
"""Runs of every lane in one turn."""
_ROOFLINE, _OTHERS = "of the serial roofline", "against others"


def measure(ground: Ground, name: str, precision: str) -> None:
    """The part `name-precision`."""
    shape, check = SHAPES[name], f"{name} {precision}"
    bundle = found(ground, name, precision)
    if isinstance(bundle, str):
        for what, bar in ((_ROOFLINE, _bar(shape, precision)), (_OTHERS, "> 1")):
            ground.tell(not_measured(f"{check}: {what}", bundle, bar))
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
            if lacking := ground.lacks(precision):
                ground.tell(not_measured(f"{name} {precision}: graphs", lacking))
            else:
                ground.at(bundle, precision)


def build(ground: Ground, name: str, precision: str) -> None:
    """The part `build-name-precision`: the plans of its tower, for the parts that follow."""
    check, bundle = f"{name} {precision}: plans", found(ground, name, precision)
    if isinstance(bundle, str):
        ground.tell(not_measured(check, bundle))
    else:
        ground.build(bundle, (SHAPES[name].tower,), precision, ground.budget, check)


def found(ground: Ground, name: str, precision: str) -> Bundle | str:
    """The bundle with graphs of a precision, or why there are none."""
    if lacking := ground.lacks(precision):
        return lacking
    bundle = ground.at(bundle_of(SHAPES[name], ground.work, ground.small), precision)
    return bundle or f"there are no graphs of it at {precision}: see that check"


def _bar(shape: Shape, precision: str) -> str:
    """It is one of 16 bits: what stays wider than 8 decides what is possible at fp8."""
    return "" if precision in QUANTISED else f"≥ {shape.bar:g}"


def _verify(ground: Ground, bundle: Bundle, precision: str, check: str) -> None:
    engine = FusedEngine(
        bundle, EngineChoice("tensorrt", precision), budget=ground.budget, contributions=False,
        uncalibrated="warn",
    )  # fmt: skip
    try:
        error = engine.golden_error()
    finally:
        engine.close()
    worst, of_what = float("inf") if error is None else error, ""
    if precision in QUANTISED:
        of_what = "catches nonsense only: what 8 bits are worth is told by decisions"
    bar = golden.bound(precision, verified=precision in QUANTISED)
    ground.tell(at_most(f"{check}: error of a golden logit", worst, bar, of_what))


def _speed(
    ground: Ground, bundle: Bundle, shape: Shape, precision: str, session: Session, check: str
) -> None:
    graph = bundle.read(bundle.graph_name(shape.tower))
    signature = Signature.of(graph)
    buckets = buckets_of(shape.tower, signature, bundle.preprocess, ground.budget)
    longest = max(sum(size for _, size in bucket.axes) for bucket in buckets)
    full = [b for b in buckets if sum(size for _, size in b.axes) == longest]
    bucket = max(full, key=lambda own: own.rows)
    inputs = inputs_of(signature, bucket, bundle.preprocess)
    units = bucket.rows * (shape.size if shape.tower == "audio" and not ground.small else 1)
    with ThreadPoolExecutor(LANES) as pool:
        ours = {"ours": lambda: _busy(pool, session, inputs)}
        with ground.checking(f"{check}: answers of every bucket"):
            checked(ground, session, bundle, shape.tower, buckets, precision, check)
        with ground.checking(f"{check}: {_ROOFLINE}", _bar(shape, precision)):
            floor = Floor(graph, signature, bundle.preprocess, precision)
            _roofline(ground, shape, precision, ours, floor, bucket, units, check)
        with ground.checking(f"{check}: latency by bucket, one at a time"):
            _every_bucket(ground, session, signature, buckets, bundle, check)
        with ground.checking(f"{check}: {_OTHERS}", "> 1"):  # last: they are others' code
            others = peers.torch_peers(ground, shape, precision, bucket.rows, check)
            others |= peers.onnx_peers(ground, bundle, shape, precision, inputs, check)
            _against(ground, shape, ours, others, units, check)


def _roofline(ground: Ground, shape: Shape, precision: str, ours: Runs, floor: Floor, bucket: Bucket,
              units: int, check: str) -> None:  # fmt: skip
    check, bar = f"{check}: {_ROOFLINE}", _bar(shape, precision)
    try:
        before = ground.rates(precision)
    except EngineError as error:
        ground.tell(not_measured(check, str(error), bar))
        return
    spent = alternating(ours, ground.seconds)["ours"] / (EACH * LANES)
    after = ground.rates(precision)
    rates = Rates(max(before.matrix, after.matrix), max(before.copy, after.copy))
    mine, best = units / spent, floor.rows_per_second(bucket, rates) * units / bucket.rows
    told = (
        f"{mine:,.0f} of {best:,.0f} {shape.unit} at {bucket.rows} rows; this card's matrix rate "
        f"{rates.matrix / 1e12:.0f} TFLOP/s, copy rate {rates.copy / 1e12:.2f} TB/s"
    )
    if bar:
        ground.measured(at_least(check, mine / best, shape.bar, told))
    else:
        ground.tell(Check(check, f"{mine / best:.2f}", reason=f"{told}; the bar is for 16 bits"))


def _against(ground: Ground, shape: Shape, ours: Runs, others: Mapping[str, peers.Peer], units: int,
             check: str) -> None:  # fmt: skip
    spent = alternating(ours | {name: peer.run for name, peer in others.items()}, ground.seconds)
    mine = units / (spent["ours"] / (EACH * LANES))
    for name, peer in others.items():
        ratio, theirs = mine * spent[name] / units, units / spent[name]
        reason = f"{mine:,.0f} and {theirs:,.0f} {shape.unit}; {peer.note}"
        good = "pass" if ratio > 1 else "fail"
        ground.measured(Check(f"{check}: against {name}", f"{ratio:.2f}×", "> 1", good, reason))


def _every_bucket(ground: Ground, session, signature, buckets, bundle, check: str) -> None:
    told = []
    for bucket in buckets:
        inputs = inputs_of(signature, bucket, bundle.preprocess)
        spent = alternating({"ours": lambda inputs=inputs: session.run(inputs)}, ground.seconds / 8, 2)
        told.append(f"{spell(bucket)}: {spent['ours'] * 1e3:.2f} ms")
    ground.tell(Check(f"{check}: latency by bucket, one at a time", f"{len(told)} buckets", "", "noted",
                      "; ".join(told)))  # fmt: skip


def _busy(pool: ThreadPoolExecutor, session: Session, inputs: Arrays) -> None:
    """Every lane runs the bucket a few times; its time is divided by how many runs that were."""

    def turn(_: int) -> None:
        for _ in range(EACH):
            session.run(inputs)

    list(pool.map(turn, range(LANES)))
