"""Text as the models read it: one spelling for what looks the same, words for what is not text."""

from __future__ import annotations

import re
from functools import lru_cache
from html import unescape
from typing import Final
from unicodedata import name, normalize

# Joiners, directions, variation selectors, soft hyphen: seen by no reader, put in words to slip past filters.
INVISIBLE: Final = re.compile(
    "[\u00ad\u034f\u061c\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]"
)
_LINK: Final = re.compile(
    r"https?://\S+|www\.\S+|(?<![\w-])[\w-]{1,63}\.(?:com|net|org|info|xyz|top|cn|io|me|ly|shop)\b\S*"
)
_USER: Final = re.compile(r"(?<!\w)@[\w.-]+")
_DRAWN_OUT: Final = re.compile(r"(.)\1{3,}")
_SPACES: Final = re.compile(r"\s+")
# Letters set apart one by one: "f r e e", "d.m.", "加-微-信".
_APART: Final = re.compile(r"(?<![^\W_])[a-z0-9@$](?:(?:[ ._*|~+-])[a-z0-9@$](?![^\W_])){3,}")
_IDEOGRAPHS_APART: Final = re.compile(
    "[\u3400-\u9fff](?:[ ._*|~+/·-]{1,2}[\u3400-\u9fff](?![\u3400-\u9fff])){2,}"
)
_SEPARATORS: Final = re.compile(r"[ ._*|~+/·-]")
_PICTURE: Final = re.compile("[\u2190-\u21ff\u2300-\u23ff\u2460-\u27bf\u2900-\u2bff\U0001f000-\U0001faff]")
# From a word's start only: else each letter of a long run without spaces begins a search of the whole run.
_MIXED: Final = re.compile(r"(?<![^\W\d_])[^\W\d_]*(?:[a-z][\u0370-\u052f]|[\u0370-\u052f][a-z])[^\W\d_]*")
_LOOKALIKES: Final = str.maketrans("абвгдеікмнорстухѕјԛԝһоαβεικνορτυχ", "abbrdeikmhopctyxsjqwhoabeikvoptux")
_QUOTES: Final = str.maketrans("’‘“”。，！？；：（）、", "''\"\".,!?;:(),")
_SKIN: Final = ("light skin", "light skin", "medium skin", "dark skin", "dark skin")
_FILLER: Final = frozenset({"face", "with", "sign", "symbol", "emoji", "black", "white", "heavy"})


def normalise(text: str) -> str:
    """`text` in NFKC and lower case, without invisible characters; links, users and emoji become words.

    Letters set apart one by one are joined, letters of other alphabets that stand in for Latin ones
    replaced, drawn out ones cut to three. Never raises.
    """
    if "&" in text:
        text = unescape(text)
    plain = text.isascii()
    text = text.lower() if plain else INVISIBLE.sub("", normalize("NFKC", text)).casefold()
    text = _LINK.sub(" link ", text)
    if "@" in text:
        text = _USER.sub(" user ", text)
    text = _DRAWN_OUT.sub(r"\1\1\1", text)
    text = _APART.sub(_joined, text)
    if not plain:
        text = text.translate(_QUOTES)
        text = _IDEOGRAPHS_APART.sub(_joined, text)
        text = _MIXED.sub(lambda word: word[0].translate(_LOOKALIKES), text)
        text = _PICTURE.sub(lambda picture: _named(picture[0]), text)
    return _SPACES.sub(" ", text).strip()


def _joined(apart: re.Match[str]) -> str:
    return _SEPARATORS.sub("", apart[0])


@lru_cache(maxsize=8192)
def _named(picture: str) -> str:
    """The words that stand for an emoji: its Unicode name, less what says nothing."""
    code = ord(picture)
    if 0x1F1E6 <= code <= 0x1F1FF:  # half a flag
        return chr(code - 0x1F1E6 + ord("a"))
    if 0x1F3FB <= code <= 0x1F3FF:
        return f" {_SKIN[code - 0x1F3FB]} "
    words = re.split(r"[\s-]+", name(picture, "picture").lower())
    return f" {' '.join(w for w in words if w not in _FILLER) or picture} "
