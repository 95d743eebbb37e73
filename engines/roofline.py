"""What a graph's work takes at best: arithmetic at the matrix rate, then traffic at the copy rate.

The serial roofline of a run is FLOPs ÷ matrix rate + bytes ÷ copy rate, both measured on the device itself.
FLOPs are those of matrix products and convolutions. Bytes are those of a well-fused run: one pass over memory
for each product, normalisation and attention, with everything elementwise inside them, and attention's scores
kept on the chip; weights are read once a run. Both are counted on the graph as it ran, so any graph will do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from engines.kernels import PRODUCTS, flops, traffic
from engines.rates import Rates
from engines.sessions.base import Arrays
from engines.tracing import Ran, traced

BYTES: Final = {"fp32": 4, "tf32": 4, "fp16": 2, "bf16": 2, "fp8": 1, "int8": 1}
"""Of a weight at each precision."""
_ACTIVATION: Final = 2
"""The least of an activation: 8 bits are for what products multiply. Their sums, residuals, normalisation and
softmax keep 16 bits or more, and so do the tensors that these write and read."""


@dataclass(frozen=True, slots=True)
class Work:
    """Of one run: FLOPs, activations read and written, and weights read, both in values."""

    flops: float
    activations: float
    weights: float

    def seconds(self, rates: Rates, precision: str) -> float:
        """The serial roofline."""
        weight = BYTES.get(precision, 4)
        moved = self.activations * max(weight, _ACTIVATION) + self.weights * weight
        return self.flops / rates.matrix + moved / rates.copy


def work_of(graph: bytes, one: Arrays, two: Arrays, rows: int) -> Work:
    """The work of ``rows`` rows, from runs of one row and of two: all but the weights grows with the rows.

    Raises EngineError where the graph cannot be read or run.
    """
    first, second = count(traced(graph, one)), count(traced(graph, two))
    more = rows - 1
    return Work(
        first.flops + more * (second.flops - first.flops),
        first.activations + more * (second.activations - first.activations),
        first.weights,
    )


def count(ran: Ran) -> Work:
    """FLOPs and values of one run."""
    sizes = {
        name: float(math.prod(shape))
        for node in ran.nodes
        for names, shapes in ((node.inputs, node.read), (node.outputs, node.wrote))
        for name, shape in zip(names, shapes, strict=False)
    }
    products = [n for n in ran.nodes if n.kind in PRODUCTS and n.outputs[0] not in ran.fixed]
    weights = {name for node in products for name in node.inputs[:2] if name in ran.fixed}
    return Work(sum(map(flops, products)), traffic(ran, sizes), sum(sizes.get(name, 0.0) for name in weights))
