"""Text → arrays of ids, by the kind of encoder that a bundle was trained with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from engines.preprocess.bag import BagEncoder
from engines.preprocess.bilingual import BilingualEncoder
from engines.preprocess.encoded import Encoded
from engines.preprocess.spec import TextSpec
from engines.preprocess.tokenizer import TokenizerEncoder
from engines.preprocess.words import HashWords


class TextEncoder(Protocol):
    """Turns any string into ids; never raises."""

    def encode(self, text: str) -> Encoded:
        """The ids of `text`, at most the spec's `max_tokens`."""
        ...


def text_encoder(spec: TextSpec) -> TextEncoder:
    """The encoder of the kind that the bundle was trained with."""
    return _KINDS[spec.kind](spec)


_KINDS: Final[dict[str, Callable[[TextSpec], TextEncoder]]] = {
    "hash-words": HashWords,
    "tokenizer": TokenizerEncoder,
    "bag": BagEncoder,
    "bilingual": BilingualEncoder,
}
