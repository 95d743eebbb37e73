"""Any string becomes ids, the same way every time."""

from __future__ import annotations

import random
from zlib import crc32

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from engines.preprocess.encoded import EMPTY
from engines.preprocess.spec import TextSpec
from engines.preprocess.text import text_encoder
from engines.preprocess.words import HashWords, fold

SPEC = TextSpec(vocabulary=1000, max_tokens=16)


def ids(text: str) -> list[int]:
    return text_encoder(SPEC).encode(text).channels[0].tolist()


def named(*tokens: str) -> list[int]:
    return [2 + crc32(token.encode("utf-8", "surrogatepass")) % 998 for token in tokens]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Hello, WORLD 42!", ["hello", ",", "world", "42", "!"]),
        ("a_b", ["a", "_", "b"]),
        ("这部电影好看", ["这", "部", "电", "影", "好", "看"]),
        ("ありがとう", ["あ", "り", "が", "と", "う"]),
        ("iPhone手机", ["iphone", "手", "机"]),
        ("감사합니다 친구", ["감사합니다", "친구"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("Schöne Straße", ["schöne", "strasse"]),
        ("ＦＵＬＬ　ｗｉｄｔｈ，", ["full", "width", ","]),
        ("👍❤️👩‍👧", ["👍", "❤", "👩", "👧"]),
        ("k\u200bi\u00adll", ["kill"]),
        ("e\u0301te\u0301", ["été"]),
        ("\ud800 x", ["\ud800", "x"]),
    ],
)
def test_words_numbers_and_single_signs_are_tokens(text: str, tokens: list[str]):
    assert ids(text) == named(*tokens)


@pytest.mark.parametrize("text", ["", "   \n\t", "\u200b\ufeff", "\u3000"])
def test_a_text_without_tokens_has_the_id_of_emptiness(text: str):
    assert ids(text) == [EMPTY]


def test_ids_are_int32_within_the_vocabulary():
    spec = TextSpec(vocabulary=5, max_tokens=500)
    found = text_encoder(spec).encode(" ".join(map(str, range(400)))).channels[0]
    assert found.dtype == np.int32
    assert set(found.tolist()) == {2, 3, 4}


def test_a_long_text_keeps_its_start_and_says_so():
    encoder = text_encoder(SPEC)
    exact, more = encoder.encode("word " * 16), encoder.encode("word " * 17)
    assert (len(exact.channels[0]), exact.truncated) == (16, False)
    assert (len(more.channels[0]), more.truncated) == (16, True)


def test_pages_are_cut_like_short_texts():
    page = " ".join(f"w{k}" for k in range(5000))
    assert ids(page) == named(*(f"w{k}" for k in range(16)))


def test_ascii_takes_a_short_cut_to_the_same_tokens():
    text = "It's 3:45pm... mail_me@example.com (now) #tag \x00\x1f~"
    encoder = text_encoder(TextSpec(vocabulary=100_000, max_tokens=100))
    assert encoder.encode(text).channels[0].tolist() == encoder.encode(text + "\u200b").channels[0].tolist()


def test_no_string_raises():
    source = random.Random(3)
    encoder = text_encoder(SPEC)
    for _ in range(3000):
        text = "".join(chr(source.randrange(0x110000)) for _ in range(source.randrange(40)))
        found = encoder.encode(text).channels[0]
        assert 1 <= len(found) <= 16
        assert found.min() >= 1
        assert found.max() < 1000


def test_no_text_takes_for_ever():
    encoder = text_encoder(SPEC)
    for piece in ("a\u0301", "\u0301", "ﷺ", "क्", " ", "_", "\U0001f469\u200d"):
        assert len(encoder.encode(piece * 20_000).channels[0]) <= 16


def test_the_memory_of_tokens_is_bounded():
    encoder = HashWords(TextSpec(vocabulary=1000, max_tokens=100_000))
    memo = encoder._id.__self__
    for start in range(0, 200_000, 50_000):
        encoder.encode(" ".join(f"t{k}" for k in range(start, start + 50_000)))
    encoder.encode("x" * 10_000)
    assert len(memo) <= 65_536
    assert max(map(len, memo)) <= 48


def test_folding_is_stable():
    assert fold(fold("ＡＢＣ Straße ﬁne")) == fold("ＡＢＣ Straße ﬁne")


def piecewise(*pieces: str) -> bytes:
    vocabulary = {piece: k for k, piece in enumerate(("[PAD]", "[UNK]", *pieces))}
    made = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = BertNormalizer(), BertPreTokenizer()
    return made.to_str().encode()


@pytest.mark.parametrize(
    ("text", "spaced", "chinese"),
    [
        ("Good food", [2, 3], []),
        ("好吃", [], [2, 3]),
        ("good 好吃", [], [4, 2, 3]),
        ("good food 好", [2, 3, 1], []),
        ("", [EMPTY], []),
        ("。！", [1, 1], []),
    ],
)
def test_a_text_is_read_by_the_encoder_for_its_language(text: str, spaced: list[int], chinese: list[int]):
    files = {"tokenizer.json": piecewise("good", "food"), "tokenizer_zh.json": piecewise("好", "吃", "good")}
    spec = TextSpec(4, 16, "bilingual", tuple(files), tuple(files.values()))
    channels, truncated = text_encoder(spec).encode(text)
    assert [own.tolist() for own in channels] == [spaced, chinese]
    assert spec.channels[: spec.planned] == ("ids", "ids_zh")
    assert not truncated
