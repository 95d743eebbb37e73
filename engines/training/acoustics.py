"""A recording as another microphone, room and throat would have made it, for training to hear."""

from __future__ import annotations

from typing import Final

import numpy as np
import soxr
from numpy.typing import NDArray

Wave = NDArray[np.float32]
Rng = np.random.Generator

RATE: Final = 16_000


def elsewhere(rng: Rng, samples: Wave) -> Wave:
    """``samples`` between -1 and 1 at 16 kHz, spoken by somebody a little larger or smaller, cut, coloured,
    echoed and noisy; float32 of another length.
    """
    samples = _cut(rng, _throat(rng, samples))
    samples = _coloured(rng, samples)
    if rng.random() < 0.3:
        samples = _room(rng, samples)
    if rng.random() < 0.2:
        samples = np.pad(samples, (int(rng.uniform(0, 0.5) * RATE), int(rng.uniform(0, 0.5) * RATE)))
    if rng.random() < 0.8:
        samples = samples + _noise(rng, len(samples)) * _rms(samples) * 10 ** (-rng.uniform(5, 45) / 20)
    loud = samples / (np.abs(samples).max() + 1e-6) * rng.uniform(0.05, 0.99)
    return np.asarray(loud, np.float32)


def _throat(rng: Rng, samples: Wave) -> Wave:
    """Resampled: pitch, formants and tempo move together, as between people of different size."""
    factor = np.exp(rng.uniform(-0.13, 0.13))
    return np.asarray(soxr.resample(samples, RATE, round(RATE * factor), quality="MQ"), np.float32)


def _cut(rng: Rng, samples: Wave) -> Wave:
    keep = int(rng.uniform(1.2, 4.0) * RATE)
    if len(samples) <= keep or rng.random() < 0.6:
        return samples
    start = int(rng.integers(len(samples) - keep))
    return samples[start : start + keep]


def _coloured(rng: Rng, samples: Wave) -> Wave:
    """A microphone's curve, sometimes a telephone's."""
    spectrum = np.fft.rfft(samples)
    hertz = np.fft.rfftfreq(len(samples), 1 / RATE)
    places = np.log([50, 200, 600, 1500, 3500, 8000])
    curve = np.interp(np.log(hertz + 20), places, rng.normal(0, 3.0, len(places)))
    if rng.random() < 0.12:
        curve = curve - 40 * ((hertz < 280) | (hertz > 3400))
    return np.fft.irfft(spectrum * 10 ** (curve / 20), len(samples)).astype(np.float32)


def _room(rng: Rng, samples: Wave) -> Wave:
    count = int(rng.uniform(0.1, 0.5) * RATE)
    tail = rng.standard_normal(count) * np.exp(-6.9 * np.arange(count) / count)
    tail *= rng.uniform(0.1, 0.6) / (np.sqrt((tail**2).sum()) + 1e-6)
    tail[0] = 1.0
    size = len(samples) + count
    wet = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(tail, size), size)
    return wet[: len(samples)].astype(np.float32)


def _noise(rng: Rng, count: int) -> Wave:
    """Noise of any colour from white to brown, of power 1."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    spectrum *= np.maximum(np.fft.rfftfreq(count, 1 / RATE), 40.0) ** -rng.uniform(0, 1)
    noise = np.fft.irfft(spectrum, count)
    return (noise / (_rms(noise) + 1e-9)).astype(np.float32)


def _rms(samples: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(samples)) + 1e-12))
