"""Stickers with a stand-in font: Pillow's own has letters, which is all that laying and splitting need."""

import sys
from pathlib import Path

import pytest
from PIL import Image, ImageFont

from engines.errors import EngineError
from engines.preprocess.image import ImageLimits, decode_image
from engines.preprocess.spec import ImageSpec
from engines.training import emoji
from engines.training.emoji import Emoji, Sprites, divide, noto, read_table
from engines.training.grounds import LEARNT, PHOTOGRAPHS, UNSEEN, Grounds, need_photographs, photographs
from engines.training.stickers import PALE, stickers
from engines.training.taxonomy import NEGATIVE, NEUTRAL, POSITIVE

LETTERS = divide(
    [Emoji(sign, feeling, "face") for feeling, signs in
     ((NEGATIVE, "ABCDEFGHIJ"), (NEUTRAL, "KLMNOPQRST"), (POSITIVE, "UVWXYZabcd")) for sign in signs]
)  # fmt: skip


@pytest.fixture(scope="module")
def letters() -> Sprites:
    font = ImageFont.load_default(emoji.SIZE)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return Sprites(font)


@pytest.fixture(scope="module")
def parts(letters):
    return list(stickers(letters, LETTERS, 5, 200))


def test_the_table_has_many_signs_of_each_feeling_and_none_twice():
    table = read_table()
    assert len({own.sign for own in table}) == len(table)
    counts = [sum(own.sentiment == feeling for own in table) for feeling in (NEGATIVE, NEUTRAL, POSITIVE)]
    assert min(counts) >= 70
    assert sum(own.sentiment != NEUTRAL for own in table) >= 150


def test_one_in_five_signs_of_each_feeling_is_never_learnt():
    for feeling in (NEGATIVE, NEUTRAL, POSITIVE):
        own = [sign for sign in read_table() if sign.sentiment == feeling]
        assert 0.15 < sum(sign.split == "ood" for sign in own) / len(own) < 0.25
        assert any(sign.split == "calibrate" for sign in own)


def test_a_broken_line_of_a_table_is_named(tmp_path: Path):
    path = tmp_path / "emoji.tsv"
    path.write_text("emoji\tsentiment\tkind\n😀\tpositive\tface\n😡\tangry\tface\n", "utf-8")
    with pytest.raises(EngineError) as caught:
        read_table(path)
    assert "line 3" in str(caught.value)


def test_a_missing_font_is_answered_with_the_package_to_install(tmp_path: Path):
    with pytest.raises(EngineError) as caught:
        noto(tmp_path / "NotoColorEmoji.ttf")
    assert "fonts-noto-color-emoji" in str(caught.value)


def test_a_file_that_is_no_font_is_named(tmp_path: Path):
    path = tmp_path / "NotoColorEmoji.ttf"
    path.write_bytes(b"no font")
    with pytest.raises(EngineError) as caught:
        noto(path)
    assert str(path) in str(caught.value)


def test_signs_that_a_font_lacks_are_left_out_and_a_font_of_none_is_refused(letters):
    absent = Emoji("\U0001f600", POSITIVE, "face")
    assert letters.able([*LETTERS[:3], absent]) == LETTERS[:3]
    with pytest.raises(EngineError):
        letters.able([absent])


def test_the_same_seed_gives_the_same_pictures(letters, parts):
    assert list(stickers(letters, LETTERS, 5, 40)) == parts[:40]
    assert list(stickers(letters, LETTERS, 6, 40)) != parts[:40]


def test_every_picture_decodes_as_serving_decodes_it(parts):
    for part in parts[:30]:
        assert decode_image(part.read(), ImageSpec(64, 64), ImageLimits())[0].shape == (64, 64, 3)


def test_all_feelings_and_splits_occur_and_bare_grounds_are_neutral(parts):
    for split in ("train", "calibrate", "test", "ood"):
        assert {part.sentiment for part in parts if part.split == split} == {NEGATIVE, NEUTRAL, POSITIVE}
    assert {part.sentiment for part in parts if part.kind == PALE} == {NEUTRAL}
    assert all(part.labels == {"violence/graphic": 0, "spam/ads": 0} for part in parts)


def test_training_shows_neither_held_out_signs_nor_held_out_grounds(letters, monkeypatch):
    shown: list[tuple[str, set[str], tuple[object, ...]]] = []

    def spy(rng, source):
        own = make(rng, source)
        shown.append((own.kind, {sign.split for sign in source.signs}, tuple(source.grounds.painters)))
        return own

    from engines.training import stickers as module

    make = module.picture
    monkeypatch.setattr(module, "picture", spy)
    made = list(stickers(letters, LETTERS, 1, 60))
    for part, (_, splits, painters) in zip(made, shown, strict=True):
        if part.split == "train":
            assert splits == {"train"}
            assert painters == LEARNT
        if part.split == "test":
            assert splits == {"train"}
            assert painters == UNSEEN
        if part.split == "ood":
            assert splits == {"ood"}


@pytest.mark.parametrize("painter", {*LEARNT, *UNSEEN}, ids=lambda painter: painter.__name__)
def test_each_ground_fills_its_square(painter):
    import random

    image = Grounds([painter]).paint(random.Random(0), 48)
    assert image.size == (48, 48)
    assert image.mode == "RGB"


def test_photographs_are_cut_square():
    import random

    whole = Image.new("RGB", (90, 40), "red")
    assert Grounds((), [whole]).photograph(random.Random(0), 32).size == (32, 32)


@pytest.mark.parametrize(("package", "extra"), [("skimage", "pictures"), ("sklearn", "train")])
def test_photographs_that_are_missing_are_none_to_lay_on_but_refused_where_a_recipe_names_them(
    package, extra, monkeypatch
):
    pytest.importorskip("sklearn")
    monkeypatch.setitem(sys.modules, package, None)
    everything = len(PHOTOGRAPHS["sklearn"][1]) + len(PHOTOGRAPHS["skimage"][1])
    assert len(photographs(held_out=False)) + len(photographs(held_out=True)) < everything
    with pytest.raises(EngineError, match=rf"tidegate\[{extra}\]"):
        need_photographs()


def test_photographs_that_are_all_there_are_enough():
    pytest.importorskip("sklearn")
    pytest.importorskip("skimage")
    need_photographs()


def test_noto_has_the_whole_table_where_it_is_installed():
    try:
        font = noto()
    except EngineError:
        pytest.skip("fonts-noto-color-emoji is not installed")
    table = read_table()
    assert Sprites(font).able(table) == table
