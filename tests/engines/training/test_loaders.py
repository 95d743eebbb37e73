"""Layouts as people have them on disk: each is recognised, read as it is meant, and its faults are named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engines.errors import EngineError
from engines.training.dataset import SPLITS, Dataset, load
from engines.training.loaders import FORMS, Options, detect
from engines.training.taxonomy import NEGATIVE, NEUTRAL, POSITIVE, UNKNOWN

SENTENCES = Path(__file__).parents[3] / "engines" / "training" / "sentences"


def texts(data: Dataset) -> list[str]:
    """The text of each event."""
    return [str(data.parts[0][k].content) for k in data.events.rows[:, 0]]


def picture(path: Path) -> None:
    """A small JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(path)


def table(path: Path, *lines: str, encoding: str = "utf-8", end: str = "\n") -> Path:
    """A text file of these lines."""
    path.write_bytes((end.join(lines) + end).encode(encoding))
    return path


@pytest.mark.parametrize("name", ["posts.csv", "posts.tsv"])
def test_a_table_with_other_columns_is_told_which_it_has_and_which_are_wanted(tmp_path, name):
    path = table(tmp_path / name, "verdict,message", "1,hello")
    with pytest.raises(EngineError, match="it has verdict, message") as caught:
        load(path)
    assert "label" in caught.value.remedy
    assert "review" in caught.value.remedy


REVIEWS = ("label,review", "1,房间很大，服务也好", '0,"等了两小时,\n饭还是冷的"', "1,下次还来")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_chinese_reviews_are_read_in_any_usual_encoding(tmp_path, encoding, end):
    path = table(tmp_path / "ChnSentiCorp_htl_all.csv", *REVIEWS, encoding=encoding, end=end)
    assert detect(path) == "reviews"
    data = load(path)
    assert data.events.sentiment.tolist() == [POSITIVE, NEGATIVE, POSITIVE]
    assert texts(data)[1] == "等了两小时,\n饭还是冷的"
    assert set(data.events.lang) == {"zh"}
    assert len(data.labels) == 0


@pytest.mark.parametrize("header", ["label\ttext_a", "Label\tReview", "sentiment\tcontent", "标签\t评论"])
def test_headers_of_reviews_vary(tmp_path, header):
    data = load(table(tmp_path / "train.tsv", header, "1\t很好吃", "0\t太难吃了"))
    assert data.events.sentiment.tolist() == [POSITIVE, NEGATIVE]


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ("0 1 1", [NEGATIVE, POSITIVE, POSITIVE]),
        ("-1 0 1", [NEGATIVE, NEUTRAL, POSITIVE]),
        ("0 1 2", [NEGATIVE, NEUTRAL, POSITIVE]),
        ("Negative Neutral Positive", [NEGATIVE, NEUTRAL, POSITIVE]),
    ],
)
def test_what_numbers_mean_follows_from_which_there_are(tmp_path, values, wanted):
    rows = [f"{value},text number {k}" for k, value in enumerate(values.split())]
    assert load(table(tmp_path / "a.csv", "label,text", *rows)).events.sentiment.tolist() == wanted


def test_numbers_that_nobody_can_explain_ask_for_a_map(tmp_path):
    path = table(tmp_path / "moods.csv", "label,review", *(f"{k % 4},post {k}" for k in range(80)))
    with pytest.raises(EngineError, match=r"not understood.*--map"):
        load(path)
    told = Options(mapping={"0": "positive", "1": "negative", "2": "negative", "3": "negative"})
    assert load(path, options=told).events.sentiment[:2].tolist() == [POSITIVE, NEGATIVE]


def test_broken_rows_of_a_table_are_named_by_the_line_they_begin_at(tmp_path):
    path = table(tmp_path / "a.csv", *REVIEWS, "1,", "1,a,b", "7,was", '0,"never ends', "1,x")
    with pytest.raises(EngineError) as raised:
        load(path)
    told = str(raised.value)
    for number, why in ((6, "empty"), (7, "3 cells, the header has 2"), (8, "'7'"), (9, "quotes are broken")):
        assert f"line {number}: " in told and why in told  # noqa: PT018


def test_a_few_broken_bytes_break_their_row_and_not_the_encoding(tmp_path):
    data = table(tmp_path / "a.csv", *REVIEWS, *["1,这家店的东西不错"] * 9).read_bytes() + b"1,\xff\xfe bad\n"
    (tmp_path / "a.csv").write_bytes(data)
    with pytest.raises(EngineError, match="no text"):
        load(tmp_path / "a.csv")
    assert len(load(tmp_path / "a.csv", skip_broken=True).events) == 12


def test_a_folder_of_tables_takes_its_splits_from_their_names(tmp_path):
    for name in ("train", "dev", "test"):
        table(tmp_path / f"{name}.tsv", "label\ttext_a", f"1\tgood {name}", f"0\tbad {name}")
    data = load(tmp_path)
    assert {SPLITS[k] for k in data.events.split} == {"train", "calibrate", "test"}


def test_other_files_beside_the_tables_do_no_harm(tmp_path):
    table(tmp_path / "readme.txt", "Please cite us.")
    table(tmp_path / "all.csv", *REVIEWS, end="\r")
    assert len(load(tmp_path).events) == 3


def test_a_split_that_no_file_has_is_taken_from_train_and_that_is_said(tmp_path):
    table(tmp_path / "train.csv", "label,text", *(f"{k % 2},word{k} and {k * 7919}" for k in range(200)))
    table(tmp_path / "test.csv", "label,text", "1,held out")
    data = load(tmp_path)
    assert 5 < len(data.events.of("calibrate")) < 45
    assert texts(data)[-1] == "held out" or len(data.events.of("test")) == 1
    assert any("taken from `train`" in note for note in data.notes)
    told = load(tmp_path, to_learn=False)
    assert len(told.events.of("train")) == 200, "what was trained on is never held out to measure on"
    assert told.notes == ()


JIGSAW = "id,comment_text,toxic,severe_toxic,obscene,threat,insult,identity_hate"


def test_jigsaw_comments_get_our_labels(tmp_path):
    path = table(
        tmp_path / "train.csv", JIGSAW, 'a,"What a ""nice""\nday",0,0,0,0,0,0', "b,go away,1,0,1,1,1,0"
    )
    assert detect(path) == "toxicity"
    data = load(path)
    assert data.labels.names == ("profanity", "violence", "harassment", "hate")
    assert data.events.labels.tolist() == [[0, 0, 0, 0], [1, 1, 1, 0]]
    assert (data.events.sentiment == UNKNOWN).all()
    assert set(data.events.lang) == {"en"}


def test_the_map_of_jigsaw_can_be_overridden(tmp_path):
    path = table(tmp_path / "train.csv", JIGSAW, "a,hm,1,0,0,0,0,0", "b,hello,0,0,0,0,0,0")
    data = load(path, options=Options(mapping={"toxic": "harassment", "obscene": ""}))
    assert data.labels.names == ("harassment", "violence", "hate")
    assert data.events.labels[:, 0].tolist() == [1, 0]


def test_jigsaws_test_labels_are_joined_and_unscored_comments_left_out(tmp_path):
    table(tmp_path / "train.csv", JIGSAW, *(f"{k},comment {k * 7919},0,0,0,0,{k % 2},0" for k in range(60)))
    table(tmp_path / "test.csv", "id,comment_text", "x,scored one", "y,never scored")
    rest = JIGSAW.replace("comment_text,", "")
    table(tmp_path / "test_labels.csv", rest, "x,1,0,0,1,0,0", "y,-1,-1,-1,-1,-1,-1")
    data = load(tmp_path)
    test = data.events.of("test")
    assert len(test) == 1
    assert test.labels[0, data.labels.names.index("violence")] == 1
    assert any("no label was scored" in note for note in data.notes)


def test_a_sample_of_answers_is_not_taken_for_labels(tmp_path):
    table(tmp_path / "train.csv", JIGSAW, *(f"{k},comment {k * 7919},0,0,0,0,{k % 2},0" for k in range(9)))
    table(tmp_path / "test.csv", "id,comment_text", "x,who knows")
    table(
        tmp_path / "sample_submission.csv", JIGSAW.replace("comment_text,", ""), "x,0.5,0.5,0.5,0.5,0.5,0.5"
    )
    assert len(load(tmp_path).events) == 9


def test_comments_without_any_label_say_which_columns_there_may_be(tmp_path):
    with pytest.raises(EngineError, match="identity_hate"):
        load(table(tmp_path / "a.csv", "id,comment_text", "x,who knows"), form="toxicity")


def test_shares_of_annotators_become_labels_at_a_half(tmp_path):
    path = table(tmp_path / "a.csv", "id,target,comment_text,threat,insult", "1,0.9,a b c,0.5,0.49")
    assert load(path).events.labels.tolist() == [[1, 0]]


@pytest.fixture
def memes(tmp_path: Path) -> Path:
    """Hateful Memes in small."""
    lines = {
        "train": [
            {"id": k, "img": f"img/{k}.png", "label": k % 2, "text": f"meme {k * 7919}"} for k in range(6)
        ],
        "dev_seen": [{"id": 9, "img": "img/9.png", "label": 1, "text": "look how many"}],
        "dev_unseen": [{"id": 9, "img": "img/9.png", "label": 1, "text": "look how many"}],
        "test_seen": [{"id": 10, "img": "img/10.png", "text": "not told"}],
    }
    for k in (*range(6), 9, 10):
        (tmp_path / "img").mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), (k * 9, 0, 0)).save(tmp_path / "img" / f"{k}.png")
    for name, rows in lines.items():
        table(tmp_path / f"{name}.jsonl", *map(json.dumps, rows))
    return tmp_path


def test_hateful_memes_need_text_and_image(memes):
    assert detect(memes) == detect(memes / "train.jsonl") == "memes"
    data = load(memes)
    assert data.labels.names == ("hate/meme",)
    assert data.labels.labels[0].evidence == (frozenset({"text", "image"}),)
    assert len(data.events) == 7
    assert data.parts[0][0].labels == data.parts[1][0].labels == {}
    assert {note.split(": ", 1)[1] for note in data.notes} >= {
        "no label: left out", "the meme stands there already: left out"
    }  # fmt: skip


def test_a_meme_without_its_image_is_named_with_the_file_that_lacks(memes):
    (memes / "img" / "3.png").unlink()
    with pytest.raises(EngineError, match=r"train\.jsonl, line 4: there is no file .*3\.png"):
        load(memes)


@pytest.fixture
def mvsa(tmp_path: Path) -> Path:
    """MVSA-Multiple in small."""
    for k in range(1, 6):
        picture(tmp_path / "data" / f"{k}.jpg")
        (tmp_path / "data" / f"{k}.txt").write_bytes(f"caf\xe9 number {k} #tag".encode("latin-1"))
    table(
        tmp_path / "labelResultAll.txt",
        "ID\ttext,image\ttext,image\ttext,image",
        "1\tpositive,positive\tpositive,neutral\tneutral,neutral",
        "2\tnegative,positive\tnegative,positive\tnegative,positive",
        "3\tneutral,negative\tneutral,negative\tpositive,positive",
        "4\tneutral,positive\tpositive,neutral\tnegative,negative",
        "5\tneutral,neutral\tneutral,neutral\tneutral,neutral",
        end="\r\n",
    )
    return tmp_path


def test_mvsa_counts_majorities_and_leaves_contradictions_out(mvsa):
    assert detect(mvsa) == "mvsa"
    data = load(mvsa)
    assert data.events.sentiment.tolist() == [POSITIVE, NEGATIVE, NEUTRAL]
    assert data.notes == ("2 rows: annotators disagree: left out",)
    assert [part.sentiment for part in data.parts[0]] == [POSITIVE, NEUTRAL, NEUTRAL]
    assert texts(data)[0] == "café number 1 #tag"


def test_mvsa_names_labels_that_it_does_not_know(mvsa):
    table(mvsa / "labelResultAll.txt", "ID\ttext,image", "1\tgood,positive")
    with pytest.raises(EngineError, match=r"line 2: .*good"):
        load(mvsa)


SIMS = "video_id,clip_id,text,label,label_T,label_A,label_V,annotation,mode"


def sound(path: Path) -> None:
    """A short WAV."""
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros(800), 16_000)


def test_sims_has_what_modalities_say_alone_and_its_videos_stay_together(tmp_path):
    table(
        tmp_path / "label.csv", SIMS,
        "video_0001,0001,我不想嫁给李茶,-0.6,-1.0,-0.4,-1.0,Negative,train",
        "video_0001,0002,真好,0.8,1.0,0.0,1.0,Positive,valid",
        "video_0002,0001,嗯,0.0,,,,Neutral,test",
    )  # fmt: skip
    for clip in ("video_0001/0001", "video_0001/0002", "video_0002/0001"):
        sound(tmp_path / "wav" / f"{clip}.wav")
    assert detect(tmp_path) == "clips"
    data = load(tmp_path)
    assert data.events.polarity.tolist() == pytest.approx([-0.6, 0.8, 0.0])
    assert data.events.sentiment.tolist() == [NEGATIVE, POSITIVE, NEUTRAL]
    assert [SPLITS[k] for k in data.events.split] == ["train", "calibrate", "test"]
    assert data.events.group[0] == data.events.group[1] != data.events.group[2]
    assert [part.sentiment for part in data.parts[2]] == [NEGATIVE, NEUTRAL, UNKNOWN]
    assert set(data.events.lang) == {"zh"}


def test_mosi_is_graded_to_three_and_its_clips_may_lie_beside_each_other(tmp_path):
    table(
        tmp_path / "label.csv", SIMS,
        "03bSnISJMiM,1,ANYHOW IT WAS REALLY GOOD,2.4,,,,Positive,train",
        "03bSnISJMiM,10,THEY COULD HAVE DONE BETTER,-3,,,,Negative,test",
    )  # fmt: skip
    for clip in ("03bSnISJMiM_1", "03bSnISJMiM_10"):
        sound(tmp_path / "wav" / f"{clip}.wav")
    data = load(tmp_path)
    assert data.events.polarity.tolist() == pytest.approx([0.8, -1.0])
    assert data.events.presence.tolist() == [5, 5]


def test_clips_without_their_sounds_and_grades_off_the_scale_are_named(tmp_path):
    table(tmp_path / "label.csv", SIMS, "v,1,a,1.5,,,,,train", "v,2,b,4,,,,,train", "v,3,c,x,,,,,train")
    sound(tmp_path / "wav" / "v" / "2.wav"), sound(tmp_path / "wav" / "v" / "3.wav")
    with pytest.raises(EngineError) as raised:
        load(tmp_path)
    told = str(raised.value)
    assert "line 2: there is no" in told
    assert "line 3: label is 4" in told
    assert "line 4: label is 'x'" in told


def test_our_sentences_name_every_label_that_holds(tmp_path):
    (tmp_path / "zh").mkdir()
    table(
        tmp_path / "zh" / "moderation.tsv", "sentiment\tlabels\ttext",
        '-\tharassment,profanity\t你 "真" 蠢', "0\tspam/ads\t加微信领券", "+\t.\t今天真开心",
    )  # fmt: skip
    assert detect(tmp_path) == "sentences"
    data = load(tmp_path)
    assert data.labels.names == ("harassment", "profanity", "spam/ads")
    assert data.events.labels.tolist() == [[1, 1, 0], [0, 0, 1], [0, 0, 0]]
    assert texts(data)[0] == '你 "真" 蠢'
    assert (data.events.lang[0], data.events.source[0]) == ("zh", "moderation")


def test_the_sentences_that_ship_can_be_read():
    data = load(SENTENCES)
    assert set(data.events.lang) == {"en", "zh"}
    assert (data.events.labels == 1).sum(axis=0).min() > 50


def test_a_layout_that_nobody_knows_is_answered_with_those_there_are(tmp_path):
    path = table(tmp_path / "a.txt", "x,y", "1,2")
    with pytest.raises(EngineError, match="not recognised") as raised:
        load(path)
    assert all(name in str(raised.value) for name in FORMS)
    with pytest.raises(EngineError, match="no such layout"):
        load(path, form="parquet")
    with pytest.raises(EngineError, match="lacks its columns"):
        load(path, form="reviews")
