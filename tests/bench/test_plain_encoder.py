"""The text cost's opponent is the bundle's own encoders: the same numbers, in floats."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
transformers = pytest.importorskip("transformers")

from engines.export import export  # noqa: E402
from engines.model.bags import PieceBag  # noqa: E402
from engines.model.quantised import quantise  # noqa: E402
from engines.model.text import BilingualTower, EncoderTower, WideTower  # noqa: E402
from tests.bench.plain_encoder import encoder_alone, with_float_weights  # noqa: E402

pytestmark = pytest.mark.train
IDS = np.array([[3, 7, 9, 2], [4, 5, 0, 0]], np.int32)


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    config = transformers.BertConfig(vocab_size=30, max_position_embeddings=64, **shape)
    wide = (WideTower(EncoderTower(config, tokens=2, width=8), PieceBag(4, 2, 8)) for _ in range(2))
    tower = BilingualTower(*wide)
    path = tmp_path_factory.mktemp("graph") / "text.onnx"
    export("text", quantise(tower.eval(), (PieceBag,)), path)
    return path


def run(model: onnx.ModelProto, **inputs: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


def test_the_encoder_alone_gives_the_tokens_that_it_gives_beside_the_other(graph):
    for channel, other in (("ids", "ids_zh"), ("ids_zh", "ids")):
        alone = run(encoder_alone(with_float_weights(onnx.load(graph)), channel), **{channel: IDS})
        both = run(onnx.load(graph), **{channel: IDS, other: 0 * IDS})
        assert alone.shape == (2, 2, 8)
        np.testing.assert_allclose(alone, both, atol=1e-5)


def test_no_product_of_it_reads_bytes(graph):
    model = encoder_alone(with_float_weights(onnx.load(graph)))
    casts = {name for node in model.graph.node if node.op_type == "Cast" for name in node.output}
    products = [node for node in model.graph.node if node.op_type == "MatMul"]
    assert products
    assert [node.input[1] for node in products if node.input[1] in casts] == []
