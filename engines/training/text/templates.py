"""Sentences made from templates with counterparts: the same words with and without a breach of the rules.

After the functional tests of HateCheck (Röttger et al. 2021) and Multilingual HateCheck (2022), in our words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final
from zlib import crc32

import numpy as np

from engines.errors import EngineError
from engines.training.text.rows import Row
from engines.training.text.sentences import read

FOLDER: Final = Path(__file__).parent.parent / "templates"
LANGUAGES: Final = ("en", "zh")
WEIGHT: Final = 0.6
"""What a made sentence counts beside a written one: its wording repeats."""
Words = Mapping[str, Sequence[str]]
_SLOT: Final = re.compile(r"\{([^{}]*)\}")
_OPENING: Final = re.compile(r"(^|[.!?] )([a-z])")
_TRIES: Final = 20


def made(seed: int, each: int) -> list[Row]:
    """Up to ``each`` different sentences of every template, the same for the same seed; no text twice.

    Raises EngineError for a template that is no annotated line or has an unknown slot.
    """
    rows: dict[str, Row] = {}
    for lang in LANGUAGES:
        choices = words(FOLDER / "words.tsv", lang)
        for template in read(FOLDER / f"{lang}.tsv", lang):
            # A generator for each template: a new line leaves the sentences of all others as they were.
            rng = np.random.default_rng([seed, crc32(template.text.encode())])
            for text in _sentences(template.text, choices, each, rng):
                rows.setdefault(text, replace(template, text=text, source=f"templates/{lang}", weight=WEIGHT))
    return list(rows.values())


def words(path: Path, lang: str) -> Words:
    """What may fill each slot of a language, from lines ``lang<TAB>slot<TAB>one|two|…``."""
    lines = [line.split("\t") for line in path.read_text("utf-8").splitlines()[1:]]
    return {slot: options.split("|") for of, slot, options in lines if of == lang}


def filled(template: str, choices: Words, rng: np.random.Generator) -> str:
    """One sentence: ``{slot}`` becomes one of its words, ``{this|that}`` one of these, innermost first."""

    def pick(found: re.Match[str]) -> str:
        options = found[1].split("|") if "|" in found[1] else choices.get(found[1])
        if not options:
            raise EngineError(
                "A template has an unknown slot",
                where=f"template {template!r}",
                why=f"{{{found[1]}}} is neither a choice nor one of {', '.join(sorted(choices))}",
                remedy="Write {one|two}, or add the slot to templates/words.tsv",
            )
        return options[int(rng.integers(len(options)))]

    text = template
    while _SLOT.search(text):
        text = _SLOT.sub(pick, text)
    return _OPENING.sub(lambda found: found[1] + found[2].upper(), text).strip()


def _sentences(template: str, choices: Words, each: int, rng: np.random.Generator) -> list[str]:
    """``each`` different fillings, or fewer where the template has no more."""
    texts: dict[str, None] = {}
    for _ in range(each * _TRIES):
        if len(texts) == each:
            break
        texts[filled(template, choices, rng)] = None
    return list(texts)
