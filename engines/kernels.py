"""Which operators of a graph a good compiler runs as one kernel, and what still passes through memory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from engines.tracing import Node, Ran

PRODUCTS: Final = frozenset({"MatMul", "Gemm", "Conv", "ConvTranspose"})
"""What the matrix units compute."""
_REDUCTIONS: Final = frozenset(
    {
        "LayerNormalization", "GroupNormalization", "InstanceNormalization", "RMSNormalization", "Softmax",
        "LogSoftmax", "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2", "CumSum", "ArgMax",
        "MaxPool", "AveragePool", "GlobalAveragePool", "DFT", "STFT",
    }
)  # fmt: skip
_VIEWS: Final = frozenset(
    {"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Transpose", "Cast", "Expand"}
)
"""They move nothing where whoever reads next reads with other strides, or converts."""


def flops(node: Node) -> float:
    """Multiplications and additions of a product."""
    out, (left, right) = float(math.prod(node.wrote[0])), node.read[:2]
    if node.kind == "MatMul":
        return 2 * out * left[-1]
    if node.kind == "Gemm":
        return 2 * out * left[0 if node.turned else 1]
    if node.kind == "Conv":
        return 2 * out * math.prod(right[1:])
    return 2 * float(math.prod(left)) * math.prod(right[1:])


class _Groups:
    """Which operators run as one kernel: a forest, in which joined operators share a root."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def of(self, k: int) -> int:
        while self._parent[k] != k:
            self._parent[k] = k = self._parent[self._parent[k]]
        return k

    def join(self, k: int, other: int) -> None:
        self._parent[self.of(other)] = self.of(k)


def _fused(ran: Ran) -> _Groups:
    groups = _Groups(len(ran.nodes))
    maker = {name: k for k, node in enumerate(ran.nodes) for name in node.outputs}
    sharing: dict[str, int] = {}
    heavy = [node.kind in PRODUCTS | _REDUCTIONS for node in ran.nodes]
    bare = [not own for own in heavy]  # by root: a kernel of elementwise operators alone, so far
    for k, node in enumerate(ran.nodes):
        if node.outputs[0] in ran.fixed:
            continue
        moving = [maker[name] for name in node.inputs if name in maker and name not in ran.fixed]
        if not heavy[k]:
            if moving:  # elementwise: the end of the kernel that made its latest operand
                last = max(moving)
                groups.join(last, k)
            continue
        for other in moving:
            if bare[groups.of(other)]:  # elementwise work before any kernel: the beginning of this one
                groups.join(k, other)
        if node.kind in _REDUCTIONS and moving:
            before = groups.of(max(moving))
            if ran.nodes[before].kind in _REDUCTIONS:  # mean, then variance: one kernel
                groups.join(before, k)
        elif (
            len(set(node.inputs[:2]) - ran.fixed) == 1 and node.kind != "Conv"
        ):  # query, key and value: one product
            root = _root(ran, maker, next(n for n in node.inputs[:2] if n not in ran.fixed))
            groups.join(sharing.setdefault(root, k), k)
        elif len(moving) > 1:
            _attend(ran, groups, maker, k)
    return groups


def _attend(ran: Ran, groups: _Groups, maker: Mapping[str, int], k: int) -> None:
    """A product of softmax of a product of activations is one kernel, whose scores never leave the chip."""
    soft = _before(ran, maker, ran.nodes[k].inputs[0], "Softmax")
    scores = None if soft is None else _before(ran, maker, ran.nodes[soft].inputs[0], "MatMul")
    if soft is not None and scores is not None and not set(ran.nodes[scores].inputs) & ran.fixed:
        groups.join(scores, soft)
        groups.join(scores, k)


def _before(ran: Ran, maker: Mapping[str, int], name: str, kind: str) -> int | None:
    """The nearest operator of a kind behind elementwise ones, along their largest operand."""
    while name in maker and name not in ran.fixed:
        k = maker[name]
        node = ran.nodes[k]
        if node.kind == kind:
            return k
        if node.kind in PRODUCTS | _REDUCTIONS or not node.inputs:
            return None
        operands = zip(node.inputs, node.read, strict=False)
        name = max(operands, key=lambda own: math.prod(own[1]), default=(node.inputs[0], ()))[0]
    return None


def _root(ran: Ran, maker: Mapping[str, int], name: str) -> str:
    """What a tensor is a view of."""
    while name in maker and ran.nodes[maker[name]].kind in _VIEWS:
        source = ran.nodes[maker[name]].inputs[0]
        if source in ran.fixed:
            break
        name = source
    return name


def traffic(ran: Ran, sizes: Mapping[str, float]) -> float:
    """Values that cross from kernel to kernel: each written once, and read once by each that needs it."""
    groups = _fused(ran)
    maker = {name: k for k, node in enumerate(ran.nodes) for name in node.outputs}
    readers: dict[str, set[int]] = {}
    for k, node in enumerate(ran.nodes):
        if node.outputs[0] in ran.fixed or node.kind in _VIEWS | {"Shape"}:
            continue
        for name in set(node.inputs) - ran.fixed:
            readers.setdefault(_root(ran, maker, name), set()).add(groups.of(k))
    total = 0.0
    given = {_root(ran, maker, name) for name in ran.outputs}
    for name in readers.keys() | given:
        own = groups.of(maker[name]) if name in maker else None
        others = len(readers.get(name, set()) - {own})
        written = own is not None and (others > 0 or name in given)
        total += sizes.get(name, 0.0) * (others + written)
    return total
