"""Near-duplicates: found in little time, kept in one split, dropped where a test set has them."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engines.errors import EngineError
from engines.preprocess.spec import AudioSpec, ImageSpec
from engines.training import neighbours
from engines.training.dataset import Dataset, load
from engines.training.enough import check
from engines.training.leaks import only, without
from engines.training.media import usable

LONG = "the staff were friendly, the room was clean and breakfast was far better than expected"


@pytest.mark.parametrize(
    "other",
    [
        LONG.upper() + "!!!",
        LONG.replace("clean", "cleen"),
        f"RT @someone {LONG} https://t.co/abc",
        LONG.replace(", ", " … "),
        "".join(chr(ord(c) + 0xFEE0) if "a" <= c <= "z" else c for c in LONG),
    ],
)
def test_copies_with_small_changes_are_one_group(other):
    assert neighbours.groups(["something else entirely", LONG, other]).tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("i love this phone", "i hate this phone"),
        ("今天天气真好我们去公园", "今天心情不好我们回家吧"),
        ("no", "now"),
        ("", "a"),
        ("😀", "😡"),
    ],
)
def test_what_says_something_else_is_not(one, other):
    assert neighbours.groups([one, other]).tolist() == [0, 1]


def test_chinese_copies_are_found():
    text = "房间很大很干净，服务员态度也很好，下次还会再来这里住"
    assert neighbours.groups([text, text.replace("下次", "以后"), "完全不同的一句话"]).tolist() == [0, 0, 2]


def test_an_empty_list_and_texts_without_letters_do_no_harm():
    assert len(neighbours.pairs([])) == 0
    assert neighbours.groups(["!!!", "", "!!!", "\ud800"]).tolist() == [0, 1, 0, 3]


def test_thousands_of_texts_take_little_time_and_their_copies_are_found():
    rng = random.Random(3)
    words = ["".join(rng.choices("abcdefghijklmnop", k=rng.randint(2, 8))) for _ in range(3000)]
    texts = [" ".join(rng.choices(words, k=rng.randint(6, 25))) for _ in range(4_500)]
    copies = [text[:-2] + "x" for text in texts[:500]]
    start = time.process_time()
    found = neighbours.groups([*texts, *copies])
    assert time.process_time() - start < 6
    assert (found[4_500:] == np.arange(500)).mean() > 0.95
    assert len(set(found[:4_500].tolist())) > 4_480


def write(folder: Path, rows: list[dict]) -> Path:
    """JSON lines in a new folder."""
    folder.mkdir()
    (folder / "events.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return folder


def row(text: str, label: int = 0, **more: str) -> dict:
    return {"text": text, "labels": {"sentiment": None, "moderation": {"rude": label}}, **more}


def texts(data: Dataset) -> set[str]:
    return {str(part.content) for part in data.parts[0]}


def test_near_duplicates_share_a_group_and_a_split(tmp_path):
    data = load(write(tmp_path / "a", [row(f"{LONG} {k}") for k in range(30)] + [row("another thing")]))
    assert len(set(data.events.group[:30])) == len(set(data.events.split[:30].tolist())) == 1
    assert data.events.group[30] != data.events.group[0]


def test_rows_that_share_an_image_share_a_group(tmp_path):
    folder = write(tmp_path / "a", [row(f"{k * 7919} is here", image="a.png") for k in range(5)])
    Image.new("RGB", (8, 8)).save(folder / "a.png")
    assert len(set(load(folder).events.group)) == 1


def test_training_rows_that_stand_in_the_test_set_are_dropped_with_their_parts(tmp_path):
    data = load(write(tmp_path / "a", [row(LONG), row("quite another thing", 1)]))
    test = only(load(write(tmp_path / "b", [row(LONG.upper(), 1)])), "test")
    left = without(data, test)
    assert texts(left) == {"quite another thing"}
    assert left.events.rows.tolist() == [[0, -1, -1]]
    assert left.notes == ("1 row: (nearly) the same stands in the test set: left out",)


def test_a_text_of_the_test_set_over_another_image_may_stay(tmp_path):
    sets = []
    for name, shade in (("a", 1), ("b", 200)):
        folder = write(tmp_path / name, [row(LONG, image="x.png")])
        Image.new("RGB", (8, 8), (shade, 0, 0)).save(folder / "x.png")
        sets.append(load(folder))
    assert len(without(sets[0], sets[1]).events) == 1
    assert len(without(sets[0], sets[0]).events) == 0


def test_only_puts_everything_into_one_split(tmp_path):
    data = only(load(write(tmp_path / "a", [row("one thing", split="train"), row("b", split="ood")])), "test")
    assert len(data.events.of("test")) == 2
    assert {part.split for part in data.parts[0]} == {"test"}


def test_events_with_broken_media_can_be_left_out(tmp_path):
    folder = write(tmp_path / "a", [row("fine"), row("broken one", image="x.png")])
    (folder / "x.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    left = usable(load(folder), ImageSpec(8, 8), AudioSpec(1.0))
    assert texts(left) == {"fine"}
    assert left.notes == ("1 row: a medium cannot be decoded: left out",)


def test_everything_that_is_missing_to_learn_from_is_said_at_once(tmp_path):
    rows = [
        {
            "text": f"{k * 7919} words",
            "split": "train",
            "labels": {"sentiment": "neutral", "moderation": {"one": 1, "few": int(k < 5)}},
        }
        for k in range(40)
    ]
    rows.append({"text": "last", "split": "ood", "labels": {"sentiment": None, "moderation": {"late": 1}}})
    with pytest.raises(EngineError) as raised:
        check(load(write(tmp_path / "a", rows)))
    told = str(raised.value)
    assert "sentiment has one class only" in told
    assert "`one` has one class only" in told
    assert "`few` has too few of a class: " in told
    assert "`late` is annotated in no training row" in told


def test_an_empty_split_is_said(tmp_path):
    with pytest.raises(EngineError, match="split `train` is empty"):
        check(only(load(write(tmp_path / "a", [row("x")])), "test"))


def test_enough_is_enough(tmp_path):
    rows = [row(f"{k * 7919} {k * 104729}", k % 2) for k in range(200)]
    check(load(write(tmp_path / "a", rows)))
