"""Audio bytes → mono samples at the model's rate, by soundfile and soxr (the back ends of librosa)."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import soundfile
import soxr

from engines.batch import Float32, Int16
from engines.errors import MediaError
from engines.preprocess.sniff import AUDIO_TYPES, sniff
from engines.preprocess.spec import AudioSpec

_FORMATS: Final = frozenset({"WAV", "WAVEX", "RF64", "FLAC", "OGG", "MP3"})
_RATES: Final = (4_000, 192_000)
_CHANNELS: Final = 32
_UNKNOWN: Final = 1 << 60  # libsndfile reports a length like this where the header has none
_FULL_SCALE: Final = 32_768.0
_PEAK: Final = 4.0  # float files may overshoot 1 a little; far beyond it they are broken


@dataclass(frozen=True, slots=True)
class AudioLimits:
    """How long one sound may declare to be, in seconds."""

    seconds: float = 600.0


class Decoded(NamedTuple):
    """`samples` int16 [n], mono at the specification's rate; `truncated` where there was more of it."""

    samples: Int16
    truncated: bool


def decode_audio(data: bytes, spec: AudioSpec, limits: AudioLimits) -> Decoded:
    """The first `spec.seconds` of a sound, equal to `librosa.load(sr=spec.rate, duration=spec.seconds)`.

    Mono by mean, resampled by soxr HQ, rounded to int16; NaN is silence, and what overshoots is clipped.
    Raises `MediaError`: unsupported_media_type, undecodable, bomb, too_long or out_of_memory.
    """
    if sniff(data) not in AUDIO_TYPES:
        raise MediaError("unsupported_media_type", "not WAV, FLAC, Ogg or MP3 by its first bytes")
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            return _decode(file, spec, limits)
    except MediaError:
        raise
    except MemoryError as error:
        raise MediaError("out_of_memory", "more memory than a decoder may hold") from error
    except Exception as error:  # what bad bytes raise is the library's choice
        raise MediaError("undecodable", type(error).__name__) from error


def _decode(file: soundfile.SoundFile, spec: AudioSpec, limits: AudioLimits) -> Decoded:
    rate, frames = file.samplerate, file.frames
    _check(file, limits)
    window = int(spec.seconds * rate)
    rows = file.read(frames=min(window + 1, max(frames, 0)), dtype="float32", always_2d=True)
    mono = _mono(rows[:window])
    if not len(mono):
        raise MediaError("undecodable", "no samples")
    return Decoded(_int16(_resample(mono, rate, spec.rate)), len(rows) > window)


def _check(file: soundfile.SoundFile, limits: AudioLimits) -> None:
    """Refuse by the header, before anything is read or allocated."""
    if file.format not in _FORMATS:
        raise MediaError("unsupported_media_type", f"{file.format} by its header")
    if not _RATES[0] <= file.samplerate <= _RATES[1]:
        raise MediaError("undecodable", f"{file.samplerate} Hz")
    if file.channels > _CHANNELS:
        raise MediaError("bomb", f"declares {file.channels} channels")
    if file.frames < _UNKNOWN and file.frames > limits.seconds * file.samplerate:
        raise MediaError("too_long", f"declares {file.frames / file.samplerate:.0f} s")


def _mono(rows: Float32) -> Float32:
    if not np.abs(rows).max(initial=0.0) <= _PEAK:  # also where there is a NaN
        np.nan_to_num(rows, copy=False, nan=0.0, posinf=1.0, neginf=-1.0)
        np.clip(rows, -_PEAK, _PEAK, out=rows)
    return rows[:, 0] if rows.shape[1] == 1 else rows.mean(axis=1)


def _resample(mono: Float32, rate: int, wanted: int) -> Float32:
    """As librosa.resample does: soxr HQ, then exactly ceil(n × wanted / rate) samples."""
    if rate == wanted:
        return mono
    length = int(np.ceil(len(mono) * wanted / rate))
    result: Float32 = soxr.resample(np.ascontiguousarray(mono), rate, wanted, quality="HQ")[:length]
    return np.pad(result, (0, length - len(result)))


def _int16(mono: Float32) -> Int16:
    scaled: Float32 = np.rint(mono * np.float32(_FULL_SCALE))
    return scaled.clip(-_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16)
