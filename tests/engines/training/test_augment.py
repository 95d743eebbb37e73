"""Augmentation changes inputs, not what they mean; the same seed makes the same; weights follow rarity."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from engines.labels import Label, Labels
from engines.training.augment import disturb_image, disturb_sound, disturb_text, image, random_of, sound, text
from engines.training.augment.variants import TO_SIMPLIFIED, TO_TRADITIONAL
from engines.training.dataset import Dataset, gather
from engines.training.taxonomy import Part
from engines.training.weights import known, positive_weights, sentiment_weights, taught

POST = "please send the parcel to my new address, thanks"
CHINESE = "请把包裹寄到我的新地址，谢谢"
RATE = 16_000


def picture() -> np.ndarray:
    """Something with edges and colours, uint8 [48, 64, 3]."""
    rng = np.random.default_rng(0)
    buffer = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    return np.asarray(buffer.resize((64, 48), Image.Resampling.NEAREST))


def tone(pitch: float, seconds: float = 1.0, loud: float = 6000) -> np.ndarray:
    """A sine as int16."""
    return (np.sin(np.arange(int(RATE * seconds)) * 2 * np.pi * pitch / RATE) * loud).astype(np.int16)


def loudness(wave: np.ndarray) -> float:
    return float(np.sqrt(np.mean(wave.astype(np.float64) ** 2)))


@pytest.mark.parametrize("name", text.CHANGES)
@pytest.mark.parametrize("post", [POST, CHINESE, "a", "😀", " "])
def test_a_changed_text_is_never_empty_and_the_same_for_the_same_seed(name, post):
    made = [text.CHANGES[name](post, random_of(1, 2, 3)) for _ in range(2)]
    assert made[0] == made[1]
    assert made[0]


def test_what_each_change_of_texts_does():
    rng = random_of(0, 0, 0)
    assert text.wide("ok 1", rng) == "ｏｋ　１"
    assert text.case(POST, rng).lower() == POST
    assert set(text.leet("eeeeeeeeee", rng)) > {"e"}
    assert not text.lookalikes("aceopxy" * 3, rng).isascii()
    assert text.slips(POST, rng) != POST
    assert len(text.emoji(POST, rng)) == len(POST) + 1
    spaced = text.spaced("thanks", rng)
    assert spaced[::2] == "thanks"
    assert len(set(spaced[1::2])) == 1


def test_chinese_goes_to_the_other_script_and_back():
    other = text.script("请问这个东西卖多少钱", random_of(0, 0, 0))
    assert other == "請問這個東西賣多少錢"
    assert text.script(other, random_of(0, 0, 0)) == "请问这个东西卖多少钱"
    assert len(TO_TRADITIONAL) == len(TO_SIMPLIFIED)
    assert not set(TO_TRADITIONAL) & set(TO_SIMPLIFIED)


def test_about_the_wanted_share_of_texts_is_changed():
    changed = sum(disturb_text(POST, random_of(1, 0, k), 0.5) != POST for k in range(300))
    assert 90 < changed < 180
    assert disturb_text(POST, random_of(1, 0, 0), 0.0) == POST
    assert disturb_text("", random_of(1, 0, 0), 1.0) == ""


@pytest.mark.parametrize("name", image.CHANGES)
def test_a_changed_image_keeps_its_size_and_differs(name):
    before = Image.fromarray(picture())
    after = image.CHANGES[name][1](before, random_of(1, 2, 3))
    assert (after.size, after.mode) == (before.size, "RGB")
    assert not np.array_equal(np.asarray(after), picture())


def test_an_image_is_changed_the_same_way_by_the_same_seed_only():
    made = [disturb_image(picture(), random_of(1, epoch, 5)) for epoch in (0, 0, 1)]
    assert made[0].shape == picture().shape
    assert np.array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])


def test_mirror_can_be_left_out():
    rows = np.zeros((32, 32, 3), np.uint8)
    rows[:, :8] = 255
    kept = [disturb_image(rows, random_of(0, 0, k), ("mirror",)) for k in range(12)]
    assert all(made[:, :6].mean() > made[:, -6:].mean() for made in kept)


def test_a_blur_smooths_and_jpeg_shows_its_blocks():
    before = Image.fromarray(picture())
    rough = [
        np.abs(np.diff(np.asarray(x, np.int16), axis=1)).mean()
        for x in (before, image.blur(before, random_of(0, 0, 1)))
    ]
    assert rough[1] < rough[0]
    buffer = io.BytesIO()
    image.jpeg(before, random_of(0, 0, 1)).save(buffer, "PNG")
    assert buffer.tell() > 0


@pytest.mark.parametrize("name", sound.CHANGES)
@pytest.mark.parametrize("length", [1, 7, 16_000])
def test_a_changed_sound_is_finite_and_of_about_its_length(name, length):
    wave = tone(440)[:length].astype(np.float32)
    made = sound.CHANGES[name][1](wave, RATE, random_of(1, 2, 3))
    assert np.isfinite(made).all()
    assert made.dtype == np.float32
    assert abs(len(made) - length) <= length * 0.12 + 1


def test_what_each_change_of_sounds_does():
    rng, wave = random_of(0, 0, 2), tone(440).astype(np.float32)
    assert len(sound.speed(wave, RATE, rng)) != len(wave)
    assert loudness(sound.band(tone(7000).astype(np.float32), RATE, rng)) < 10
    assert loudness(sound.band(wave, RATE, rng)) > 0.9 * loudness(wave)
    below = 20 * np.log10(loudness(wave) / loudness(sound.noise(wave, RATE, rng) - wave))
    assert 7 < below < 31
    assert (sound.shift(wave, RATE, rng) == 0).sum() > 50
    assert np.abs(sound.gain(tone(440, loud=32_000).astype(np.float32), RATE, rng)).max() <= 32_768


def test_a_sound_stays_within_the_window_and_repeats_with_its_seed():
    wave = tone(440)
    made = [disturb_sound(wave, RATE, random_of(4, 0, 0), most=RATE) for _ in range(2)]
    assert np.array_equal(*made)
    assert made[0].dtype == np.int16
    assert all(len(disturb_sound(wave, RATE, random_of(4, 0, k), most=RATE)) <= RATE for k in range(20))
    assert len(disturb_sound(wave[:0], RATE, random_of(4, 0, 0))) == 0


def test_silence_stays_nearly_silent():
    assert loudness(disturb_sound(np.zeros(RATE, np.int16), RATE, random_of(1, 0, 1))) < 5


def test_rare_positives_count_more_but_not_without_end():
    labels = np.array([[1, 1, -1, 0]] + [[0, 1, -1, 0]] * 9_999, np.int8)
    assert positive_weights(labels).tolist() == [10.0, 1.0, 1.0, 1.0]
    assert positive_weights(np.array([[1]] + [[0]] * 16, np.int8)).tolist() == [4.0]
    assert known(labels)[0].tolist() == [True, True, False, True]


def test_rare_sentiments_count_more_and_the_mean_is_one():
    sentiment = np.array([0] * 10 + [2] * 90 + [-1] * 5, np.int8)
    weights = sentiment_weights(sentiment)
    assert weights[0] == pytest.approx(3 * weights[2])
    assert weights[1] == 1
    assert (weights[0] * 10 + weights[2] * 90) / 100 == pytest.approx(1)
    assert sentiment_weights(np.array([-1], np.int8)).tolist() == [1, 1, 1]


def test_a_modality_is_taught_what_its_training_parts_show_both_ways():
    parts = ([Part("a", "", labels={"x": 1, "y": 1}), Part("b", "", labels={"x": 0}),
              Part("c", "", labels={"y": 0}, split="test")], [], [])  # fmt: skip
    data = Dataset(parts, gather([], [], [], [], []), Labels((Label("x"), Label("y"))))
    assert taught(data).tolist() == [[True, False], [False, False], [False, False]]
