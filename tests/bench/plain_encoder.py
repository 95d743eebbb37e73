"""The way people write first: a bundle's text encoder by itself, plain floats in ONNX Runtime.

As well as one would: weights are floats with their scales multiplied in, the tokenizer works on whole
batches, micro-batches are sorted by length and cut as the engine cuts them. No head, no events, no scores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper

from engines.bundle import Bundle
from engines.planner import Index, plan_text
from engines.preprocess.bilingual import chinese
from engines.preprocess.normalise import normalise
from engines.preprocess.text import text_encoder
from engines.preprocess.tokenizer import tokenizer

TOKENS = 4096


class PlainEncoder:
    """Texts to the encoder's tokens; ``side_by_side`` runs so many micro-batches at once, a thread each."""

    def __init__(self, bundle: Bundle, threads: int, side_by_side: bool) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1 if side_by_side else threads
        options.log_severity_level = 3
        self._readers = []
        for channel in channels_of(bundle):
            graph = onnx.load_from_string(bundle.read(bundle.graph_name("text", "fp32")))
            alone = encoder_alone(with_float_weights(graph), channel).SerializeToString()
            session = ort.InferenceSession(alone, options, providers=["CPUExecutionProvider"])
            self._readers.append((channel, session))
        self._ids = ids_of(bundle)
        self._pool = ThreadPoolExecutor(threads if side_by_side else 1)

    def run(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The encoder's answer for each micro-batch."""
        answers = []
        for (channel, session), ids in zip(self._readers, self._ids(texts), strict=True):
            plan = plan_text(np.array([len(row) for row in ids]), TOKENS)
            answers += self._pool.map(partial(self._batch, channel, session, ids), plan)
        return answers

    def _batch(
        self, channel: str, session: ort.InferenceSession, ids: Sequence[Sequence[int]], rows: Index
    ) -> np.ndarray:
        padded = np.zeros((len(rows), max(len(ids[k]) for k in rows)), np.int32)
        for row, k in zip(padded, rows, strict=True):
            row[: len(ids[k])] = ids[k]
        return session.run(None, {channel: padded})[0]


def channels_of(bundle: Bundle) -> tuple[str, ...]:
    """The channels that encoders read, each by itself."""
    spec = bundle.preprocess.text
    if "ids" not in spec.channels:
        raise SystemExit(f"{bundle.name} has no encoder: its text is a {spec.kind}. Name another bundle.")
    return spec.channels[: spec.planned]


def ids_of(bundle: Bundle) -> Callable[[Sequence[str]], list[list[Sequence[int]]]]:
    """What turns texts into the ids that each encoder reads: a text goes to the one for its language."""
    spec = bundle.preprocess.text
    if spec.kind != "bilingual":
        encode = text_encoder(spec).encode
        return lambda texts: [[encode(text).channels[0] for text in texts]]
    pairs = zip(spec.files, spec.contents, strict=True)
    spaced, ideographs = (tokenizer(content, name, spec.max_tokens) for name, content in pairs)

    def ids(texts: Sequence[str]) -> list[list[Sequence[int]]]:
        normal = [normalise(text) for text in texts]
        parts: tuple[list[str], list[str]] = ([], [])
        for text in normal:
            parts[chinese(text)].append(text)
        readers = zip((spaced, ideographs), parts, strict=True)
        return [[found.ids for found in reader.encode_batch(part)] for reader, part in readers]

    return ids


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


def encoder_alone(model: onnx.ModelProto, channel: str = "ids") -> onnx.ModelProto:
    """The part of the graph that reads one channel only: the last step chooses between two such encoders."""
    graph = model.graph
    for node in graph.node:  # the number of rows may have been asked of any input
        if node.op_type == "Shape" and {own.name: own.i for own in node.attribute} == {"start": 0, "end": 1}:
            node.input[0] = channel
    made = {name: node for node in graph.node for name in node.output}
    last = made[graph.output[0].name]
    results = list(last.input[1:]) if last.op_type == "Where" else [graph.output[0].name]
    for result in results:
        needed, kept = {result}, []
        for node in reversed(graph.node):
            if needed & set(node.output):
                kept.append(node)
                needed |= set(node.input)
        inputs = [each for each in graph.input if each.name in needed]
        if [each.name for each in inputs] == [channel]:
            break
    else:
        raise SystemExit(f"This text graph has no encoder that reads {channel} alone.")
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
