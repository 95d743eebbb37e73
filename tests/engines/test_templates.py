"""Templates make many different, fully annotated sentences, each breach beside its harmless counterpart."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from engines.errors import EngineError
from engines.training.text.rows import LABELS
from engines.training.text.sentences import read
from engines.training.text.templates import FOLDER, LANGUAGES, filled, made

EACH = 30


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_language_has_templates_for_every_label_and_counterparts(lang: str) -> None:
    templates = [row.labels or {} for row in read(FOLDER / f"{lang}.tsv", lang)]
    assert len(templates) >= 110
    assert all(any(labels[label] for labels in templates) for label in LABELS)
    assert sum(not any(labels.values()) for labels in templates) >= len(templates) // 2


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_template_has_enough_fillings(lang: str) -> None:
    templates = Counter(row.text for row in read(FOLDER / f"{lang}.tsv", lang))
    rows = [row for row in made(0, EACH) if row.source == f"templates/{lang}"]
    assert max(templates.values()) == 1
    assert len(rows) >= 0.98 * EACH * len(templates)


def test_the_same_seed_makes_the_same_sentences_and_another_seed_others() -> None:
    assert made(1, 3) == made(1, 3)
    assert made(1, 3) != made(2, 3)


def test_sentences_are_whole_annotated_and_never_twice() -> None:
    rows = made(0, EACH)
    assert len({row.text for row in rows}) == len(rows)
    assert not [row.text for row in rows if set("{}|") & set(row.text)]
    assert all(row.labels is not None and set(row.labels) == set(LABELS) for row in rows)
    assert {row.weight for row in rows} == {0.6}


def test_a_slot_at_the_start_is_capitalised() -> None:
    text = filled("{group} are {kind}. {group} too", {"group": ["women"], "kind": ["kind"]}, _rng())
    assert text == "Women are kind. Women too"


def test_an_unknown_slot_is_named() -> None:
    with pytest.raises(EngineError, match="nobody"):
        filled("{nobody} knows", {"group": ["women"]}, _rng())


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)
