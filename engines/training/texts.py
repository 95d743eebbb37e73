"""Posts from templates: choices, slots, then the untidiness of everyday writing."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Final
from zlib import crc32

from engines.training.phrases import POOLS, SLOTS
from engines.training.taxonomy import NEGATIVE, NEUTRAL, POSITIVE, UNKNOWN, Part, split_of

_TEXT_LABELS: Final = (
    "harassment", "violence", "self_harm", "illicit/drugs", "illicit/fraud", "spam/ads", "profanity",
)  # fmt: skip
_CHOICE: Final = re.compile(r"\{([^{}]*)\}")
_SLOT: Final = re.compile(r"<(\w+)>")
_SPACES: Final = re.compile(r"\s+")
_BEFORE: Final = re.compile(r"\s+([,.!?，。！？])")

# pool: weight, sentiment, labels that are 1, labels that are not annotated
_POOLS: Final[dict[str, tuple[float, int, tuple[str, ...], tuple[str, ...]]]] = {
    "positive": (24, POSITIVE, (), ()),
    "hard_positive": (5, POSITIVE, (), ()),
    "neutral": (24, NEUTRAL, (), ()),
    "hard_neutral": (5, NEUTRAL, (), ()),
    "negative": (24, NEGATIVE, (), ()),
    "hard_negative": (4, NEGATIVE, (), ()),
    "support": (1.5, UNKNOWN, (), ()),
    "harassment": (6, NEGATIVE, ("harassment",), ()),
    "violence": (7, NEGATIVE, ("violence",), ()),
    "self_harm": (5, NEGATIVE, ("self_harm",), ()),
    "illicit/drugs": (5, NEUTRAL, ("illicit/drugs",), ()),
    "illicit/fraud": (7, NEUTRAL, ("illicit/fraud",), ()),
    "spam/ads": (6, UNKNOWN, ("spam/ads",), ()),
    "profanity_negative": (4, NEGATIVE, ("profanity",), ()),
    "profanity_positive": (2, POSITIVE, ("profanity",), ()),
    "welcome": (2, POSITIVE, (), ("harassment",)),
    "unwelcome": (2, NEGATIVE, (), ("harassment",)),
}
_MORE_SWEARING: Final = [
    "the hell",
    "the fuck",
    "the heck",
    "hell yeah",
    "hell yes",
    "fuck yeah",
    "fuck yes",
    "damn right",
    "oh shit",
    "oh crap",
    "holy shit",
    "holy",
    "pissed off",
    "shitty",
    "crappy",
    "shitshow",
    "ffs",
    "this shit",
    "of shit",
    "of crap",
    "of bullshit",
    "goddamn",
    "他妈",
    "特么",
    "牛逼",
    "去他的",
    "破",
    "滚犊子的",
    "什么狗屁",
]
_FAMILY: Final = {"welcome": 0, "unwelcome": 1}


def lines(lang: str, pool: str) -> list[str]:
    """The templates of a pool."""
    return [line for line in POOLS[lang][pool].splitlines() if line]


def is_held_out(template: str) -> bool:
    """Whether a template is never trained on; about one in ten of each pool is not."""
    return template in _HELD_OUT


def render(rng: random.Random, template: str, lang: str) -> str:
    """One sentence from a template: choices from the inside out, then slots."""
    while "{" in template:
        template = _CHOICE.sub(lambda m: rng.choice(m[1].split("|")), template)
    filled = _SLOT.sub(lambda m: rng.choice(_FILLERS[lang][m[1]]), template)
    return _BEFORE.sub(r"\1", _SPACES.sub(" ", filled)).strip()


def posts(seed: int, count: int, pools: tuple[str, ...] | None = None) -> Iterator[Part]:
    """``count`` posts, half English and half Chinese; the same for the same seed."""
    rng = random.Random(f"texts {seed}")
    names = list(pools or _POOLS)
    weights = [_POOLS[name][0] for name in names]
    for _ in range(count):
        yield _post(rng, rng.choice(("en", "zh")), rng.choices(names, weights)[0])


def _post(rng: random.Random, lang: str, pool: str) -> Part:
    template = rng.choice(_TEMPLATES[lang, pool])
    held_out = is_held_out(template)
    _, sentiment, ones, unknown = _POOLS[pool]
    sentences = [render(rng, template, lang)]
    if "profanity" in ones and rng.random() < 0.4:  # the same without its swear words breaks no rule
        sentences = [_SWEARING.sub("", sentences[0]).strip(" ,，") or "ok"]
        ones = ()
    if rng.random() < 0.25:
        sentences.insert(rng.randrange(2), _companion(rng, lang, sentiment, held_out))
    if rng.random() < 0.2:
        sentences[0] = rng.choice(_FILLERS[lang]["oh"]) + rng.choice(" ,，") + sentences[0]
    text = _untidy(rng, sentences, lang, sentiment)
    labels = {name: int(name in ones) for name in _TEXT_LABELS if name not in unknown}
    if rng.random() < 0.05:
        labels.pop(rng.choice(sorted(labels)))
    split = "ood" if held_out else split_of(crc32(text.encode()))
    return Part(text, pool, sentiment, labels, _FAMILY.get(pool, 2), split, lang)


def _companion(rng: random.Random, lang: str, sentiment: int, held_out: bool) -> str:
    """A second sentence that changes neither sentiment nor labels."""
    pool = {NEGATIVE: "negative", POSITIVE: "positive"}.get(sentiment, "neutral")
    if rng.random() < 0.35:
        pool = "neutral"
    candidates = [t for t in _TEMPLATES[lang, pool] if held_out or not is_held_out(t)]
    return render(rng, rng.choice(candidates), lang)


def _untidy(rng: random.Random, sentences: list[str], lang: str, sentiment: int) -> str:
    """Join sentences the way people do: marks, emoji, capitals, missing apostrophes, stretched words."""
    strong = sentiment in (NEGATIVE, POSITIVE)
    ends = ("！", "。", "~", "！！", "") if lang == "zh" else ("!", ".", "", "!!", "...")
    plain = ("。", "", "。") if lang == "zh" else (".", "", ".")
    text = ""
    for sentence in sentences:
        if lang == "en" and rng.random() < 0.5:
            sentence = sentence[:1].upper() + sentence[1:]
        text += sentence + rng.choice(ends if strong else plain) + ("" if lang == "zh" else " ")
    if lang == "en":
        text = _untidy_english(rng, text, strong)
    if rng.random() < (0.25 if strong else 0.12):
        slot = {NEGATIVE: "gloom", POSITIVE: "joy"}.get(sentiment, "plain")
        text += rng.choice(_FILLERS[lang][slot]) * rng.choice((1, 1, 1, 2, 3))
    return text.strip()


def _untidy_english(rng: random.Random, text: str, strong: bool) -> str:
    if rng.random() < 0.3:
        text = text.replace("'", rng.choice(("’", "")))
    if rng.random() < (0.08 if strong else 0.03):
        text = text.upper()
    elif rng.random() < 0.06:
        text = re.sub(r"\bso\b", "s" + "o" * rng.randint(2, 4), text)
    elif rng.random() < 0.06:
        words = text.split()
        place = rng.randrange(len(words))
        words[place] = "#" + words[place].lstrip("#")
        text = " ".join(words) + " "
    return text


_FILLERS: Final = {
    lang: {name: values.split("|") for name, values in slots.items()} for lang, slots in SLOTS.items()
}
_TEMPLATES: Final = {(lang, pool): lines(lang, pool) for lang in POOLS for pool in POOLS[lang]}
_HELD_OUT: Final = frozenset(line for pool in _TEMPLATES.values() for line in pool[3::10])
_SWEARING: Final = re.compile(
    "|".join(
        rf"\b(?:{re.escape(word)})\b" if word.isascii() and word.isalpha() else re.escape(word)
        for lang in SLOTS
        for word in sorted([*_FILLERS[lang]["damn"], *_MORE_SWEARING], key=len, reverse=True)
    )
)
