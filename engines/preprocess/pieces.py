"""Where the words of a text stand, in code points of the text as it came: what can be left out of it."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from engines.preprocess.words import CJK

_EMOJI: Final = "\u2300-\u23ff\u2600-\u27bf\u2b00-\u2bff\U0001f300-\U0001faff"
_FLAG: Final = "[\U0001f1e6-\U0001f1ff]{1,2}"
# What belongs to the emoji before it: variation, skin, keycap, tags of a region, and after a joiner more.
_MORE: Final = f"[\ufe0e\ufe0f\U0001f3fb-\U0001f3ff\u20e3\U000e0020-\U000e007f]|\u200d[{_EMOJI}]"
_VARIANT: Final = "[\u3099\u309a\ufe00-\ufe0f\U000e0100-\U000e01ef]?"  # and to an ideograph or kana
_BREAKS: Final = r"\s,;()\[\]{}<>|\"“”。、，！？；：（）｛｝《》〈〉【】「」『』…"
_PIECES: Final = re.compile(
    rf"(?P<picture>(?:{_FLAG}|[{_EMOJI}](?:{_MORE})*)+)"
    rf"|(?P<ideographs>(?:[{CJK}]{_VARIANT}){{1,2}})"
    rf"|[^{_BREAKS}{CJK}{_EMOJI}\U0001f1e6-\U0001f1ff]+"
)
# Marks around a word, and what nobody sees. Those inside it stay: "b!tch", "i.d.i.o.t".
_EDGES: Final = "!?.:'`‘’–—~-\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufe0e\ufe0f\ufeff"


class Piece(NamedTuple):
    """A word, up to two ideographs, or emoji in a row: ``text[start:end]``."""

    start: int
    end: int


def pieces(text: str) -> list[Piece]:
    """The words of any text from left to right, without the marks and spaces around them; never raises."""
    found = []
    for match in _PIECES.finditer(text):
        start, end = match.span()
        if match.lastgroup is None:
            word = match[0]
            start, end = end - len(word.lstrip(_EDGES)), start + len(word.rstrip(_EDGES))
        if start < end:
            found.append(Piece(start, end))
    return found


def grouped(found: list[Piece], most: int) -> list[Piece]:
    """The same in at most `most` pieces: of longer texts, as many neighbours as it takes become one."""
    each = -(-len(found) // most)
    if each <= 1:
        return found
    return [
        Piece(found[k].start, found[min(k + each, len(found)) - 1].end) for k in range(0, len(found), each)
    ]


def without(text: str, piece: Piece) -> str:
    """`text` as if the piece had never been written, which takes one of the spaces around it as well."""
    before, after = text[: piece.start], text[piece.end :]
    if after[:1].isspace() and (not before or before[-1].isspace()):
        after = after[1:]
    return before + after
