"""Tokenizers from a bundle: ids plus one, special tokens included, for any string there is."""

from __future__ import annotations

import json

import numpy as np
import pytest

from engines.errors import BundleError
from engines.preprocess.spec import TextSpec
from engines.preprocess.text import text_encoder

WORDS = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "a": 4, "good": 5, "film": 6, "好": 7}
TREE = {
    "version": "1.0",
    "truncation": None,
    "padding": {
        "strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": 64,
        "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]",
    },
    "added_tokens": [],
    "normalizer": {
        "type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
        "lowercase": True,
    },
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
    "decoder": None,
    "model": {
        "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100, "vocab": WORDS,
    },
}  # fmt: skip
CONTENT = json.dumps(TREE).encode()


def encoder(most: int = 16, files: int = 1, content: bytes = CONTENT):
    names = tuple(f"{k}.json" for k in range(files))
    return text_encoder(TextSpec(9, most, "tokenizer", names, (content,) * files))


def ids(text: str, most: int = 16) -> list[int]:
    return encoder(most).encode(text).channels[0].tolist()


def test_ids_are_the_tokenizers_plus_one_and_never_padded():
    assert ids("A good film") == [3, 5, 6, 7, 4]
    assert ids("好 good") == [3, 8, 6, 4]
    assert encoder().encode("a").channels[0].dtype == np.int32


def test_a_text_is_cut_with_its_special_tokens_kept():
    found = encoder(most=4).encode("a good film")
    assert found.channels[0].tolist() == [3, 5, 6, 4]
    assert found.truncated
    assert not encoder(most=5).encode("a good film").truncated


def test_pages_are_not_read_to_their_end():
    found = encoder(most=4).encode("a " * 10_000_000)
    assert found.truncated
    assert len(found.channels[0]) == 4


@pytest.mark.parametrize("text", ["", " ", "\0", "\ud83d", "\udc00 good", "🙂", "\u202e", "[PAD] [PAD]"])
def test_any_string_gets_ids_and_none_is_padding(text: str):
    found = ids(text)
    assert len(found) >= 2
    assert min(found) > 0


def test_each_tokenizer_has_its_channel():
    found = encoder(files=2).encode("good")
    assert [channel.tolist() for channel in found.channels] == [[3, 6, 4], [3, 6, 4]]


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"[1]"])
def test_what_is_no_tokenizer_is_refused_by_name(content: bytes):
    with pytest.raises(BundleError, match=r"0\.json.*no tokenizer"):
        encoder(content=content)


def test_a_specification_without_the_bytes_is_refused():
    with pytest.raises(BundleError, match="bytes were not given"):
        text_encoder(TextSpec(9, 16, "tokenizer", ("a.json",)))
