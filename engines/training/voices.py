"""Acted speech with its speakers: the Berlin Database of Emotional Speech, as its authors published it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engines.batch import Int16
from engines.errors import EngineError, MediaError
from engines.preprocess.audio import AudioLimits, decode_audio
from engines.preprocess.spec import AudioSpec
from engines.training.taxonomy import NEGATIVE, NEUTRAL, POSITIVE

NAME: Final = "Emo-DB"
LICENCE: Final = "CC0"
ORIGIN: Final = "Berlin Database of Emotional Speech (Burkhardt et al. 2005)"
SHA256: Final = "1e0cc64471589a0da78b32766ae7d3638529774f0b2d606aae81ab200518a73a"
"""Over name, a zero byte and content of the files in order of their names: 234 recordings of 7 speakers."""

EMOTIONS: Final = ("anger", "sadness", "neutral", "joy")
SENTIMENT_OF: Final = (NEGATIVE, NEGATIVE, NEUTRAL, POSITIVE)
"""For each emotion."""
_LETTERS: Final = {"W": 0, "T": 1, "N": 2, "F": 3}  # Wut, Trauer, neutral, Freude
_REMEDY: Final = "Get the published recordings (emodb.bilderbar.info) and give their folder by --voices"


@dataclass(frozen=True, slots=True)
class Voice:
    """One recording: ``samples`` int16 [n] at 16 kHz, who speaks, and the number of the emotion acted."""

    samples: Int16
    speaker: str
    emotion: int
    where: str

    @property
    def sentiment(self) -> int:
        """Negative, neutral or positive."""
        return SENTIMENT_OF[self.emotion]


def read_voices(folder: Path, sha256: str | None = SHA256, seconds: float = 10.0) -> list[Voice]:
    """The recordings of a folder in order of their names, as serving decodes them, ``seconds`` at most.

    Files are named as the database names them: two digits of the speaker, three signs of the sentence, the
    emotion's letter, a letter of the version. Emotions without a sentiment (fear, boredom, disgust) are left
    out. Raises EngineError where there are none, one is broken, or they are not those of ``sha256``; None
    takes any.
    """
    paths = sorted((*folder.glob("*.flac"), *folder.glob("*.wav")), key=lambda path: path.name)
    if not paths:
        why = "it holds no .flac or .wav file" if folder.is_dir() else "there is no such folder"
        raise EngineError("The recorded voices are not there", where=str(folder), why=why, remedy=_REMEDY)
    contents = [_content(path) for path in paths]
    if sha256 is not None:
        _check(folder, paths, contents, sha256)
    spec = AudioSpec(seconds, 16_000)
    named = [(path, data) for path, data in zip(paths, contents, strict=True) if _letter(path) in _LETTERS]
    return [_voice(path, data, spec) for path, data in named]


def digest(paths: Sequence[Path], contents: Sequence[bytes]) -> str:
    """SHA-256 of recordings with their names, in hexadecimal."""
    whole = hashlib.sha256()
    for path, data in zip(paths, contents, strict=True):
        whole.update(path.name.encode() + b"\0" + data)
    return whole.hexdigest()


def _check(folder: Path, paths: list[Path], contents: list[bytes], expected: str) -> None:
    found = digest(paths, contents)
    if found != expected:
        raise EngineError(
            "The recorded voices are not those that this recipe was made for",
            where=str(folder),
            why=f"the SHA-256 of its {len(paths)} files is {found}, expected {expected}",
            remedy="Get the published files again, or change the recipe's digest and judge the result anew",
        )


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise EngineError(
            "A recording cannot be read", where=str(path), why=str(error), remedy=_REMEDY
        ) from error


def _letter(path: Path) -> str:
    name = path.stem
    if len(name) != 7 or not name[:2].isdigit() or not name[5].isupper():
        raise EngineError(
            "A recording has a name that tells neither speaker nor emotion",
            where=str(path),
            why="Emo-DB's names are like 03a01Fa: speaker, sentence, emotion, version",
            remedy="Keep only the database's own files in the folder",
        )
    return name[5]


def _voice(path: Path, data: bytes, spec: AudioSpec) -> Voice:
    try:
        samples = decode_audio(data, spec, AudioLimits()).samples
    except MediaError as error:
        raise EngineError(
            "A recording cannot be decoded", where=str(path), why=str(error), remedy=_REMEDY
        ) from error
    return Voice(samples, path.stem[:2], _LETTERS[_letter(path)], str(path))
