"""What the exported graphs hold that lower precisions want in another form."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

_HALF_MAX: Final = 65504.0
_HALF_NORMAL: Final = 6.2e-5
_NOWHERE: Final = 1e30
_MASK: Final = 1e4
_SHIELD: Final = "shield/"


def fold_bytes(model: ModelProto) -> None:
    """Byte weights that are multiplied become float weights, with their scales in them.

    (x · bytes) · scale overflows half precision before the scale comes; x · (bytes · scale) does not. Tables
    that are only looked up in stay bytes: their rows are exact at every precision, at a quarter of the size.
    """
    graph = model.graph
    held = {each.name: each for each in graph.initializer}
    readers = readers_of(graph.node)
    gone = []
    for cast in graph.node:
        stored = held.get(cast.input[0]) if cast.op_type == "Cast" else None
        if stored is None or stored.data_type != TensorProto.INT8 or len(readers[stored.name]) > 1:
            continue
        product, scaling = _product(cast, held, readers)
        if product is None or scaling is None:
            continue
        scale = next(held[name] for name in scaling.input if name in held)
        weight = numpy_helper.to_array(stored).astype(np.float32) * numpy_helper.to_array(scale)
        stored.CopyFrom(numpy_helper.from_array(weight, stored.name))
        product.input[1] = stored.name
        product.output[0] = scaling.output[0]
        gone += [cast, scaling]
    for node in gone:
        graph.node.remove(node)
    drop_unread(model)


def _product(
    cast: NodeProto, held: dict[str, TensorProto], readers: dict[str, list[NodeProto]]
) -> tuple[NodeProto | None, NodeProto | None]:
    """The matrix product with what was cast, and the product of that with one scale a column."""
    for product in readers[cast.output[0]]:
        after = readers[product.output[0]]
        alone = len(readers[cast.output[0]]) == len(after) == 1
        if product.op_type != "MatMul" or not alone or product.input[1] != cast.output[0]:
            continue
        columns = held[cast.input[0]].dims[-1]
        fits = [list(held[name].dims) == [columns] for name in after[0].input if name in held]
        if after[0].op_type == "Mul" and fits == [True]:
            return product, after[0]
    return None, None


def clamp_masks(model: ModelProto) -> None:
    """Minus infinity, as masks spell it, becomes -1e4: half precision holds that, and softmax gives 0."""
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        far = np.abs(values) >= _NOWHERE
        if far.any():
            near = np.where(far, np.sign(values) * np.float32(_MASK), values).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(near, tensor.name))


def beyond_half(model: ModelProto) -> set[str]:
    """Nodes whose constants half precision has no normal number for: epsilons, and what is over its range."""
    strange = set()
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            size = np.abs(numpy_helper.to_array(tensor))
            if (size > _HALF_MAX).any() or (size.size == 1 and ((size > 0) & (size < _HALF_NORMAL)).any()):
                strange.add(tensor.name)
    return {node.name for node in model.graph.node if strange & set(node.input)}


def merge_equal(model: ModelProto) -> None:
    """Tensors that are equal are kept once; a converter copies those that several nodes share."""
    graph = model.graph
    first: dict[tuple[int, tuple[int, ...], bytes], str] = {}
    same: dict[str, str] = {}
    for tensor in list(graph.initializer):
        data = numpy_helper.to_array(tensor).tobytes()
        key = (tensor.data_type, tuple(tensor.dims), hashlib.sha256(data).digest())
        if key in first:
            same[tensor.name] = first[key]
            graph.initializer.remove(tensor)
        else:
            first[key] = tensor.name
    for node in graph.node:
        for k, name in enumerate(node.input):
            node.input[k] = same.get(name, name)


def drop_unread(model: ModelProto) -> None:
    """Remove tensors that no node reads."""
    read = {name for node in model.graph.node for name in node.input}
    for tensor in list(model.graph.initializer):
        if tensor.name not in read:
            model.graph.initializer.remove(tensor)


def name_nodes(model: ModelProto) -> None:
    """Every node has a name of its own, by which it can be kept."""
    seen: set[str] = set()
    for k, node in enumerate(model.graph.node):
        if not node.name or node.name in seen:
            node.name = f"{node.op_type}_{k}"
        seen.add(node.name)


def shield_casts(model: ModelProto, kept: set[str]) -> None:
    """Put a node between each kept cast and its readers.

    The converter puts casts of its own behind a tensor that both halves of the graph read, and then takes the
    first of two casts in a row for superfluous, whoever else reads it.
    """
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        nodes.append(node)
        if node.op_type == "Cast" and node.name in kept:
            gives, node.output[0] = node.output[0], f"{_SHIELD}{node.output[0]}"
            nodes.append(helper.make_node("Identity", [node.output[0]], [gives], name=node.output[0]))
            kept.add(node.output[0])
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _unshield(model: ModelProto) -> None:
    same = {n.output[0]: n.input[0] for n in model.graph.node if n.name.startswith(_SHIELD)}
    for node in list(model.graph.node):
        for k, name in enumerate(node.input):
            node.input[k] = same.get(name, name)
        if node.name.startswith(_SHIELD):
            model.graph.node.remove(node)


def tidied(model: ModelProto) -> ModelProto:
    """Without what the converter left behind: copies, shapes it guessed, notes."""
    _unshield(model)
    merge_equal(model)
    drop_unread(model)
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    del model.graph.metadata_props[:], model.metadata_props[:], model.graph.value_info[:]
    onnx.checker.check_model(model)
    return model


def readers_of(nodes: Iterable[NodeProto]) -> dict[str, list[NodeProto]]:
    """Who reads each tensor."""
    readers: dict[str, list[NodeProto]] = defaultdict(list)
    for node in nodes:
        for name in node.input:
            readers[name].append(node)
    return readers
