"""What the fusion of the shipped bundles learns from, is calibrated on and is judged by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from engines.training import dataset, rows, sounds, texts
from engines.training.compose import Amounts, compose
from engines.training.dataset import SPLITS, Dataset, Events
from engines.training.release.labels import CROSSED, LABELS
from engines.training.taxonomy import UNKNOWN, Part
from engines.training.text import sentences
from engines.training.text.held import labelled
from engines.training.text.learn import Corpus
from engines.training.text.rows import LABELS as TEXT_LABELS
from engines.training.text.rows import Table
from engines.training.voices import Voice

FAMILIES: Final = 6_000
"""Generated texts of the two families that matter with a picture."""
SOUNDS: Final = 3_000
AMOUNTS: Final = Amounts(events=26_000, crossed=10_000, source="composed")


def gathered(
    corpus: Corpus, images: Sequence[Part], voices: Sequence[Voice], judged: Path | None, seed: int
) -> Dataset:
    """Parts of all modalities; events of two or three of them for the fusion, and every text that was held
    out alone. ``judged`` is a folder of sentences (``en.tsv``, ``zh.tsv``) by other writers: the split ood.
    """
    held = [*corpus.held, *(_judged(judged) if judged else ())]
    alone = [_part(row) for row in held]
    families = list(texts.posts(~seed, FAMILIES, ("welcome", "unwelcome")))
    spoken = [Part(Path(voice.where), "voice", voice.sentiment) for voice in voices]
    parts = (
        [*alone, *_own(corpus.own), *_own(corpus.brief), *families],
        list(images),
        [*sounds.sounds(seed, SOUNDS), *spoken],
    )
    composed = compose(parts, LABELS, CROSSED, AMOUNTS, seed)
    events = [composed, _alone(held)]
    joined = Events(*(np.concatenate([getattr(own, name) for own in events]) for name in Events.__slots__))
    return Dataset(parts, joined, LABELS)


def _judged(folder: Path) -> Iterator[rows.Row]:
    for path in sorted(folder.glob("??.tsv")):
        found = labelled(list(sentences.read(path, path.stem)), "ood")
        for row in found:
            row.source = f"everyday/{path.stem}"
        yield from found


def _part(row: rows.Row) -> Part:
    return Part(
        str(row.content["text"]), row.source, row.sentiment, row.moderation, split=row.split, lang=row.lang
    )


def _own(own: Table) -> Iterator[Part]:
    for k, text in enumerate(own.texts):
        marks = {name: int(own.labels[k, c] > 0.5) for c, name in enumerate(TEXT_LABELS)}
        yield Part(text, str(own.source[k]), int(own.sentiment[k].argmax()), marks, lang=str(own.lang[k]))


def _alone(held: Sequence[rows.Row]) -> Events:
    """An event of each held-out text, the first parts of all."""
    return dataset.gather(
        [(k, -1, -1) for k in range(len(held))],
        [row.sentiment for row in held],
        [[row.moderation.get(name, UNKNOWN) for name in LABELS.names] for row in held],
        [SPLITS.index(row.split) for row in held],
        [False] * len(held),
        lang=[row.lang for row in held],
        source=[row.source for row in held],
    )
