"""Operators that move, cut, join and look up, and those that tell shapes."""

from __future__ import annotations

from typing import Final

from engines.errors import EngineError
from engines.torchgraph.graph import Node
from engines.torchgraph.library import Tensor, functional, torch
from engines.torchgraph.table import Kernel, ints, operator, simple

_PADS: Final = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}


@operator("Shape")
def _shape(node: Node, device: str) -> Kernel:
    start, end = node.attributes.get("start", 0), node.attributes.get("end")
    return lambda x: torch.tensor(list(x.shape)[start:end], dtype=torch.int64)


simple("Size", lambda x: torch.tensor(x.numel(), dtype=torch.int64))


@operator("Range")
def _range(node: Node, device: str) -> Kernel:
    def run(start: Tensor, limit: Tensor, delta: Tensor) -> Tensor:
        first, last, step = start.item(), limit.item(), delta.item()
        if (last - first) * step <= 0:
            return torch.empty(0, dtype=start.dtype, device=device)
        return torch.arange(first, last, step, dtype=start.dtype, device=device)

    return run


@operator("ConstantOfShape")
def _filled(node: Node, device: str) -> Kernel:
    value = node.attributes.get("value")
    fill = torch.zeros(1) if value is None else torch.from_numpy(value.copy())
    number, kind = fill.item(), fill.dtype
    return lambda shape: torch.full(ints(shape), number, dtype=kind, device=device)


@operator("Reshape")
def _reshape(node: Node, device: str) -> Kernel:
    exact = bool(node.attributes.get("allowzero", 0))

    def run(x: Tensor, shape: Tensor) -> Tensor:
        wanted = ints(shape)
        if not exact:
            wanted = [x.shape[k] if size == 0 else size for k, size in enumerate(wanted)]
        return x.reshape(wanted)

    return run


@operator("Flatten")
def _flatten(node: Node, device: str) -> Kernel:
    axis = node.attributes.get("axis", 1)

    def run(x: Tensor) -> Tensor:
        rows = 1
        for size in x.shape[:axis]:
            rows *= size
        return x.reshape(rows, -1)

    return run


@operator("Transpose")
def _transpose(node: Node, device: str) -> Kernel:
    order = node.attributes.get("perm")
    return lambda x: x.permute(list(order) if order else list(range(x.ndim))[::-1])


simple("Expand", lambda x, shape: x.expand(torch.broadcast_shapes(x.shape, ints(shape))))
simple("Tile", lambda x, repeats: x.repeat(ints(repeats)))


@operator("Unsqueeze")
def _unsqueeze(node: Node, device: str) -> Kernel:
    def run(x: Tensor, axes: Tensor) -> Tensor:
        wanted = ints(axes)
        rank = x.ndim + len(wanted)
        for axis in sorted(k % rank for k in wanted):
            x = x.unsqueeze(axis)
        return x

    return run


simple("Squeeze", lambda x, axes=None: x.squeeze() if axes is None else x.squeeze(ints(axes)))


@operator("Concat")
def _concat(node: Node, device: str) -> Kernel:
    axis = node.attributes["axis"]
    return lambda *xs: torch.cat(xs, axis)


@operator("Split")
def _split(node: Node, device: str) -> Kernel:
    axis, count = node.attributes.get("axis", 0), len(node.outputs)

    def run(x: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
        parts = -(-x.shape[axis] // count) if sizes is None else ints(sizes)
        return tuple(torch.split(x, parts, axis))

    return run


@operator("Slice")
def _slice(node: Node, device: str) -> Kernel:
    def run(
        x: Tensor, starts: Tensor, ends: Tensor, axes: Tensor | None = None, steps: Tensor | None = None
    ) -> Tensor:
        begins = ints(starts)
        where = list(range(len(begins))) if axes is None else ints(axes)
        strides = [1] * len(begins) if steps is None else ints(steps)
        for axis, begin, end, step in zip(where, begins, ints(ends), strides, strict=True):
            size = x.shape[axis]
            span = range(size)[slice(begin, end if end >= -size or step > 0 else None, step)]
            if step < 0:
                x = x.flip(axis)
                span = range(size - 1 - span.start, size - 1 - span.stop, -step)
            cut = [slice(None)] * x.ndim
            cut[axis] = slice(span.start, max(span.start, span.stop), span.step)
            x = x[tuple(cut)]
        return x

    return run


@operator("Pad")
def _pad(node: Node, device: str) -> Kernel:
    mode = _PADS.get(node.attributes.get("mode", "constant"))
    if mode is None:
        raise EngineError("A graph pads in a way that torch does not", why=str(node.attributes["mode"]))

    def run(x: Tensor, pads: Tensor, value: Tensor | None = None, axes: Tensor | None = None) -> Tensor:
        sizes = ints(pads)
        where = list(range(x.ndim)) if axes is None else [axis % x.ndim for axis in ints(axes)]
        half = len(sizes) // 2
        around = {axis: (sizes[k], sizes[k + half]) for k, axis in enumerate(where)}
        first = min((axis for axis, pair in around.items() if any(pair)), default=None)
        if first is None:
            return x
        flat = [size for axis in reversed(range(first, x.ndim)) for size in around.get(axis, (0, 0))]
        if mode == "constant":
            return functional.pad(x, flat, value=0 if value is None else value.item())
        return functional.pad(x, flat, mode=mode)

    return run


@operator("Gather")
def _gather(node: Node, device: str) -> Kernel:
    axis = node.attributes.get("axis", 0)

    def run(x: Tensor, index: Tensor | int) -> Tensor:
        if isinstance(index, int):
            return x.select(axis, index)
        # An index outside would end the whole CUDA context: it wraps, as the negative ones must anyway.
        index = torch.remainder(index, x.shape[axis])
        if axis == 0 and x.ndim == 2:
            return functional.embedding(index, x)
        here = axis % x.ndim
        found = torch.index_select(x, here, index.reshape(-1))
        return found.reshape(*x.shape[:here], *index.shape, *x.shape[here + 1 :])

    return run


@operator("GatherElements")
def _gather_elements(node: Node, device: str) -> Kernel:
    axis = node.attributes.get("axis", 0)
    return lambda x, index: torch.gather(x, axis, torch.remainder(index, x.shape[axis]).long())


@operator("GatherND")
def _gather_nd(node: Node, device: str) -> Kernel:
    if node.attributes.get("batch_dims", 0):
        raise EngineError("A graph looks up in a way that the torch engine does not know", why="batch_dims")

    def run(x: Tensor, index: Tensor) -> Tensor:
        depth = index.shape[-1]
        places = torch.zeros((), dtype=torch.int64, device=index.device)
        for k in range(depth):
            places = places * x.shape[k] + torch.remainder(index[..., k], x.shape[k])
        flat = x.reshape(-1, *x.shape[depth:])
        found = torch.index_select(flat, 0, places.reshape(-1))
        return found.reshape(*index.shape[:-1], *x.shape[depth:])

    return run


@operator("Trilu")
def _trilu(node: Node, device: str) -> Kernel:
    function = torch.triu if node.attributes.get("upper", 1) else torch.tril
    return lambda x, k=None: function(x, 0 if k is None else int(k))
