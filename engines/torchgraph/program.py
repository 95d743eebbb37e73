"""A graph as a list of steps on one device, at one precision."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from engines.torchgraph import arithmetic, moving, neural
from engines.torchgraph.fusing import fold, fuse
from engines.torchgraph.graph import Graph, Node, read, unknown
from engines.torchgraph.library import Tensor, torch
from engines.torchgraph.placing import how, narrow, on_host
from engines.torchgraph.table import OPERATORS, Kernel

ROOMS: Final = (arithmetic, moving, neural)
"""Importing them fills the table of operators."""
PRECISIONS: Final = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""What a graph of fp32 can be run at."""
_MEMOS: Final = 64


@dataclass(slots=True)
class Memo:
    """What depends on the shapes of the inputs alone: host values, and their copies on the device."""

    values: dict[str, Tensor] = field(default_factory=dict)
    complete: bool = False


@dataclass(frozen=True, slots=True)
class _Step:
    """Where a kernel finds its inputs: a name among the values, a constant, or nothing."""

    kernel: Kernel
    inputs: tuple[str | Tensor | None, ...]
    outputs: tuple[str, ...]
    remembered: bool
    drops: tuple[str, ...] = ()


class Program:
    """Runs a graph on a device. Several threads may run it; weights are there once."""

    def __init__(self, data: bytes, precision: str = "fp32", device: str = "cpu") -> None:
        graph = read(data)
        strange = [node.op for node in graph.nodes if node.op not in OPERATORS]
        if strange:
            raise unknown(strange)
        graph.prune()
        with torch.inference_mode():
            fold(graph)
            fuse(graph)
            self.device, self.inputs, self.outputs = device, graph.inputs, graph.outputs
            self.operators = tuple(node.op for node in graph.nodes)
            self.host = on_host(graph)
            self._steps = _Compiler(graph, self.host, PRECISIONS[precision], device).steps()
        self._later = tuple(step for step in self._steps if not step.remembered)
        self._memos: OrderedDict[tuple[Any, ...], Memo] = OrderedDict()

    def run(self, inputs: Mapping[str, Tensor], memo: Memo | None = None) -> dict[str, Tensor]:
        """Outputs by name, float32. A memo serves inputs of one shape, and spares them the host's part."""
        memo = memo or self._memo(inputs)
        values = {**memo.values, **inputs}
        own: dict[str, Tensor] = {}
        with torch.inference_mode():
            for step in self._later if memo.complete else self._steps:
                given = [values[one] if isinstance(one, str) else one for one in step.inputs]
                made = step.kernel(*given)
                for name, value in zip(
                    step.outputs, made if isinstance(made, tuple) else (made,), strict=True
                ):
                    values[name] = value
                    if step.remembered:
                        own[name] = value
                for name in step.drops:
                    del values[name]
        if not memo.complete:
            memo.values.update(own)
            memo.complete = True
        return {name: values[name] for name in self.outputs}

    @property
    def bytes(self) -> int:
        """What its constants take on its device."""
        kind = torch.device(self.device).type
        given = (one for step in self._steps for one in step.inputs if isinstance(one, torch.Tensor))
        held = {id(one): one for one in given if one.device.type == kind}
        return sum(one.numel() * one.element_size() for one in held.values())

    def _memo(self, inputs: Mapping[str, Tensor]) -> Memo:
        key = tuple(tuple(inputs[name].shape) for name in self.inputs)
        memo = self._memos.get(key)
        if memo is None:
            memo = self._memos[key] = Memo()
            while len(self._memos) > _MEMOS:
                self._memos.popitem(last=False)
        return memo


class _Compiler:
    """Nodes → steps, with casts and copies to the device where they are needed."""

    def __init__(self, graph: Graph, host: set[str], kind: Any, device: str) -> None:
        self._graph, self._host, self._kind, self._device = graph, host, kind, device
        self._low, self._wanting = (set(), set()) if kind == torch.float32 else narrow(graph, host)
        self._made: list[_Step] = []
        self._there: dict[tuple[str, str], str | Tensor] = {}

    def steps(self) -> tuple[_Step, ...]:
        """The steps, each followed by what nothing needs any more."""
        for node in self._graph.nodes:
            self._add(node)
        for name in self._graph.outputs:
            given = self._placed(name, "fp32")
            self._made.append(_Step(_wide, (given,), (name,), remembered=False))
        last: dict[str, int] = {}
        for k, step in enumerate(self._made):
            last.update((one, k) for one in (*step.inputs, *step.outputs) if isinstance(one, str))
        kept = {*self._graph.outputs, *self._graph.inputs}
        kept.update(name for step in self._made if step.remembered for name in step.outputs)
        drops: dict[int, list[str]] = {}
        for name, k in last.items():
            if name not in kept:
                drops.setdefault(k, []).append(name)
        return tuple(
            _Step(s.kernel, s.inputs, s.outputs, s.remembered, tuple(drops.get(k, ())))
            for k, s in enumerate(self._made)
        )

    def _add(self, node: Node) -> None:
        here = node.outputs[0] in self._host
        told = set(how(node))
        form = "low" if node.outputs[0] in self._wanting else "fp32"
        given: list[str | Tensor | None] = []
        for k, name in enumerate(node.inputs):
            if not name:
                given.append(None)
            elif here or (name in told and k > 0) or node.op == "Range" or node.op == "ConstantOfShape":
                given.append(self._on_host(name))
            elif node.op == "Gather" and k == 1 and self._scalar(name) is not None:
                given.append(self._scalar(name))
            else:
                given.append(self._placed(name, form))
        kernel = OPERATORS[node.op](node, "cpu" if here else self._device)
        outputs = tuple(name or f"{node.outputs[0]}/{k}" for k, name in enumerate(node.outputs))
        self._made.append(_Step(kernel, tuple(given), outputs, remembered=here))

    def _on_host(self, name: str) -> str | Tensor:
        """A host value, or a shape that is read of a value wherever it is."""
        return _tensor(self._graph.constants[name]) if name in self._graph.constants else name

    def _scalar(self, name: str) -> Any:
        value = self._graph.constants.get(name)
        return int(value) if value is not None and value.ndim == 0 else None

    def _placed(self, name: str, form: str) -> str | Tensor:
        """A value on the device, cast where it must be: each cast and copy is made once."""
        found = self._there.get((name, form))
        if found is None:
            found = self._there[name, form] = self._brought(name, form)
        return found

    def _brought(self, name: str, form: str) -> str | Tensor:
        constant = self._graph.constants.get(name)
        if constant is not None:
            tensor = _tensor(constant)
            return (_narrow(tensor, self._kind) if form == "low" else tensor).to(self._device)
        source = name
        if name in self._host:
            source = f"{name}/there"
            if (name, "there") not in self._there:
                self._there[name, "there"] = source
                device = self._device
                self._made.append(_Step(lambda x: x.to(device), (name,), (source,), remembered=True))
        if self._kind == torch.float32 or (form == "low") == (name in self._low):
            return source
        cast = f"{name}/{form}"
        kind = self._kind
        kernel = (lambda x: _narrow(x, kind)) if form == "low" else _wide
        self._made.append(_Step(kernel, (source,), (cast,), remembered=False))
        return cast


def _narrow(x: Tensor, kind: Any) -> Tensor:
    """In low precision, within its range: a mask of -3e38 must not become an infinity, nor -1e9 in fp16."""
    if x.dtype != torch.float32:
        return x
    top = torch.finfo(kind).max
    return x.clamp(-top, top).to(kind)


def _wide(x: Tensor) -> Tensor:
    return x.to(torch.float32) if x.is_floating_point() else x


def _tensor(array: Any) -> Tensor:
    return torch.from_numpy(np.array(array))  # a copy: torch wants memory that can be written to


def tensors(inputs: Mapping[str, Any], device: str = "cpu") -> dict[str, Tensor]:
    """Arrays as tensors on a device."""
    return {name: _tensor(value).to(device) for name, value in inputs.items()}
