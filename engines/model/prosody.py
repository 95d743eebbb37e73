"""How something sounds, whatever is said: statistics of timbre, melody, loudness and rhythm, as a graph.

The statistics follow what speech research measures for emotion (Eyben et al. 2016, "The Geneva Minimalistic
Acoustic Parameter Set"), written so that every step is differentiable, exportable and masked: thresholds
are sigmoids, extremes are means weighted by exp, and the pitch is the centre of the autocorrelation's peak.
"""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: allow-subclassing-any, no-warn-return-any

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import torch
from librosa.filters import get_window
from librosa.filters import mel as mel_filters
from torch import Tensor, nn

from engines.model.parts import MASKED

HOP: Final = 200
"""Samples from one frame to the next."""
FLOOR: Final = 1e-3
"""Added to the power, about 50 dB below a sound's mean: what is fainter is nothing."""
_WINDOW, _MELS, _RANGE = 400, 40, (60.0, 6000.0)
_CEPSTRA: Final = 16
_THIN: Final = 8  # the pitch is found in every 8th sample, below 1 kHz
_TAPS, _PITCH_WINDOW, _PITCH_FFT = 64, 80, 160
_LOWEST, _HIGHEST, _PER_OCTAVE = 70.0, 550.0, 24
_RHYTHMS: Final = (1.0, 2.0, 4.0, 6.5, 10.0, 16.0, 28.0)  # hertz


class Frames(NamedTuple):
    """What each frame is like: ``cepstra`` [B, 16, T] of a log-mel spectrum; ``loudness`` [B, T], the log of
    the power; ``pitch`` [B, T], log2 of hertz; ``voiced`` [B, T], how periodic, up to about 1.
    """

    cepstra: Tensor
    loudness: Tensor
    pitch: Tensor
    voiced: Tensor


class Prosody(nn.Module):
    """Samples at 16 kHz → ``size`` statistics of the whole sound; gain and padding change nothing."""

    size: Final = 4 * _CEPSTRA + 11 + 6 + 8 + len(_RHYTHMS)
    dft: Tensor
    mel: Tensor
    cepstrum: Tensor
    lowpass: Tensor
    pitch_dft: Tensor
    lags: Tensor
    octaves: Tensor
    rhythms: Tensor

    def __init__(self, rate: int = 16_000) -> None:
        super().__init__()
        for name, table in {**_timbre(rate), **_melody(rate / _THIN), "rhythms": _rhythm(rate / HOP)}.items():
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(table, np.float32)))

    def forward(self, samples: Tensor, lengths: Tensor) -> Tensor:
        """``samples`` float32 [B, n] in int16 units, ``lengths`` int32 [B] → float32 [B, size]."""
        frames = self.frames(samples, lengths)
        count = lengths.to(torch.int64) // HOP + 1
        place = torch.arange(frames.loudness.shape[1])[None, :]
        return self.statistics(frames, place < count[:, None], place / count[:, None])

    def frames(self, samples: Tensor, lengths: Tensor) -> Frames:
        """Each frame alone, 1 + n // 200 of them; samples behind ``lengths`` count as silence."""
        here = torch.arange(samples.shape[1])[None, :] < lengths[:, None]
        sound = torch.where(here, samples * (1.0 / 32768.0), 0.0)
        power = (sound * sound).sum(dim=1, keepdim=True) / lengths[:, None]
        sound = (sound / torch.sqrt(power.clamp(min=1e-9))).unsqueeze(1)
        spectrum = _power(sound, self.dft, HOP, _WINDOW // 2, _WINDOW // 2)
        mels = torch.log(nn.functional.conv1d(spectrum, self.mel) + FLOOR)
        loudness = torch.log(spectrum.mean(dim=1) + FLOOR)
        return Frames(self.cepstrum @ mels, loudness, *self._pitch(sound))

    def _pitch(self, sound: Tensor) -> tuple[Tensor, Tensor]:
        # The filter rings on behind the last sample; it must do so whether padding follows or not.
        half, tail = _TAPS // 2, _TAPS // _THIN
        padded = nn.functional.pad(sound, (half, half + _TAPS))
        thin = nn.functional.conv1d(padded, self.lowpass, stride=_THIN)
        window = _PITCH_WINDOW // 2
        spectrum = _power(thin, self.pitch_dft, HOP // _THIN, window, window - 1 - tail)
        alike = nn.functional.conv1d(spectrum, self.lags) / (spectrum.sum(dim=1, keepdim=True) + FLOOR)
        peak = torch.softmax(30.0 * alike, dim=1)
        return (peak * self.octaves[:, None]).sum(dim=1), alike.amax(dim=1)

    def statistics(self, frames: Frames, valid: Tensor, place: Tensor) -> Tensor:
        """``valid`` bool [B, T], ``place`` 0 … 1 [B, T] → float32 [B, size]."""
        here = valid.to(torch.float32)
        loudest = torch.where(valid, frames.loudness, MASKED).amax(dim=1, keepdim=True)
        active = torch.sigmoid((frames.loudness - loudest + 5.0) * 2.0) * here
        spoken = torch.sigmoid((frames.voiced - 0.55) * 12.0) * active
        return torch.cat(
            [
                *_timbre_of(frames.cepstra, active, spoken),
                _melody_of(frames, spoken, place),
                _voice_of(frames.voiced, active, spoken, here),
                _loudness_of(frames.loudness, active, spoken, here),
                self._rhythm_of(frames.loudness, loudest, here),
            ],
            dim=1,
        )

    def _rhythm_of(self, loudness: Tensor, loudest: Tensor, here: Tensor) -> Tensor:
        """How much the loudness swings at each rate, log [B, rhythms]."""
        level = torch.maximum(loudness, loudest - 8.0)
        level = (level - _mean(level, here)[:, None]) * here
        half = self.rhythms.shape[2] // 2
        swing = _power(level.unsqueeze(1), self.rhythms, 1, half, half)
        return torch.log(_mean(swing, here[:, None]) + FLOOR)


def _timbre_of(cepstra: Tensor, active: Tensor, spoken: Tensor) -> tuple[Tensor, ...]:
    """Mean and spread of the spectrum's shape, its spread in voiced frames, and how fast it changes."""
    weight, voiced = active[:, None], spoken[:, None]
    steps, both = _change(cepstra), _neighbours(active)[:, None]
    return _mean(cepstra, weight), _spread(cepstra, weight), _spread(cepstra, voiced), _spread(steps, both)


def _melody_of(frames: Frames, spoken: Tensor, place: Tensor) -> Tensor:
    """Height, spread, extremes, slope, steps and turn of the pitch, and whether high is loud: [B, 11]."""
    pitch, loud = frames.pitch, frames.loudness
    middle, spread = _mean(pitch, spoken), _spread(pitch, spoken)
    top, bottom = _extreme(pitch, spoken, 8.0), _extreme(pitch, spoken, -8.0)
    offset, away = pitch - middle[:, None], place - _mean(place, spoken)[:, None]
    slope = _mean(offset * away, spoken) / (_mean(away * away, spoken) + 1e-2)
    step = _change(pitch.unsqueeze(1))[:, 0] * 0.5
    smooth = _neighbours(spoken) * torch.sigmoid((0.12 - step.abs()) * 50.0)
    late, early = spoken * torch.sigmoid((place - 0.67) * 30), spoken * torch.sigmoid((0.33 - place) * 30)
    parts = [
        *(middle, spread, top, bottom, top - bottom, slope),
        *(_mean(step.abs(), smooth), _spread(step.abs(), smooth), _mean(step, smooth)),
        _mean(offset * (loud - _mean(loud, spoken)[:, None]), spoken),
        _mean(offset, late) - _mean(offset, early),
    ]
    return torch.stack(parts, dim=1)


def _voice_of(voiced: Tensor, active: Tensor, spoken: Tensor, here: Tensor) -> Tensor:
    """How periodic the sound is, how evenly, and how much of it is voice: [B, 6]."""
    share = spoken.sum(dim=1) / (active.sum(dim=1) + 1e-2)
    turns = _mean(_change(spoken.unsqueeze(1))[:, 0].abs(), _neighbours(here))
    rests = _mean(_change(active.unsqueeze(1))[:, 0].abs(), _neighbours(here))
    kept = [_mean(voiced, active), _spread(voiced, active), _mean(voiced, spoken), share, turns, rests]
    return torch.stack(kept, dim=1)


def _loudness_of(loudness: Tensor, active: Tensor, spoken: Tensor, here: Tensor) -> Tensor:
    """Spread and peaks of the loudness, how abruptly it rises and falls, and how much is silence: [B, 8]."""
    middle = _mean(loudness, active)
    step, both = _change(loudness.unsqueeze(1))[:, 0], _neighbours(active)
    rise, fall = _mean(step.clamp(min=0.0), both), _mean(step.clamp(max=0.0), both)
    peak = _extreme(loudness, active, 1.0) - middle
    spreads = (_spread(loudness, active), _spread(loudness, spoken), _spread(step, both))
    return torch.stack([*spreads, middle, peak, rise, fall, _mean(active, here)], dim=1)


def _mean(x: Tensor, weight: Tensor) -> Tensor:
    """Over time; towards 0 where nothing has weight."""
    return (x * weight).sum(dim=-1) / (weight.sum(dim=-1) + 1e-2)


def _spread(x: Tensor, weight: Tensor) -> Tensor:
    """Standard deviation over time."""
    away = x - _mean(x, weight).unsqueeze(-1)
    return torch.sqrt(_mean(away * away, weight) + 1e-4)


def _extreme(x: Tensor, weight: Tensor, sharp: float) -> Tensor:
    """A soft maximum over time (a minimum where ``sharp`` is negative)."""
    score = torch.where(weight > 1e-6, x * sharp + torch.log(weight + 1e-6), MASKED)
    return (x * torch.softmax(score, dim=-1)).sum(dim=-1)


def _change(x: Tensor) -> Tensor:
    """What comes after less what came before, [B, C, T]."""
    padded = nn.functional.pad(x, (1, 1))
    return padded[..., 2:] - padded[..., :-2]


def _neighbours(weight: Tensor) -> Tensor:
    """The weight [B, T] of a change: of the frames before and after."""
    padded = nn.functional.pad(weight, (1, 1))
    return padded[..., 2:] * padded[..., :-2]


def _power(x: Tensor, waves: Tensor, stride: int, before: int, after: int) -> Tensor:
    """Squared length of what ``waves`` (cosines, then sines) find: [B, 1, n] → [B, waves / 2, frames]."""
    found = nn.functional.conv1d(nn.functional.pad(x, (before, after)), waves, stride=stride)
    real, imaginary = found.chunk(2, dim=1)
    return real * real + imaginary * imaginary


def _waves(bins: np.ndarray, n_fft: int, window: np.ndarray) -> np.ndarray:
    """Windowed cosines, then sines: [2 * bins, 1, window]."""
    angle = 2 * np.pi * np.outer(bins, np.arange(len(window))) / n_fft
    return np.concatenate([np.cos(angle) * window, np.sin(angle) * window])[:, None] / np.sqrt(len(window))


def _timbre(rate: float) -> dict[str, np.ndarray]:
    filters = mel_filters(sr=rate, n_fft=_WINDOW, n_mels=_MELS, fmin=_RANGE[0], fmax=_RANGE[1], norm=None)
    used = np.flatnonzero(filters.any(axis=0))
    bins = np.arange(used[0], used[-1] + 1)
    rows = np.outer(np.arange(1, _CEPSTRA + 1), np.arange(_MELS) + 0.5)
    return {
        "dft": _waves(bins, _WINDOW, get_window("hann", _WINDOW)),
        "mel": (filters[:, bins] / filters.sum(axis=1, keepdims=True))[:, :, None],
        "cepstrum": np.cos(np.pi / _MELS * rows) * np.sqrt(2 / _MELS),
    }


def _melody(rate: float) -> dict[str, np.ndarray]:
    """Autocorrelation at lags evenly spaced in octaves, from the power spectrum (Wiener and Khinchin)."""
    spacing = rate / _PITCH_FFT
    bins = np.arange(int(np.ceil(60.0 / spacing)), int(950.0 / spacing))
    octaves = np.log2(_LOWEST) + np.arange(0, np.log2(_HIGHEST / _LOWEST), 1 / _PER_OCTAVE)
    lags = rate / 2**octaves
    window = get_window("hann", _PITCH_WINDOW)
    own = np.correlate(window, window, "full")[_PITCH_WINDOW - 1 :]
    fade = np.interp(lags, np.arange(_PITCH_WINDOW), own / own[0])
    taps = np.arange(_TAPS) - (_TAPS - 1) / 2
    lowpass = np.sinc(taps / _THIN * 0.95) * get_window("hamming", _TAPS, fftbins=False)
    return {
        "lowpass": (lowpass / lowpass.sum())[None, None],
        "pitch_dft": _waves(bins, _PITCH_FFT, window),
        "lags": (np.cos(2 * np.pi * np.outer(lags, bins) / _PITCH_FFT) / fade[:, None])[:, :, None],
        "octaves": octaves,
    }


def _rhythm(rate: float) -> np.ndarray:
    """Waves of each rhythm over 2.5 of their periods: [2 * rhythms, 1, taps]."""
    half = int(rate * 0.8)
    time = np.arange(-half, half + 1) / rate
    rows = []
    for wave in (np.cos, np.sin):
        for hertz in _RHYTHMS:
            bell = np.exp(-0.5 * (time * hertz / 0.6) ** 2)
            row = wave(2 * np.pi * hertz * time) * bell
            rows.append((row - bell * row.sum() / bell.sum()) / np.sqrt((bell**2).sum()))
    return np.stack(rows)[:, None]
