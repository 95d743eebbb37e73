"""CUDA graphs on against off: the latency of one row."""

from __future__ import annotations

from engines.sessions.tensorrt import opened
from engines.tensorrt.buckets import buckets_of
from engines.tensorrt.signature import Signature
from engines.throughput import alternating, inputs_of
from tests.gpu.ground import Ground
from tests.gpu.models import SHAPES
from tests.gpu.results import at_least, not_measured
from tests.gpu.speed import found


def measure(ground: Ground, precision: str) -> None:
    """The part `graphs`: BERT-base's smallest bucket, and its longest of one row."""
    shape = SHAPES["bert"]
    check = f"bert {precision}: latency of one row, graphs on against off"
    bundle = found(ground, "bert", precision)
    if isinstance(bundle, str):
        ground.tell(not_measured(check, bundle, "≥ 2×"))
        return
    signature = Signature.of(bundle.read(bundle.graph_name(shape.tower)))
    buckets = buckets_of(shape.tower, signature, bundle.preprocess, ground.budget)
    single = sorted((b for b in buckets if b.rows == 1), key=lambda b: b.cells)
    with ground.checking(check, "≥ 2×"):
        sessions = {
            name: opened(bundle, shape.tower, precision, ground.terms(1), store=ground.store, graphs=on)
            for name, on in (("on", True), ("off", False))
        }
        try:
            for bucket in dict.fromkeys((single[0], single[-1])):
                inputs = inputs_of(signature, bucket, bundle.preprocess)
                spent = alternating(
                    {name: lambda own=own, inputs=inputs: own.run(inputs) for name, own in sessions.items()},
                    ground.seconds,
                )
                told = f"{spent['on'] * 1e3:.3f} ms on, {spent['off'] * 1e3:.3f} ms off, copies included"
                ratio = spent["off"] / spent["on"]
                length = sum(size for _, size in bucket.axes)
                ground.measured(at_least(f"{check}, {length} tokens", ratio, 2.0, told, "×"))
        finally:
            for session in sessions.values():
                session.close()
