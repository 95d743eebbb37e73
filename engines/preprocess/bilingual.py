"""Text → ids of one of two tokenizers, whichever is for its language."""

from __future__ import annotations

import re
from typing import Final

import numpy as np

from engines.batch import Int32
from engines.preprocess.encoded import EMPTY, Encoded
from engines.preprocess.normalise import normalise
from engines.preprocess.spec import TextSpec
from engines.preprocess.tokenizer import token_ids, tokenizer
from engines.preprocess.words import CJK

_CHARACTERS_A_TOKEN: Final = 6
_NONE: Final = np.zeros(0, np.int32)
_IDEOGRAPHS: Final = re.compile(f"[{CJK}]")
_LETTERS: Final = re.compile(rf"[^\W\d_{CJK}]+")


class BilingualEncoder:
    """The ids of one of two tokenizers over the normalised text; both keep 0 for padding.

    The first reads languages that are written with spaces, the second Chinese: it gets what has more
    ideographs than words of letters.
    """

    def __init__(self, spec: TextSpec) -> None:
        self._most = _CHARACTERS_A_TOKEN * spec.max_tokens
        pairs = zip(spec.files, spec.contents, strict=True)
        self._spaced, self._chinese = (tokenizer(content, name, spec.max_tokens) for name, content in pairs)

    def encode(self, text: str) -> Encoded:
        """Channels ``ids`` and ``ids_zh``, at most `max_tokens`, one of them empty."""
        text = normalise(text).encode("utf-8", "replace").decode()  # half a surrogate pair must not fail
        own = self._chinese if chinese(text) else self._spaced
        found, more = token_ids(own, text[: self._most])
        ids: Int32 = found if len(found) else np.array([EMPTY], np.int32)
        return Encoded((_NONE, ids) if own is self._chinese else (ids, _NONE), more or len(text) > self._most)


def chinese(text: str) -> bool:
    """Whether a normalised text has more ideographs than words of letters."""
    return not text.isascii() and len(_IDEOGRAPHS.findall(text)) > len(_LETTERS.findall(text))
