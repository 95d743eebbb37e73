import io
import struct

import librosa
import numpy as np
import pytest
import soundfile

from engines.errors import MediaError
from engines.preprocess.audio import AudioLimits, decode_audio
from engines.preprocess.spec import AudioSpec

SPEC = AudioSpec(seconds=3.0)
LIMITS = AudioLimits()


def tone(rate, seconds, channels=1, seed=0):
    rng = np.random.default_rng(seed)
    time = np.arange(round(rate * seconds)) / rate
    wave = 0.4 * np.sin(2 * np.pi * 440 * time) + 0.05 * rng.standard_normal(len(time))
    return np.stack([wave * (1 - 0.3 * k) for k in range(channels)], axis=1).astype(np.float32)


def saved(wave, rate, kind="WAV", subtype=None):
    buffer = io.BytesIO()
    soundfile.write(buffer, wave, rate, format=kind, subtype=subtype)
    return buffer.getvalue()


def reason(data, limits=LIMITS):
    with pytest.raises(MediaError) as caught:
        decode_audio(data, SPEC, limits)
    return caught.value.reason


@pytest.mark.parametrize(
    ("rate", "channels", "kind", "subtype"),
    [
        (8_000, 1, "WAV", "PCM_16"),
        (16_000, 1, "WAV", "PCM_16"),
        (22_050, 2, "WAV", "PCM_24"),
        (44_100, 2, "WAV", "FLOAT"),
        (48_000, 1, "WAV", "DOUBLE"),
        (96_000, 2, "WAV", "PCM_32"),
        (11_025, 1, "WAV", "PCM_U8"),
        (8_000, 1, "WAV", "ULAW"),
        (44_100, 2, "FLAC", "PCM_16"),
        (96_000, 6, "FLAC", "PCM_24"),
        (44_100, 2, "OGG", "VORBIS"),
        (48_000, 1, "OGG", "OPUS"),
        (44_100, 2, "MP3", None),
        (24_000, 1, "MP3", None),
    ],
)
def test_samples_equal_librosa(rate, channels, kind, subtype):
    data = saved(tone(rate, 2.0, channels), rate, kind, subtype)
    expected, _ = librosa.load(io.BytesIO(data), sr=16_000, mono=True, res_type="soxr_hq")
    got = decode_audio(data, SPEC, LIMITS)
    assert got.samples.dtype == np.int16
    assert not got.truncated
    assert len(got.samples) == len(expected)
    assert np.abs(got.samples / 32_768 - expected).max() < 1e-4


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_only_the_window_is_heard_and_the_rest_is_reported(kind):
    data = saved(tone(44_100, 5.0), 44_100, kind)
    expected, _ = librosa.load(io.BytesIO(data), sr=16_000, duration=3.0)
    got = decode_audio(data, SPEC, LIMITS)
    assert got.truncated
    assert len(got.samples) == SPEC.samples
    assert np.abs(got.samples / 32_768 - expected).max() < 1e-4


def test_exactly_the_window_is_not_truncated():
    assert not decode_audio(saved(tone(16_000, 3.0), 16_000), SPEC, LIMITS).truncated


def test_sixteen_bits_at_the_right_rate_pass_unchanged():
    wave = np.random.default_rng(1).integers(-32_768, 32_767, 5_000, dtype=np.int16)
    assert (decode_audio(saved(wave, 16_000), SPEC, LIMITS).samples == wave).all()


def test_opposite_channels_cancel():
    wave = tone(16_000, 1.0)
    data = saved(np.concatenate([wave, -wave], axis=1), 16_000, subtype="FLOAT")
    assert not decode_audio(data, SPEC, LIMITS).samples.any()


def test_not_a_number_is_silence_and_infinity_is_clipped():
    wave = tone(44_100, 1.0)[:, 0]
    wave[100:200], wave[300:310], wave[400:410] = np.nan, np.inf, -3e38
    samples = decode_audio(saved(wave, 44_100, subtype="FLOAT"), SPEC, LIMITS).samples
    assert len(samples) == 16_000
    assert samples.max() == 32_767


def test_a_length_over_the_hard_limit_is_refused_from_the_header():
    data = bytearray(saved(tone(16_000, 0.5), 16_000, "FLAC"))
    total = 16_000 * 1_000_000
    data[21] = data[21] & 0xF0 | total >> 32
    data[22:26] = struct.pack(">I", total & 0xFFFFFFFF)
    assert reason(bytes(data)) == "too_long"
    assert reason(saved(tone(16_000, 2.0), 16_000), AudioLimits(seconds=1.0)) == "too_long"


def test_a_wav_that_declares_more_than_it_holds_gives_what_it_holds():
    data = bytearray(saved(tone(16_000, 1.0), 16_000))
    data[40:44] = struct.pack("<I", 0xFFFFFFF0)
    assert len(decode_audio(bytes(data), SPEC, LIMITS).samples) == 16_000


def test_a_flac_of_unknown_length_is_read():
    data = bytearray(saved(tone(16_000, 4.0), 16_000, "FLAC"))
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    got = decode_audio(bytes(data), SPEC, LIMITS)
    assert len(got.samples) == SPEC.samples
    assert got.truncated


def test_no_samples_are_undecodable():
    assert reason(saved(tone(16_000, 0), 16_000)) == "undecodable"


@pytest.mark.parametrize("rate", [1, 3_000, 655_350])
def test_an_absurd_sample_rate_is_undecodable(rate):
    assert reason(saved(tone(16_000, 0.1), rate)) == "undecodable"


def test_too_many_channels_are_a_bomb():
    assert reason(saved(np.zeros((100, 500), np.int16), 16_000)) == "bomb"


def test_other_formats_are_unsupported():
    assert reason(saved(tone(16_000, 0.1), 16_000, "AIFF")) == "unsupported_media_type"
    assert reason(b"") == "unsupported_media_type"


def test_noise_behind_a_good_signature_is_undecodable():
    noise = np.random.default_rng(5).bytes(2_000)
    for magic in (b"fLaC", b"OggS", b"RIFF\x10\x10\x00\x00WAVE"):
        assert reason(magic + noise) == "undecodable"
