"""Text → ids by tokenizers that were made elsewhere: each a tokenizer.json of the bundle."""

from __future__ import annotations

from typing import Final

import numpy as np
from tokenizers import Tokenizer

from engines.batch import Int32
from engines.errors import BundleError
from engines.preprocess.encoded import EMPTY, Encoded
from engines.preprocess.spec import TextSpec

SHIFT: Final = 1
"""What is added to a tokenizer's ids, many of which use 0 for a real token; the graph takes it off again."""
_CHARACTERS_A_TOKEN: Final = 16  # no text is tokenised far beyond what is kept


class TokenizerEncoder:
    """One channel for each tokenizer.json, special tokens included; 0 stays padding."""

    def __init__(self, spec: TextSpec) -> None:
        self._most = spec.max_tokens
        pairs = zip(spec.files, spec.contents, strict=False)
        self._tokenizers = [tokenizer(content, name, spec.max_tokens) for name, content in pairs]
        if len(self._tokenizers) < len(spec.files):
            raise _bad(", ".join(spec.files), "its bytes were not given along")

    def encode(self, text: str) -> Encoded:
        """The ids of `text` by each tokenizer, at most the spec's `max_tokens`; never raises."""
        most = _CHARACTERS_A_TOKEN * self._most
        text = text[: most + 1].encode("utf-8", "replace").decode()  # half a surrogate pair must not fail
        found = [token_ids(one, text[:most]) for one in self._tokenizers]
        cut = len(text) > most or any(more for _, more in found)
        return Encoded(tuple(ids + SHIFT if len(ids) else _EMPTY for ids, _ in found), cut)


_EMPTY: Final = np.array([EMPTY], np.int32)


def tokenizer(content: bytes, name: str, most: int) -> Tokenizer:
    """A tokenizer.json's bytes as a tokenizer that keeps `most` tokens and never pads; raises BundleError."""
    try:
        found = Tokenizer.from_str(content.decode("utf-8"))
        found.no_padding()
        found.enable_truncation(most)
    except Exception as error:  # the library raises plain Exception for whatever it cannot read
        raise _bad(name, f"it is no tokenizer: {error}") from error
    return found


def token_ids(tokenizer: Tokenizer, text: str) -> tuple[Int32, bool]:
    """The tokenizer's own ids of a text, int32 [length], and whether there were more."""
    found = tokenizer.encode(text)
    return np.array(found.ids, np.int32), bool(found.overflowing)


def _bad(name: str, why: str) -> BundleError:
    return BundleError("The tokenizer cannot be used", where=name, why=why, remedy="Write the bundle anew")
