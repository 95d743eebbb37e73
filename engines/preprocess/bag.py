"""Text → hashed words and code points, from which a bag of n-grams is made in the graph."""

from __future__ import annotations

import re
from typing import Final

import numpy as np

from engines.batch import Int32
from engines.preprocess.encoded import EMPTY, Encoded
from engines.preprocess.normalise import normalise
from engines.preprocess.spec import HASHES, TextSpec
from engines.preprocess.tokenizer import token_ids, tokenizer
from engines.preprocess.words import CJK, Memo, words_of

_CHARACTERS_A_WORD: Final = 6


class BagEncoder:
    """Words of the normalised text, hashed, and its characters with a space at either end."""

    def __init__(self, spec: TextSpec) -> None:
        self._most = spec.max_tokens
        self._id = Memo(HASHES - 2).__getitem__

    def encode(self, text: str) -> Encoded:
        """Channels ``words`` (at most `max_tokens`) and ``chars`` (at most six times as many)."""
        return self.encode_normal(normalise(text))

    def encode_normal(self, text: str) -> Encoded:
        """The same for a text that is normalised already."""
        words, more = words_of(text, self._most)
        ids = list(map(self._id, words)) or [EMPTY]
        most = _CHARACTERS_A_WORD * self._most
        return Encoded((np.array(ids, np.int32), code_points(f" {text[:most]} ")), more or len(text) > most)


class JoinedEncoder:
    """The ids of a tokenizer that keeps 0 for padding, over the normalised text, then the bag's channels."""

    def __init__(self, spec: TextSpec) -> None:
        self._bag = BagEncoder(spec)
        self._most = _CHARACTERS_A_WORD * spec.max_tokens
        self._tokenizer = tokenizer(spec.contents[0], spec.files[0], spec.max_tokens)

    def encode(self, text: str) -> Encoded:
        """Channels ``ids`` (at most `max_tokens`), ``words`` and ``chars``."""
        text = normalise(text).encode("utf-8", "replace").decode()  # half a surrogate pair must not fail
        bag = self._bag.encode_normal(text)
        ids, more = token_ids(self._tokenizer, text[: self._most])
        return Encoded((ids, *bag.channels), more or bag.truncated)


class BilingualEncoder:
    """The ids of one of two tokenizers over the normalised text, then the bag's channels.

    The first reads languages that are written with spaces, the second Chinese; both keep 0 for padding. A
    text goes to the second where it has more ideographs than words of letters.
    """

    def __init__(self, spec: TextSpec) -> None:
        self._bag = BagEncoder(spec)
        self._most = _CHARACTERS_A_WORD * spec.max_tokens
        pairs = zip(spec.files, spec.contents, strict=True)
        self._spaced, self._chinese = (tokenizer(content, name, spec.max_tokens) for name, content in pairs)

    def encode(self, text: str) -> Encoded:
        """Channels ``ids`` and ``ids_zh`` (at most `max_tokens`, one of them empty), ``words``, ``chars``."""
        text = normalise(text).encode("utf-8", "replace").decode()  # half a surrogate pair must not fail
        bag = self._bag.encode_normal(text)
        own = self._chinese if chinese(text) else self._spaced
        ids, more = token_ids(own, text[: self._most])
        ids = ids if len(ids) else np.array([EMPTY], np.int32)
        pair = (_NONE, ids) if own is self._chinese else (ids, _NONE)
        return Encoded((*pair, *bag.channels), more or bag.truncated)


_NONE: Final = np.zeros(0, np.int32)
_IDEOGRAPHS: Final = re.compile(f"[{CJK}]")
_LETTERS: Final = re.compile(rf"[^\W\d_{CJK}]+")


def chinese(text: str) -> bool:
    """Whether a normalised text has more ideographs than words of letters."""
    return not text.isascii() and len(_IDEOGRAPHS.findall(text)) > len(_LETTERS.findall(text))


def code_points(text: str) -> Int32:
    """int32 [characters]; never 0, which is padding."""
    points: Int32 = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.int32)
    return np.where(points == 0, 0xFFFD, points).astype(np.int32) if "\0" in text else points
