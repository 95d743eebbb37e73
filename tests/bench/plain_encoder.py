"""The way people write first: a bundle's text encoder by itself, plain floats in ONNX Runtime.

As well as one would: weights are floats with their scales multiplied in, the tokenizer works on whole
batches, micro-batches are sorted by length and cut as the engine cuts them. No head, no events, no scores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper

from engines.bundle import Bundle
from engines.planner import Index, plan_text
from engines.preprocess.normalise import normalise
from engines.preprocess.text import text_encoder
from engines.preprocess.tokenizer import tokenizer

TOKENS = 4096


class PlainEncoder:
    """Texts to the encoder's tokens; ``side_by_side`` runs so many micro-batches at once, a thread each."""

    def __init__(self, bundle: Bundle, threads: int, side_by_side: bool) -> None:
        graph = onnx.load_from_string(bundle.read(bundle.graph_name("text", "fp32")))
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1 if side_by_side else threads
        options.log_severity_level = 3
        graph = encoder_alone(with_float_weights(graph))
        self._session = ort.InferenceSession(
            graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._ids = ids_of(bundle)
        self._pool = ThreadPoolExecutor(threads if side_by_side else 1)

    def run(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The encoder's answer for each micro-batch."""
        ids = self._ids(texts)
        plan = plan_text(np.array([len(row) for row in ids]), TOKENS)
        return list(self._pool.map(lambda rows: self._batch(ids, rows), plan))

    def _batch(self, ids: Sequence[Sequence[int]], rows: Index) -> np.ndarray:
        padded = np.zeros((len(rows), max(len(ids[k]) for k in rows)), np.int32)
        for row, k in zip(padded, rows, strict=True):
            row[: len(ids[k])] = ids[k]
        return self._session.run(None, {"ids": padded})[0]


def ids_of(bundle: Bundle) -> Callable[[Sequence[str]], list[Sequence[int]]]:
    """What turns texts into the ids that the encoder reads."""
    spec = bundle.preprocess.text
    if "ids" not in spec.channels:
        raise SystemExit(f"{bundle.name} has no encoder: its text is a {spec.kind}. Name another bundle.")
    if spec.kind != "joined":
        encode = text_encoder(spec).encode
        return lambda texts: [encode(text).channels[0] for text in texts]
    whole = tokenizer(spec.contents[0], spec.files[0], spec.max_tokens)
    return lambda texts: [found.ids for found in whole.encode_batch([normalise(text) for text in texts])]


def with_float_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph where ``(x · cast(bytes)) · scale`` has become ``x · floats``."""
    graph = model.graph
    known = {each.name: each for each in graph.initializer}
    made = {name: node for node in graph.node for name in node.output}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    for product in [node for node in graph.node if node.op_type == "MatMul"]:
        cast, after = made.get(product.input[1]), readers.get(product.output[0], [])
        if cast is None or cast.op_type != "Cast" or cast.input[0] not in known:
            continue
        weight = numpy_helper.to_array(known[cast.input[0]]).astype(np.float32)
        if len(after) == 1 and after[0].op_type == "Mul" and (scale := _constant(after[0], product, known)):
            weight = weight * numpy_helper.to_array(known[scale])
            after[0].op_type = "Identity"
            del after[0].input[:]
            after[0].input.append(product.output[0])
        name = f"{cast.input[0]}.floats"
        graph.initializer.append(numpy_helper.from_array(weight, name))
        product.input[1] = name
    return model


def encoder_alone(model: onnx.ModelProto) -> onnx.ModelProto:
    """The part of the graph that reads ``ids`` only, where the graph's last step joins it with a bag."""
    graph = model.graph
    last = next(node for node in graph.node if graph.output[0].name in node.output)
    result = last.input[0] if last.op_type == "Concat" else graph.output[0].name
    needed, kept = {result}, []
    for node in reversed(graph.node):
        if needed & set(node.output):
            kept.append(node)
            needed |= set(node.input)
    inputs = [each for each in graph.input if each.name in needed]
    if [each.name for each in inputs] != ["ids"]:
        raise SystemExit("This text graph has no encoder that reads ids alone.")
    outputs = [onnx.helper.make_tensor_value_info(result, onnx.TensorProto.FLOAT, None)]
    weights = [each for each in graph.initializer if each.name in needed]
    alone = onnx.helper.make_graph(kept[::-1], "encoder", inputs, outputs, weights)
    return onnx.helper.make_model(alone, opset_imports=model.opset_import, ir_version=model.ir_version)


def _constant(
    node: onnx.NodeProto, product: onnx.NodeProto, known: dict[str, onnx.TensorProto]
) -> str | None:
    """The name of the stored vector that a product is multiplied with, one number for each column."""
    other = [name for name in node.input if name != product.output[0]]
    found = known.get(other[0]) if len(other) == 1 else None
    return other[0] if found is not None and len(found.dims) == 1 else None
