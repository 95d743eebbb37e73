"""Words are found where they stand in the text as it came, whatever it is written in."""

from __future__ import annotations

import random
import unicodedata
from itertools import pairwise

import pytest

from engines.preprocess.pieces import Piece, grouped, pieces, without

FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("You're an idiot!!", ["You're", "an", "idiot"]),
        ("  b!tch, i.d.i.o.t; f**k ", ["b!tch", "i.d.i.o.t", "f**k"]),
        ("你是个大傻瓜。走开！", ["你是", "个大", "傻瓜", "走开"]),
        ("加微信abc123领券", ["加微", "信", "abc123", "领券"]),
        ("ｙｏｕ　ｉｄｉｏｔ！", ["ｙｏｕ", "ｉｄｉｏｔ"]),
        ("cafe\u0301 nai\u0308f", ["cafe\u0301", "nai\u0308f"]),
        (f"ok{FAMILY}\U0001f44d\U0001f3fd go", ["ok", f"{FAMILY}\U0001f44d\U0001f3fd", "go"]),
        ("\U0001f1e8\U0001f1f3❤\ufe0f", ["\U0001f1e8\U0001f1f3❤\ufe0f"]),
        ("\u200bidi\u200bot\u200b", ["idi\u200bot"]),
        ("... !!! — ?", []),
        ("", []),
    ],
)
def test_a_piece_is_a_word_or_two_ideographs_or_a_run_of_emoji(text: str, words: list[str]):
    assert [text[p.start : p.end] for p in pieces(text)] == words


def test_pieces_of_any_text_are_in_order_apart_and_not_empty():
    chance = random.Random(0)
    alphabet = [
        "a",
        "é",
        "e\u0301",
        "傻",
        "\u3042",
        " ",
        "\n",
        "!",
        "，",
        "\U0001f602",
        "\u200d",
        "\ufe0f",
        "\0",
    ]
    for _ in range(500):
        text = "".join(chance.choices(alphabet, k=chance.randrange(30)))
        found = pieces(text)
        assert all(p.start < p.end <= len(text) for p in found)
        assert all(one.end <= other.start for one, other in pairwise(found))
        assert not any(
            unicodedata.combining(text[p.start]) for p in found if p.start and text[p.start - 1] == "e"
        )


@pytest.mark.parametrize("count", [1, 7, 8, 9, 33, 1000])
def test_longer_texts_are_grouped_so_that_every_word_still_counts(count: int):
    found = pieces(" ".join(["word"] * count))
    groups = grouped(found, 8)
    assert len(groups) <= 8
    assert (groups[0].start, groups[-1].end) == (0, found[-1].end)
    assert all(one.end < other.start for one, other in pairwise(groups))


@pytest.mark.parametrize(
    ("text", "word", "left"),
    [
        ("a bad day", "bad", "a day"),
        ("bad day", "bad", "day"),
        ("a bad", "bad", "a "),
        ("太坏了", "坏", "太了"),
        ("bad", "bad", ""),
    ],
)
def test_what_is_left_reads_as_if_the_word_had_never_been_there(text: str, word: str, left: str):
    start = text.index(word)
    assert without(text, Piece(start, start + len(word))) == left
