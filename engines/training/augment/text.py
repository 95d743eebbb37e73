"""Spelling as people type it by accident, or to slip past filters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from numpy.random import Generator

from engines.training.augment.variants import TO_SIMPLIFIED, TO_TRADITIONAL

SHARE: Final = 0.3
"""How many texts are changed."""
_LEET: Final = {
    "a": "@4", "b": "8", "e": "3€", "g": "9", "i": "1!", "l": "1|", "o": "0", "s": "$5", "t": "7+", "z": "2",
}  # fmt: skip
_LOOKALIKES: Final = {
    "a": "а",
    "c": "с",
    "e": "е",
    "i": "і",
    "o": "о",
    "p": "р",
    "s": "ѕ",
    "x": "х",
    "y": "у",
}
_NEAR: Final = {
    a: b
    for row in ("qwertyuiop", "asdfghjkl", "zxcvbnm")
    for a, b in zip(row, row[1:] + row[-2], strict=True)
}
_MARKS: Final = (" ", ".", "-", "*", "_", "\u200b")
# emoji that tell no mood: a smile would change the sentiment
_PLAIN: Final = "📌🔹📎🗓🕒📍🧾🖇🔖📷"
_WIDE: Final = {code: code + 0xFEE0 for code in range(0x21, 0x7F)} | {0x20: 0x3000}

Change = Callable[[str, Generator], str]


def disturb_text(text: str, random: Generator, share: float = SHARE) -> str:
    """``text``, or with the chance ``share`` the text after one change of `CHANGES`; never emptied."""
    if not text or random.random() >= share:
        return text
    names = tuple(CHANGES)
    return CHANGES[names[int(random.integers(len(names)))]](text, random) or text


def slips(text: str, random: Generator) -> str:
    """Slips of the finger in one letter of 25: left out, doubled, swapped with the next, the key beside."""
    out = list(text)
    for k in random.integers(len(out), size=max(1, len(out) // 25)):
        kind = int(random.integers(4))
        if kind == 0 and len(out) > 4:
            out[k] = ""
        elif kind == 1:
            out[k] *= 2
        elif kind == 2 and k + 1 < len(out):
            out[k], out[k + 1] = out[k + 1], out[k]
        else:
            out[k] = _NEAR.get(out[k].lower(), out[k])
    return "".join(out)


def leet(text: str, random: Generator) -> str:
    """Digits and signs in the place of two in five letters that have such."""
    return _swapped(text, _LEET, random)


def lookalikes(text: str, random: Generator) -> str:
    """Cyrillic letters in the place of two in five Latin ones that look the same."""
    return _swapped(text, _LOOKALIKES, random)


def spaced(text: str, random: Generator) -> str:
    """One word, or stretch of four characters where there are no words, with a mark between its letters."""
    mark = _MARKS[int(random.integers(len(_MARKS)))]
    words = text.split(" ")
    long = [k for k, word in enumerate(words) if 3 <= len(word) <= 20 and word.isascii()]
    if long:
        k = long[int(random.integers(len(long)))]
        words[k] = mark.join(words[k])
        return " ".join(words)
    start = int(random.integers(max(1, len(text) - 3)))
    return text[:start] + mark.join(text[start : start + 4]) + text[start + 4 :]


def wide(text: str, random: Generator) -> str:
    """Latin letters, digits and signs at full width, as Chinese keyboards write them."""
    del random
    return text.translate(_WIDE)


def emoji(text: str, random: Generator) -> str:
    """An emoji without mood somewhere between words, or at an end."""
    places = [0, len(text), *(k for k, c in enumerate(text) if c == " ")]
    k = places[int(random.integers(len(places)))]
    return text[:k] + _PLAIN[int(random.integers(len(_PLAIN)))] + text[k:]


def script(text: str, random: Generator) -> str:
    """Chinese in the other script: simplified to traditional, or back."""
    del random
    other = text.translate(TO_TRADITIONAL)
    return text.translate(TO_SIMPLIFIED) if other == text else other


def case(text: str, random: Generator) -> str:
    """All capitals, all small, or each word's first."""
    return (text.upper(), text.lower(), text.title())[int(random.integers(3))]


def _swapped(text: str, table: Mapping[str, str], random: Generator) -> str:
    chance = random.random(len(text))
    out = []
    for k, letter in enumerate(text):
        others = table.get(letter.lower())
        out.append(others[int(random.integers(len(others)))] if others and chance[k] < 0.4 else letter)
    return "".join(out)


CHANGES: Final[Mapping[str, Change]] = {
    "slips": slips, "leet": leet, "lookalikes": lookalikes, "spaced": spaced, "wide": wide, "emoji": emoji,
    "script": script, "case": case,
}  # fmt: skip
"""Every change by its name."""
