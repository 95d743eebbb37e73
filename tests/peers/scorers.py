"""Bundles, and the libraries that people would install instead, asked the same questions in one run."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.batch import Batch, Example, Outputs
from engines.engine import open_engine
from engines.preprocess.text import text_encoder
from engines.training.text.rows import LABELS

Array = NDArray[Any]
EVENTS: Final = 256
"""Texts in a batch: as many as `tidegate score` takes at a time."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What is said of n texts; None or absent where the scorer has no such answer.

    ``classes`` int [n], 0 negative, 1 neutral, 2 positive; ``polarity`` float [n], more is more positive;
    ``chances`` float [n] by label; ``breach`` float [n]: that the text breaks any rule.
    """

    classes: Array | None = None
    polarity: Array | None = None
    chances: Mapping[str, Array] | None = None
    breach: Array | None = None


@dataclass(frozen=True, slots=True)
class Scorer:
    """Something that answers for texts of some languages; ``what`` says exactly what it is."""

    name: str
    what: str
    langs: tuple[str, ...]
    ask: Callable[[Sequence[str]], Answers]


def bundle(source: str, backend: str = "auto", precision: str = "auto") -> Scorer:
    """A bundle through the engine that serves it; raises BundleError or EngineError."""
    engine = open_engine(source, backend=backend, precision=precision, contributions=False)
    encode = text_encoder(engine.preprocess.text).encode
    info = engine.info

    def ask(texts: Sequence[str]) -> Answers:
        examples = [Example(encode(text).channels) for text in texts]
        parts = [examples[start : start + EVENTS] for start in range(0, len(examples), EVENTS)]
        return answers([engine.infer(Batch.of(part)) for part in parts])

    def answers(parts: Sequence[Outputs]) -> Answers:
        sentiment = np.concatenate([part.sentiment for part in parts])
        moderation = np.concatenate([part.moderation for part in parts])
        known = ~np.isnan(moderation).any(axis=0)  # what needs an image or a sound has no answer here
        chances = {name: moderation[:, k] for k, name in enumerate(engine.labels.names) if known[k]}
        breach = moderation[:, known].max(axis=1) if known.any() else None
        return Answers(sentiment.argmax(axis=1), sentiment[:, 2] - sentiment[:, 0], chances, breach)

    what = f"{info.bundle} {info.version}, digest {info.digest[:12]}, {info.engine} {info.precision}"
    return Scorer(source, what, ("en", "zh"), ask)


def vader() -> Scorer:
    """VADER (Hutto and Gilbert 2014), with its authors' thresholds for three classes."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    score = SentimentIntensityAnalyzer().polarity_scores

    def ask(texts: Sequence[str]) -> Answers:
        polarity = np.array([score(text)["compound"] for text in texts])
        return Answers(three_way(polarity, -0.05, 0.05), polarity)

    return Scorer(
        "VADER", _package("vaderSentiment", "classes cut at ±.05, as its authors say"), ("en",), ask
    )


def snownlp() -> Scorer:
    """SnowNLP's naive Bayes; its answer is a probability of positive, cut into three here."""
    from snownlp import SnowNLP

    def ask(texts: Sequence[str]) -> Answers:
        polarity = np.array([SnowNLP(text).sentiments for text in texts])
        return Answers(three_way(polarity, 0.4, 0.6), polarity)

    return Scorer("SnowNLP", _package("snownlp", "classes cut at .4 and .6"), ("zh",), ask)


def profanity_check() -> Scorer:
    """alt-profanity-check: one probability of being offensive, which stands for every label."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its model was pickled by an earlier scikit-learn
        from profanity_check import predict_prob

    def ask(texts: Sequence[str]) -> Answers:
        chance = np.asarray(predict_prob(list(texts)), np.float64)
        return Answers(chances=dict.fromkeys(LABELS, chance), breach=chance)

    what = _package("alt-profanity-check", "its one probability stands for every label")
    return Scorer("alt-profanity-check", what, ("en",), ask)


PEERS: Final = (vader, snownlp, profanity_check)


def three_way(score: Array, low: float, high: float) -> Array:
    """Int [n]: 0 at ``low`` or under, 2 at ``high`` or over, 1 between."""
    return np.where(score <= low, 0, np.where(score >= high, 2, 1))


def _package(name: str, how: str) -> str:
    return f"{name} {version(name)}, {how}"
