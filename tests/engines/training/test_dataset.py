"""Labelled events: any label set, media by path, groups in one split, and every fault by name."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engines.errors import EngineError
from engines.labels import Label, Labels
from engines.preprocess.spec import ImageSpec
from engines.training import dataset
from engines.training.dataset import SPLITS, join, load
from engines.training.media import pixels
from engines.training.taxonomy import UNKNOWN


def write(folder: Path, *lines: dict[str, Any] | str) -> Path:
    """A file of JSON lines."""
    path = folder / "events.jsonl"
    told = [line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines]
    path.write_text("\n".join(told) + "\n", encoding="utf-8")
    return path


def line(text: str = "hello there", sentiment: str | None = "neutral", **more: Any) -> dict[str, Any]:
    """A row; ``moderation`` and other fields of the row by keyword."""
    labels = {"sentiment": sentiment, "moderation": more.pop("moderation", {})}
    return {"text": text, "labels": labels | more.pop("labels", {}), **more}


def picture(path: Path, shade: int = 99) -> Path:
    """A small PNG."""
    Image.new("RGB", (8, 8), (shade, 0, 0)).save(path)
    return path


def test_labels_are_found_in_the_rows_with_the_modalities_they_were_annotated_on(tmp_path):
    picture(tmp_path / "a.png")
    data = load(write(
        tmp_path,
        line(moderation={"rude": 1, "lewd": None}),
        line("two", image="a.png", moderation={"meme": 1, "rude": 0}),
    ))  # fmt: skip
    assert data.labels.names == ("rude", "meme")
    assert data.labels.labels[0].evidence == (frozenset({"text"}),)
    assert data.labels.labels[1].evidence == (frozenset({"text", "image"}),)
    assert data.events.labels.tolist() == [[1, UNKNOWN], [0, 1]]


def test_declared_labels_refuse_others_and_guess_what_was_meant(tmp_path):
    path = write(tmp_path, line(moderation={"harasment": 1}))
    with pytest.raises(EngineError, match=r"line 1: unknown label harasment; did you mean harassment\?"):
        load(path, Labels((Label("harassment"), Label("hate"))))


def test_labels_yaml_beside_the_file_counts(tmp_path):
    Labels((Label("hate"), Label("spam"))).dump(tmp_path / "labels.yaml")
    assert load(write(tmp_path, line(moderation={"spam": 1}))).labels.names == ("hate", "spam")


def test_media_lie_relative_to_the_file_and_are_read_when_needed(tmp_path):
    (tmp_path / "media").mkdir()
    picture(tmp_path / "media" / "a.png")
    data = load(write(tmp_path, line(image="media/a.png"), line("b", image={"path": "media/a.png"})))
    assert data.events.rows[:, 1].tolist() == [0, 0]
    assert data.parts[1][0].content == tmp_path / "media" / "a.png"
    assert pixels(data.parts[1], ImageSpec(8, 8))[0].shape[2] == 3


def test_of_several_images_the_first_is_used_and_that_is_said(tmp_path):
    picture(tmp_path / "a.png"), picture(tmp_path / "b.png", 3)
    data = load(write(tmp_path, line(images=["b.png", "a.png"])))
    assert data.parts[1][0].content == tmp_path / "b.png"
    assert data.notes == ("1 row: several in `image`: the first is used",)


def test_all_broken_rows_are_named_at_once_with_their_remedies(tmp_path):
    path = write(
        tmp_path,
        line(),
        "not json",
        line(image="nowhere.png"),
        line(sentiment="angry"),
        line(lable=1),
        {"text": "  ", "labels": {"sentiment": "neutral"}},
        line(moderation={"rude": 2}),
        line(sentiment=None),
        line(split="holdout"),
        line(unimodal={"image": {"sentiment": "neutral"}}),
    )
    with pytest.raises(EngineError) as raised:
        load(path)
    told = str(raised.value)
    assert "9 rows cannot be read" in told
    for number, why in enumerate(
        ("not JSON", "no file", "sentiment", "lable", "neither text", "rude is 2", "nothing is annotated"), 2
    ):
        assert any(f"line {number}: " in x and why in x for x in told.splitlines())
    assert "--skip-broken" in told


@pytest.mark.parametrize("image", ["x" * 5000, "a\0b", ".", {"url": "https://a/b.png"}, 7, {"bytes": "?"}])
def test_no_name_of_a_medium_breaks_more_than_its_row(tmp_path, image):
    with pytest.raises(EngineError, match="line 1"):
        load(write(tmp_path, line(image=image)))


def test_half_a_character_breaks_its_row(tmp_path):
    with pytest.raises(EngineError, match="lone surrogate"):
        load(write(tmp_path, '{"text": "a \\ud83d b", "labels": {"sentiment": "neutral"}}'))


def test_where_nothing_is_left_the_first_reason_is_told(tmp_path):
    with pytest.raises(EngineError, match=r"no event to learn from.*not JSON"):
        load(write(tmp_path, "{"), skip_broken=True)


def test_broken_rows_are_left_out_on_request_and_counted(tmp_path):
    data = load(write(tmp_path, line(), "{", line("b")), skip_broken=True)
    assert len(data.events) == 2
    assert "1 broken row was left out" in data.notes[0]


def test_only_twenty_broken_rows_are_shown(tmp_path):
    with pytest.raises(EngineError, match="and 7 more"):
        load(write(tmp_path, *["{"] * 27))


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path):
    (tmp_path / "events.jsonl").write_bytes(
        b"\xef\xbb\xbf" + json.dumps(line()).encode() + b"\r\n\r\n" + json.dumps(line("x\u2028y")).encode()
    )
    assert len(load(tmp_path).events) == 2


def test_rows_of_one_group_lie_in_one_split_and_all_splits_are_filled(tmp_path):
    data = load(write(tmp_path, *(line(f"post {k}", group=f"g{k // 3}") for k in range(600))))
    splits = data.events.split.reshape(-1, 3)
    assert (splits == splits[:, :1]).all()
    shares = np.bincount(data.events.split, minlength=4)[:3] / 600
    assert np.abs(shares - [0.8, 0.1, 0.1]).max() < 0.06


def test_a_split_that_a_row_names_counts_under_its_usual_names(tmp_path):
    data = load(write(tmp_path, *(line(f"{x} text", split=x) for x in ("train", "dev", "test", "ood"))))
    assert [SPLITS[k] for k in data.events.split] == ["train", "calibrate", "test", "ood"]
    assert [part.split for part in data.parts[0]] == ["train", "calibrate", "test", "ood"]


def test_language_source_group_polarity_and_severity_are_kept(tmp_path):
    graded = {"polarity": -0.4, "severity": {"hate": 5}}
    row = line("x", None, lang="de", source="forum", group="g", labels=graded)
    events = load(write(tmp_path, row)).events
    assert (events.lang[0], events.source[0], events.group[0]) == ("de", "forum", "g")
    assert events.polarity[0] == np.float32(-0.4)
    assert events.sentiment[0] == 0
    assert events.severity[0].tolist() == [5]


def test_a_modality_alone_in_its_event_is_taught_what_the_event_says(tmp_path):
    picture(tmp_path / "a.png")
    data = load(write(
        tmp_path,
        line("alone", "negative", moderation={"rude": 1}),
        line("beside", "negative", image="a.png", moderation={"rude": 1}),
    ))  # fmt: skip
    alone, beside = data.parts[0]
    assert (alone.sentiment, alone.labels) == (0, {"rude": 1})
    assert (beside.sentiment, beside.labels) == (UNKNOWN, {})


def test_a_label_declared_for_one_modality_is_taught_to_it_in_any_event(tmp_path):
    picture(tmp_path / "a.png")
    rude = Label("rude", (frozenset({"text"}),))
    path = write(tmp_path, line(image="a.png", moderation={"rude": 1, "meme": 0}))
    data = load(path, Labels((rude, Label("meme"))))
    assert data.parts[0][0].labels == {"rude": 1}
    assert data.parts[1][0].labels == {}


def test_equal_content_is_one_part_unless_it_was_annotated_differently(tmp_path):
    same = (line("hm", "neutral"), line("hm", "neutral"), line("hm", "positive"))
    data = load(write(tmp_path, *same))
    assert data.events.rows[:, 0].tolist() == [0, 0, 1]
    assert len(set(data.events.split.tolist())) == 1


def test_what_cannot_be_decoded_is_named_with_its_row(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    data = load(write(tmp_path, line(image="a.png")))
    with pytest.raises(EngineError, match=r"line 1: a\.png: undecodable"):
        pixels(data.parts[1], ImageSpec(8, 8))


def test_joined_sets_have_the_labels_of_both_and_unknown_where_one_has_none(tmp_path):
    (tmp_path / "b").mkdir()
    first = load(write(tmp_path, line(moderation={"rude": 1})))
    second = load(write(tmp_path / "b", line("other", moderation={"hate": 0, "rude": 0})))
    both = join([first, second])
    assert both.labels.names == ("rude", "hate")
    assert both.events.labels.tolist() == [[1, UNKNOWN], [0, 0]]
    assert [both.parts[0][k].content for k in both.events.rows[:, 0]] == ["hello there", "other"]


def test_a_set_of_any_labels_survives_the_disk(tmp_path):
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "WEBP")
    (tmp_path / "a.webp").write_bytes(buffer.getvalue())
    graded = {"polarity": 0.5, "severity": {"rude": 3}}
    first = line(image="a.webp", lang="en", moderation={"rude": 1}, labels=graded)
    data = load(write(tmp_path, first, line("b", source="s")))
    data.save(tmp_path / "out")
    again = dataset.load(tmp_path / "out")
    for name in data.events.__slots__:
        assert np.array_equal(
            getattr(again.events, name), getattr(data.events, name), equal_nan=name == "polarity"
        )
    assert again.labels == data.labels


def test_an_empty_file_and_a_missing_one_say_so(tmp_path):
    with pytest.raises(EngineError, match="no event to learn from"):
        load(write(tmp_path, ""), form="jsonl")
    with pytest.raises(EngineError, match="nothing is there"):
        load(tmp_path / "nowhere")
