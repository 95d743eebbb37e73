"""Text → hashed words, the same in training and serving, for any string there is."""

from __future__ import annotations

import re
from itertools import islice
from typing import Final
from unicodedata import normalize
from zlib import crc32

import numpy as np

from engines.preprocess.encoded import EMPTY, Encoded
from engines.preprocess.normalise import INVISIBLE
from engines.preprocess.spec import TextSpec

_MEMO_TOKENS: Final = 65_536
_MEMO_CHARS: Final = 48  # longer tokens are rare, and would let a stream of junk fill memory

# Scripts written without spaces, where each character is a token: ideographs, kana, bopomofo.
CJK: Final = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3038-\u3129\u31a0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
# Marks that Python does not count as letters, but that stand inside words (Latin, Cyrillic, Semitic, Indic…).
_MARKS: Final = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed"
    "\u0900-\u0963\u0971-\u0dff\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1-\u0ece\u0f71-\u0f84"
    "\u102b-\u103e\u1056-\u109d\u17b4-\u17d3\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff"
)
_LETTER: Final = rf"[^\W_{CJK}]"
_WORDS: Final = re.compile(rf"[{CJK}]|{_LETTER}+(?:[{_MARKS}]+{_LETTER}*)*|\S")
_ASCII_WORDS: Final = re.compile(r"[a-z0-9]+|[^\sa-z0-9]")


class HashWords:
    """Words, numbers, and single CJK characters, emoji and signs, hashed into the vocabulary.

    NFKC and case folding first; the id of a token is ``2 + crc32(UTF-8) % (vocabulary - 2)``.
    """

    def __init__(self, spec: TextSpec) -> None:
        self._most = spec.max_tokens
        self._id = Memo(spec.vocabulary - 2).__getitem__

    def encode(self, text: str) -> Encoded:
        """The ids of `text`, at most the spec's `max_tokens`."""
        if text.isascii():
            words, text = _ASCII_WORDS, text.lower()
        else:
            words, text = _WORDS, fold(text)
        tokens, truncated = _first(words, text, self._most)
        ids = list(map(self._id, tokens)) or [EMPTY]
        return Encoded((np.array(ids, dtype=np.int32),), truncated)


def words_of(text: str, most: int) -> tuple[list[str], bool]:
    """The first `most` words, numbers, ideographs and signs of a folded text, and whether it had more."""
    return _first(_ASCII_WORDS if text.isascii() else _WORDS, text, most)


def _first(words: re.Pattern[str], text: str, most: int) -> tuple[list[str], bool]:
    if len(text) <= 16 * most:
        tokens = words.findall(text)
    else:  # don't tokenise pages of which only the start is kept
        tokens = [match[0] for match in islice(words.finditer(text), most + 1)]
    truncated = len(tokens) > most
    if truncated:
        del tokens[most:]
    return tokens, truncated


def fold(text: str) -> str:
    """`text` as the tokens see it: NFKC, without invisible characters, case folded."""
    return INVISIBLE.sub("", normalize("NFKC", text)).casefold()


class Memo(dict[str, int]):
    """Token → id from 2 on; forgets everything when full, which is rarer than keeping an order would cost."""

    def __init__(self, buckets: int) -> None:
        super().__init__()
        self._buckets = buckets

    def __missing__(self, token: str) -> int:
        # surrogatepass: half a surrogate pair is no reason to fail
        found = 2 + crc32(token.encode("utf-8", "surrogatepass")) % self._buckets
        if len(token) <= _MEMO_CHARS:
            if len(self) >= _MEMO_TOKENS:
                self.clear()
            self[token] = found
        return found
