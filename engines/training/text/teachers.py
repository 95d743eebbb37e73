"""What other people's models say of the rows, mixed into the targets: sentiment and abuse."""

from __future__ import annotations

import re
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.training.text.rows import LABELS, Float32, Table

_SWEARING: Final = re.compile(
    r"\b\w*(?:fuck|shit)\w*|\bf\W?[*#@]{1,3}\W?k?\w*|\b(?:damn(?:ed|it)?|goddamn|hell|crap\w*|bastards?|bitch\w*"
    r"|ass(?:es|hole\w*)?|arse\w*|piss(?:ed)?|bollocks|bloody|wtf|stfu|dick\w*|cunts?|lmfao)\b"
    "|他妈|妈的|尼玛|你妈|卧槽|我操|我靠|傻[逼比叉缺]|[牛装苦]逼|煞笔|沙雕|[狗畜]东西|滚蛋|放屁|狗屁|屁话|tmd|cnm|nmsl|草泥马|王八蛋|混蛋|特么|滚粗|艹",
    re.IGNORECASE,
)
_MILD: Final = frozenset({"hell", "crap", "bloody", "ass", "沙雕", "牛逼"})
LEXICON: Final = 0.3
"""The share of VADER's opinion in an English sentiment that people annotated."""


def teach(rows: Table) -> Table:
    """The rows with teachers' opinions where people left something open; never on our own sentences.

    VADER (Hutto and Gilbert 2014) joins or replaces English sentiment, except where many people voted;
    alt-profanity-check gives harassment and, with a list of swear words, profanity.
    """
    english = np.flatnonzero((rows.lang == "en") & ~np.char.startswith(rows.source, "own"))
    _sentiment(rows, english[rows.source[english] != "hutto"])
    _abuse(rows, english)
    _profanity(rows, np.flatnonzero(~np.char.startswith(rows.source, "own")))
    return rows


def _sentiment(rows: Table, english: NDArray[np.intp]) -> None:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    score = SentimentIntensityAnalyzer().polarity_scores
    for k in english:
        opinion = _lexicon(score(rows.texts[k])["compound"])
        if rows.sentiment_weight[k] > 0:
            rows.sentiment[k] = (1 - LEXICON) * rows.sentiment[k] + LEXICON * opinion
        else:
            rows.sentiment[k], rows.sentiment_weight[k] = opinion, 0.4


def _lexicon(compound: float) -> Float32:
    """Soft classes of VADER's compound score, -1 to 1."""
    edge = 1 / (1 + np.exp(-8 * (abs(compound) - 0.25)))
    strong = 0.9 * edge
    chances = (strong, 1 - strong, 0.0) if compound < 0 else (0.0, 1 - strong, strong)
    return np.array(chances, np.float32) * 0.94 + 0.02


def _abuse(rows: Table, english: NDArray[np.intp]) -> None:
    from profanity_check import predict_prob

    opinions = np.round(predict_prob([rows.texts[k] for k in english]), 3).astype(np.float32)
    column = LABELS.index("harassment")
    for k, opinion in zip(english, opinions, strict=True):
        if rows.source[k] == "hatemoji":
            continue
        known = rows.label_weight[k, column] > 0.3
        rows.labels[k, column] = 0.6 * rows.labels[k, column] + 0.4 * opinion if known else 0.8 * opinion
        rows.label_weight[k, column] = max(rows.label_weight[k, column], 0.5)


def _profanity(rows: Table, places: NDArray[np.intp]) -> None:
    column = LABELS.index("profanity")
    for k in places:
        found = _SWEARING.findall(rows.texts[k])
        mild = all(word.lower() in _MILD for word in found)
        rows.labels[k, column] = 0.02 if not found else 0.7 if mild else 0.97
        rows.label_weight[k, column] = 0.6
