"""Spelling as people use it to slip past filters, or by accident: for training rows only."""

from __future__ import annotations

from typing import Final

import numpy as np

_LEET: Final = {"a": "@4", "e": "3", "i": "1!", "o": "0", "s": "$5", "t": "7", "l": "1", "b": "8", "g": "9"}
_HOMOPHONES: Final = {
    "微": "薇威v",
    "信": "芯",
    "加": "+伽",
    "钱": "米q",
    "傻": "煞沙",
    "他": "t",
    "妈": "m马",
    "死": "亖",
}
SHARE: Final = 0.15
"""How many rows are disturbed."""


def some(texts: list[str], random: np.random.Generator) -> list[str]:
    """The texts, `SHARE` of them disturbed."""
    hit = random.random(len(texts)) < SHARE
    return [disturb(t, random) if t and h else t for t, h in zip(texts, hit, strict=True)]


def disturb(text: str, random: np.random.Generator) -> str:
    """``text`` with one kind of noise: look-alikes, letters apart, slips of the finger, case, stars."""
    kind = random.integers(6)
    characters = list(text)
    if kind == 0:
        return "".join(_swap(c, random) for c in characters)
    if kind == 1:
        return _apart(text, random)
    if kind == 2:
        return text.upper() if random.random() < 0.5 else text.title()
    if kind == 3:
        return "".join(c for c in characters if c.isspace() or random.random() > 0.05)
    if kind == 4:
        return "".join(c * 3 if random.random() < 0.04 and c.isalpha() else c for c in characters)
    places = random.integers(len(characters), size=max(1, len(characters) // 25))
    for k in places:
        if 0 < k < len(characters) - 1 and characters[k].isalpha() and characters[k - 1].isalpha():
            characters[k] = str(random.choice(["*", characters[k - 1], characters[k] * 2, "."]))
    return "".join(characters)


def _swap(character: str, random: np.random.Generator) -> str:
    others = _LEET.get(character.lower()) or _HOMOPHONES.get(character)
    if not others or random.random() > 0.4:
        return character
    return others[int(random.integers(len(others)))]


def _apart(text: str, random: np.random.Generator) -> str:
    """One word, or stretch of ideographs, with a separator between its characters."""
    words = text.split(" ")
    k = int(random.integers(len(words)))
    if len(words) > 1 or text.isascii():
        words[k] = str(random.choice([" ", ".", "-", "*"])).join(words[k])
        return " ".join(words)
    start = int(random.integers(max(1, len(text) - 3)))
    stretch = text[start : start + 4]
    return text[:start] + str(random.choice([" ", "-", "*", "·"])).join(stretch) + text[start + 4 :]
