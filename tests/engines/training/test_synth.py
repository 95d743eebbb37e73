"""The generator: the same from the same seed, well-formed, and balanced where that matters."""

from __future__ import annotations

import re

import numpy as np
import pytest

from engines.errors import EngineError
from engines.training import dataset, drawings, sounds, synth, texts
from engines.training.dataset import SPLITS
from engines.training.phrases import POOLS, SLOTS
from engines.training.taxonomy import NAMES, UNKNOWN

SMALL = synth.Sizes(texts=3000, images=400, sounds=80, events=500, crossed=1200)


@pytest.fixture(scope="module")
def data() -> dataset.Dataset:
    return synth.generate(7, SMALL)


def test_the_same_seed_gives_the_same_parts_and_events(data):
    again = synth.generate(7, SMALL)
    assert again.parts == data.parts
    assert np.array_equal(again.events.rows, data.events.rows)
    assert np.array_equal(again.events.labels, data.events.labels)


def test_another_seed_gives_other_parts():
    assert list(texts.posts(1, 50)) != list(texts.posts(2, 50))
    assert list(drawings.images(1, 3)) != list(drawings.images(2, 3))
    assert list(sounds.sounds(1, 3)) != list(sounds.sounds(2, 3))


def test_neither_modality_alone_tells_hate_on_the_balanced_set(data):
    events = data.events.where(data.events.crossed)
    hate = events.labels[:, NAMES.index("hate")]
    for m in (0, 1):
        family = np.array([data.parts[m][row].factor for row in events.rows[:, m]])
        for value in (0, 1):
            assert 0.45 < hate[family == value].mean() < 0.55


def test_hate_is_told_by_text_and_image_together(data):
    events = data.events.where(data.events.crossed)
    text, image = (np.array([data.parts[m][row].factor for row in events.rows[:, m]]) for m in (0, 1))
    assert np.array_equal(events.labels[:, NAMES.index("hate")], text ^ image)


def test_no_part_lies_in_two_splits(data):
    for parts in data.parts:
        splits: dict[str | bytes, set[str]] = {}
        for part in parts:
            if part.split != "ood":
                splits.setdefault(part.content, set()).add(part.split)
        assert all(len(s) == 1 for s in splits.values())


def test_events_hold_only_parts_of_their_own_split(data):
    for row, split in zip(data.events.rows, data.events.split, strict=True):
        used = {data.parts[m][k].split for m, k in enumerate(row) if k >= 0}
        assert used == {SPLITS[split]}


def test_held_out_templates_appear_in_no_training_post(data):
    trained = {p.content for p in data.parts[0] if p.split == "train"}
    assert any(p.split == "ood" for p in data.parts[0])
    assert not trained & {p.content for p in data.parts[0] if p.split == "ood" and len(str(p.content)) > 25}


def test_a_label_without_annotation_stays_unknown(data):
    labels = [part.labels for part in data.parts[0]]
    assert any(len(own) < max(map(len, labels)) for own in labels)
    assert (data.events.labels == UNKNOWN).any()


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_template_renders_without_leftovers(lang):
    import random

    rng = random.Random(0)
    for pool in POOLS[lang]:
        for template in texts.lines(lang, pool):
            for _ in range(3):
                assert not re.search(
                    r"[{}<>|]", texts.render(rng, template, lang).replace("<3", "").replace(">:(", "")
                )


def test_every_slot_that_templates_name_exists():
    for lang, pools in POOLS.items():
        named = set(re.findall(r"<(\w+)>", "".join(pools.values())))
        assert named <= SLOTS[lang].keys()


def test_both_languages_have_the_same_pools():
    assert POOLS["en"].keys() == POOLS["zh"].keys()


def test_a_data_set_survives_the_disk(data, tmp_path):
    count = data.save(tmp_path, most=40)
    found = dataset.load(tmp_path)
    assert len(found.events) == count == 40
    assert np.array_equal(found.events.labels, data.events.labels[:40])
    assert np.array_equal(found.events.presence, data.events.presence[:40])
    first = data.events.rows[0]
    for m in range(3):
        if first[m] >= 0:
            assert found.parts[m][found.events.rows[0, m]].content == data.parts[m][first[m]].content


def test_a_broken_line_is_named(tmp_path):
    (tmp_path / "events.jsonl").write_text('{"text": "no labels", "split": "train"}\n')
    with pytest.raises(EngineError, match="line 1"):
        dataset.load(tmp_path)
