"""The words that carried a label are the ones without which it would not have been given."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from engines.batch import Batch, Example
from engines.bundle import Bundle
from engines.engine import EngineChoice, FusedEngine
from engines.preprocess.pieces import pieces, without
from engines.preprocess.text import text_encoder
from engines.spans import LARGEST, LEAST, question, spans
from tests import tiny_bundle, worded_bundle
from tests.worded_bundle import LABEL, SPEC

ENCODER = text_encoder(SPEC)
RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def worded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FusedEngine]:
    folder = worded_bundle.build(tmp_path_factory.mktemp("worded"))
    engine = FusedEngine(Bundle.load(folder), EngineChoice("onnxruntime", "fp32"), threads=1)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def tangled(built) -> Iterator[FusedEngine]:
    """Every word counts for something, and so do images and sounds."""
    engine = FusedEngine(Bundle.load(built), EngineChoice("onnxruntime", "fp32"), threads=1)
    yield engine
    engine.close()


def ask(text: str, label: int = LABEL, most: int = 32, **media):
    return question(text, Example(ENCODER.encode(text).channels, **media), label, ENCODER, most)


def words(engine: FusedEngine, text: str, most: int = 32) -> list[str]:
    (found,) = spans(engine, [ask(text, most=most)])
    return [text[span.start : span.end] for span in found]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("you are an idiot, my friend", "idiot"),
        ("IDIOT! go away", "IDIOT"),
        ("\U0001f602\U0001f44d\U0001f3fd cafe\u0301 and ｉｄｉｏｔ！", "ｉｄｉｏｔ"),
        ("你真是个idiot吗", "idiot"),
        ("e\u0301e\u0301 \U0001f469\u200d\U0001f469\u200d\U0001f467 idiot\U0001f602", "idiot"),
    ],
)
def test_the_word_is_found_where_it_stands(worded: FusedEngine, text: str, word: str):
    assert words(worded, text) == [word]


def test_a_text_without_such_a_word_has_no_spans(worded: FusedEngine):
    assert words(worded, "a lovely day for all of us") == []
    assert words(worded, "!!!") == []


def test_a_longer_text_names_the_run_of_words(worded: FusedEngine):
    (found,) = words(worded, "one two three four five idiot seven eight nine", most=3)
    assert found == "four five idiot"


def test_what_the_model_did_not_see_is_not_asked_about_and_does_not_move_in(worded: FusedEngine):
    seen = " ".join(["word"] * SPEC.max_tokens)
    beyond = f"{seen} idiot idiot"
    assert ENCODER.encode(beyond).truncated
    asked = ask(beyond, most=1000)
    assert len(asked.pieces) == SPEC.max_tokens
    assert words(worded, beyond) == []
    assert words(worded, f"idiot {seen}") == ["idiot word"]


def fall(engine: FusedEngine, text: str, piece, label: int, **media) -> float:
    """How far the logit falls, by two runs of events of their own."""

    def logit(text: str) -> float:
        _, answer = engine.logits(Batch.of([Example(ENCODER.encode(text).channels, **media)]))
        return float(answer.moderation[:, label].max())

    return max(0.0, logit(text) - logit(without(text, piece)))


@pytest.mark.parametrize("label", range(len(tiny_bundle.LABELS)))
@pytest.mark.parametrize("images", [0, 1, 3])
def test_shares_are_those_of_leaving_out_each_word_alone(tangled: FusedEngine, label: int, images: int):
    text = "some words, with a meaning that nobody knows"
    media = {
        "images": [tiny_bundle.image(RANDOM) for _ in range(images)],
        "audio": [tiny_bundle.sound(RANDOM)],
    }
    falls = {piece: fall(tangled, text, piece, label, **media) for piece in pieces(text)}
    total = sum(falls.values())
    wanted = sorted((v / total for v in falls.values() if v / total >= LEAST), reverse=True)[:LARGEST]
    other = ask("an event beside it in the batch")
    (_, found) = spans(tangled, [other, ask(text, label, **media)])
    assert [span.share for span in found] == pytest.approx(wanted, abs=1e-4)
    for span in found:
        assert span.share == pytest.approx(falls[span.start, span.end] / total, abs=1e-4)
    assert sum(span.share for span in found) <= 1 + 1e-5


def test_ideographs_that_touch_are_one_span(tangled: FusedEngine):
    (found,) = spans(tangled, [ask("你是个大傻瓜走开")])
    assert all(one.end != other.start for one in found for other in found)
