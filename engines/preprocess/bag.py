"""Text → hashed words and code points, from which a bag of n-grams is made in the graph."""

from __future__ import annotations

from typing import Final

import numpy as np

from engines.batch import Int32
from engines.preprocess.encoded import EMPTY, Encoded
from engines.preprocess.normalise import normalise
from engines.preprocess.spec import HASHES, TextSpec
from engines.preprocess.words import Memo, words_of

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


def code_points(text: str) -> Int32:
    """int32 [characters]; never 0, which is padding."""
    points: Int32 = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.int32)
    return np.where(points == 0, 0xFFFD, points).astype(np.int32) if "\0" in text else points
