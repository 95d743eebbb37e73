"""Text as the shipped models read it."""

from __future__ import annotations

import time

import pytest

from engines.preprocess.normalise import normalise

ONE_READING = [
    ("Ｆｕｌｌ ｗｉｄｔｈ", "full width"),
    ("f r e e  m o n e y now", "free money now"),
    ("p.r.i.z.e now", "prize now"),
    ("加-微-信 领券", "加微信 领券"),
    ("раypal", "paypal"),  # the first two letters are Cyrillic
    ("zero\u200bwidth", "zerowidth"),
    ("sooooo good!!!!!!", "sooo good!!!"),
    ("AT&amp;T", "at&t"),
    ("“quoted” it’s", '"quoted" it\'s'),
    ("你好，世界！", "你好,世界!"),
]


@pytest.mark.parametrize(("text", "read"), ONE_READING)
def test_spellings_that_look_alike_read_alike(text: str, read: str) -> None:
    assert normalise(text) == read


def test_links_and_users_become_words() -> None:
    assert normalise("@bob see https://x.y/z?q=1 or cheap-pills.shop/now") == "user see link or link"


def test_emoji_become_words() -> None:
    assert normalise("great 😂") == "great tears of joy"
    assert "dark skin" in normalise("👨🏿")
    assert normalise("🇨🇳") == "cn"


@pytest.mark.parametrize("text", ["a b c", "I am OK", "U.S.A. is far", "e.g. this", "5 0 2", "我 很 好"[:3]])
def test_what_is_written_plainly_keeps_its_words(text: str) -> None:
    assert normalise(text) == text.lower()


@pytest.mark.parametrize(
    "text", ["", "   ", "\0", "\ud800", "&#0;", "﷽" * 50, "a\u0301" * 900, "🏴\U000e0067"]
)
def test_no_text_is_refused(text: str) -> None:
    assert isinstance(normalise(text), str)
    assert normalise(normalise(text)) is not None


@pytest.mark.parametrize("text", ["你是个大傻瓜走开" * 2500, "é" * 20_000, "аb" * 10_000])
def test_a_long_run_without_spaces_takes_no_longer_than_it_must(text: str) -> None:
    began = time.process_time()
    normalise(text)
    assert time.process_time() - began < 1  # it was a minute when each letter began a search of its own
