"""Recorded voices are read as they were published, or the reader says what is wrong with them."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from engines.errors import EngineError
from engines.training.voices import EMOTIONS, digest, read_voices


def record(folder: Path, *names: str) -> None:
    for k, name in enumerate(names):
        tone = 0.1 * np.sin(np.arange(4_000) * 0.05 * (k + 1))
        soundfile.write(folder / name, tone.astype(np.float32), 16_000)


def test_a_name_tells_speaker_and_emotion(tmp_path: Path) -> None:
    record(tmp_path, "03a01Fa.flac", "08b02Wc.flac", "08b02Td.wav", "16a01Na.flac")
    voices = read_voices(tmp_path, sha256=None)
    assert [(v.speaker, EMOTIONS[v.emotion], v.sentiment) for v in voices] == [
        ("03", "joy", 2),
        ("08", "sadness", 0),
        ("08", "anger", 0),
        ("16", "neutral", 1),
    ]
    assert voices[0].samples.dtype == np.int16
    assert len(voices[0].samples) == 4_000


def test_emotions_without_a_sentiment_are_left_out(tmp_path: Path) -> None:
    record(tmp_path, "03a01Fa.flac", "03a01Aa.flac", "03a01La.flac")
    assert [v.where for v in read_voices(tmp_path, sha256=None)] == [str(tmp_path / "03a01Fa.flac")]


def test_an_empty_folder_and_none_at_all_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="it holds no"):
        read_voices(tmp_path)
    with pytest.raises(EngineError, match="there is no such folder"):
        read_voices(tmp_path / "nowhere")


def test_other_recordings_than_the_recipes_are_refused_with_both_digests(tmp_path: Path) -> None:
    record(tmp_path, "03a01Fa.flac")
    path = tmp_path / "03a01Fa.flac"
    own = digest([path], [path.read_bytes()])
    with pytest.raises(EngineError, match=f"its 1 files is {own}, expected 1e0cc6"):
        read_voices(tmp_path)
    assert len(read_voices(tmp_path, sha256=own)) == 1


def test_a_renamed_recording_changes_the_digest(tmp_path: Path) -> None:
    assert digest([tmp_path / "03a01Fa.flac"], [b"x"]) != digest([tmp_path / "03a01Wa.flac"], [b"x"])


def test_a_strange_name_is_named(tmp_path: Path) -> None:
    record(tmp_path, "03a01Fa.flac", "laughter.flac")
    with pytest.raises(EngineError, match=r"laughter.flac.*names are like 03a01Fa"):
        read_voices(tmp_path, sha256=None)


def test_a_broken_recording_is_named(tmp_path: Path) -> None:
    (tmp_path / "03a01Fa.flac").write_bytes(b"fLaC" + bytes(100))
    with pytest.raises(EngineError, match=r"cannot be decoded.*03a01Fa.flac"):
        read_voices(tmp_path, sha256=None)
