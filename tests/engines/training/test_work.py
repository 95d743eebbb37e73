"""Kept results: whole or not there, the same after reading, under a digest of all that decided them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engines.errors import EngineError
from engines.training.dataset import Dataset, made
from engines.training.rows import Row
from engines.training.work import Work, digest, load, ragged, rows_of, save


def data(text: str = "one", **more) -> Dataset:
    return made([Row("a", {"text": text}, split="train", **more), Row("b", {"text": "other"}, split="test")])


def test_a_result_is_under_all_that_decided_it(tmp_path):
    work = Work(tmp_path)
    assert work.place("head", 1, "a") == work.place("head", 1, "a")
    assert work.place("head", 1, "a") != work.place("head", 1, "b")
    assert work.place("head", 1) != work.place("tower", 1)


@pytest.mark.parametrize("rows", [[], [[1, 2, 3]], [[1], [], [2, 3]]])
def test_rows_of_different_lengths_come_back(tmp_path, rows):
    arrays = [np.array(row, np.int32) for row in rows]
    save(tmp_path / "x.safetensors", ragged("ids", arrays, np.empty(0, np.int32)))
    found = load(tmp_path / "x.safetensors")
    assert found is not None
    assert [row.tolist() for row in rows_of(found, "ids")] == rows


def test_what_is_not_there_is_none_and_what_is_damaged_is_named(tmp_path):
    path = tmp_path / "x.safetensors"
    assert load(path) is None
    path.write_bytes(b"half of it")
    with pytest.raises(EngineError, match="Remove this file"):
        load(path)


def test_the_digest_of_data_follows_texts_annotations_and_labels():
    one = data(sentiment=1)
    assert digest(one) == digest(data(sentiment=1))
    assert digest(one) != digest(data("two", sentiment=1))
    assert digest(one) != digest(data(sentiment=2))
    renamed = replace(one, events=replace(one.events, split=one.events.split[::-1].copy()))
    assert digest(one) != digest(renamed)
