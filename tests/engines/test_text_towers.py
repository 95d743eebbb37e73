"""The shipped bundles' text towers: every engine hashes alike, bytes cost little, no row sees another."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import onnxruntime
import openvino
import pytest
import torch
from transformers import BertConfig

from engines.export import export
from engines.model.bags import BUCKETS, PIECES, BagTower, PieceBag, char_grams, word_grams
from engines.model.quantised import QuantisedLinear, quantise
from engines.model.text import BESIDE, BilingualTower, EncoderTower, WideTower
from engines.preprocess.bag import BagEncoder
from engines.preprocess.spec import TextSpec
from engines.training.text.fit import padded

TEXTS = ["not bad at all", "加微信领券 now", "a", "𝒘𝒆𝒊𝒓𝒅 ☎️ 😡😡", "这家店真的很好吃，下次还来" * 6]


SPACED = np.array([1, 0, 1, 1, 0], np.int32)
"""Whose encoder reads the text: 1 the first, 0 the second."""


def filled(net: BagTower | PieceBag) -> BagTower | PieceBag:
    torch.nn.init.normal_(net.table.weight, std=0.3)
    with torch.no_grad():
        net.table.weight[0] = 0.0  # padding
    return net


@pytest.fixture(scope="module")
def tower() -> BilingualTower:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=120, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    )
    wide = (WideTower(EncoderTower(config, 3, 16), filled(PieceBag(8, 3, 16))) for _ in range(2))
    return BilingualTower(*wide).eval()


@pytest.fixture(scope="module")
def bag() -> BagTower:
    torch.manual_seed(0)
    return filled(BagTower(8, 1, 16)).eval()


def inputs() -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    ids = [random.integers(1, 120, size).astype(np.int32) for size in (5, 9, 1, 7, 30)]
    read = [[row * own for row, own in zip(ids, marks, strict=True)] for marks in (SPACED, 1 - SPACED)]
    return {"ids": padded(read[0]), "ids_zh": padded(read[1])}


def grams() -> dict[str, np.ndarray]:
    encoder = BagEncoder(TextSpec(vocabulary=3, max_tokens=64, kind="bag"))
    words, chars = zip(*(encoder.encode(text).channels for text in TEXTS), strict=True)
    return {"words": padded(words), "chars": padded(chars)}


@pytest.mark.parametrize("name", ["tower", "bag"])
def test_every_engine_answers_alike(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Some engines reckon integers as float32: no value of the bag's hash may pass 2^24."""
    net, path = request.getfixturevalue(name), tmp_path / "text.onnx"
    given = inputs() if name == "tower" else grams()
    export("text", net, path)
    with torch.inference_mode():
        expected = net(*(torch.from_numpy(own) for own in given.values())).numpy()
    session = onnxruntime.InferenceSession(path)
    np.testing.assert_allclose(session.run(None, given)[0], expected, atol=1e-4)
    for hint in ("f32", "bf16"):
        compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": hint})
        bound = 1e-4 if hint == "f32" else 0.15 if name == "tower" else 0.02
        np.testing.assert_allclose(compiled(given)["tokens"], expected, atol=bound)


def test_a_text_gets_the_tokens_of_the_encoder_it_was_given_to(tower: BilingualTower) -> None:
    given = {name: torch.from_numpy(own) for name, own in inputs().items()}
    with torch.inference_mode():
        tokens = tower(*given.values())
        spaced, chinese = tower.spaced(given["ids"]), tower.chinese(given["ids_zh"])
    assert torch.isfinite(tokens).all()
    for k, own in enumerate(SPACED):
        torch.testing.assert_close(tokens[k], (spaced if own else chinese)[k])


def test_a_bag_beside_an_encoder_moves_its_tokens(tower: BilingualTower) -> None:
    ids = torch.from_numpy(inputs()["ids"][SPACED == 1])
    with torch.inference_mode():
        deep, wide = tower.spaced.deep(ids), tower.spaced.wide(ids)
        torch.testing.assert_close(tower.spaced(ids), (1 - BESIDE) * deep + BESIDE * wide)
    assert float(wide.abs().max()) > 0.1


def test_buckets_are_in_range_and_padding_is_none() -> None:
    chars = torch.tensor([[32, 97, 0x4E00, 0x10FFFF, 0, 0]], dtype=torch.int32)
    grams, count = char_grams(chars)
    assert int(grams.max()) <= BUCKETS
    assert int(count[0]) == int((grams != 0).sum())
    words, _ = word_grams(torch.tensor([[5, 2**18 - 1, 0]], dtype=torch.int32))
    assert words.tolist()[0][2] == 0
    assert int(words.max()) <= BUCKETS
    pieces, _ = word_grams(torch.tensor([[1, 30_521, 30_522]], dtype=torch.int32), PIECES)
    assert int(pieces.max()) <= PIECES


def test_word_order_is_heard_in_pairs() -> None:
    one, _ = word_grams(torch.tensor([[5, 9]], dtype=torch.int32))
    other, _ = word_grams(torch.tensor([[9, 5]], dtype=torch.int32))
    assert sorted(one[0, :2].tolist()) == sorted(other[0, :2].tolist())
    assert one[0, 2] != other[0, 2]


@pytest.mark.parametrize("name", ["tower", "bag"])
def test_a_row_is_the_same_alone_and_in_a_batch(name: str, request: pytest.FixtureRequest) -> None:
    net, given = request.getfixturevalue(name), inputs() if name == "tower" else grams()
    with torch.inference_mode():
        together = net(*(torch.from_numpy(own) for own in given.values()))
        for k in range(len(TEXTS)):
            row = [
                torch.from_numpy(own[k : k + 1, : max(1, int((own[k] != 0).sum()))]) for own in given.values()
            ]
            torch.testing.assert_close(net(*row)[0], together[k], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["tower", "bag"])
def test_bytes_cost_little(name: str, request: pytest.FixtureRequest) -> None:
    net = request.getfixturevalue(name)
    small = quantise(copy.deepcopy(net), (BagTower, PieceBag))
    given = [torch.from_numpy(own) for own in (inputs() if name == "tower" else grams()).values()]
    with torch.inference_mode():
        before, after = net(*given), small(*given)
    assert float((before - after).abs().max()) < 0.1
    kinds = {buffer.dtype for name, buffer in small.named_buffers() if name.endswith("weight")}
    assert kinds == {torch.int8}


def test_a_linear_layer_of_bytes_is_within_half_a_step() -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(64, 8)
    small = QuantisedLinear(layer)
    error = (small.weight.T.float() * small.scale[:, None] - layer.weight).abs()
    assert bool((error <= small.scale[:, None] / 2 + 1e-7).all())
