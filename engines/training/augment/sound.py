"""Sounds as rooms and telephones change them: faster or slower, shifted, narrow, noisy, loud or soft."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.random import Generator

from engines.batch import Float32, Int16

_FULL: Final = 32_767.0

Change = Callable[[Float32, int, Generator], Float32]


def disturb_sound(samples: Int16, rate: int, random: Generator, most: int = 0) -> Int16:
    """``samples`` int16 [n] at ``rate`` hertz after some of `CHANGES`, each by its own chance: int16 [m], at
    most ``most`` samples if that is given. A slower sound is longer.
    """
    wave = samples.astype(np.float32)
    for chance, change in CHANGES.values():
        if random.random() < chance and len(wave):
            wave = change(wave, rate, random)
    out: Int16 = np.rint(wave).clip(-_FULL - 1, _FULL).astype(np.int16)
    return out[:most] if most else out


def speed(wave: Float32, rate: int, random: Generator) -> Float32:
    """Played 0.9 to 1.1 times as fast; pitch moves along."""
    del rate
    length = max(1, round(len(wave) / random.uniform(0.9, 1.1)))
    places = np.linspace(0, len(wave) - 1, length)
    return np.interp(places, np.arange(len(wave)), wave).astype(np.float32)


def shift(wave: Float32, rate: int, random: Generator) -> Float32:
    """Up to half a second, and a fifth of the sound, earlier or later; silence where nothing was."""
    reach = min(rate // 2, len(wave) // 5)
    by = int(random.integers(-reach, reach + 1))
    out = np.zeros_like(wave)
    out[max(by, 0) : len(wave) + min(by, 0)] = wave[max(-by, 0) : len(wave) - max(by, 0)]
    return out


def band(wave: Float32, rate: int, random: Generator) -> Float32:
    """Only what a telephone or a cheap microphone hears: from 50–300 Hz up to 2.5–5 kHz."""
    low, high = random.uniform(50, 300), random.uniform(2_500, 5_000)
    spectrum = np.fft.rfft(wave)
    pitches = np.fft.rfftfreq(len(wave), 1 / rate)
    spectrum[(pitches < low) | (pitches > high)] = 0
    return np.fft.irfft(spectrum, len(wave)).astype(np.float32)


def noise(wave: Float32, rate: int, random: Generator) -> Float32:
    """White to brown noise, 8 to 30 dB below the sound."""
    del rate
    white = random.normal(size=len(wave))
    tilt = random.uniform(0.0, 1.0)
    spectrum = np.fft.rfft(white)
    spectrum /= np.arange(1, len(spectrum) + 1) ** tilt
    made = np.fft.irfft(spectrum, len(wave))
    loud, own = float(np.sqrt(np.mean(wave**2))), float(np.sqrt(np.mean(made**2)))
    scale = max(loud, 1.0) * 10 ** (-random.uniform(8, 30) / 20) / max(own, 1e-12)
    return (wave + made * scale).astype(np.float32)


def gain(wave: Float32, rate: int, random: Generator) -> Float32:
    """12 dB softer to 6 dB louder, but never so loud that it is clipped."""
    del rate
    peak = float(np.abs(wave).max()) or 1.0
    return wave * np.float32(min(10 ** (random.uniform(-12, 6) / 20), _FULL / peak))


CHANGES: Final[Mapping[str, tuple[float, Change]]] = {
    "speed": (0.3, speed), "shift": (0.4, shift), "band": (0.15, band), "noise": (0.4, noise),
    "gain": (0.5, gain),
}  # fmt: skip
"""Every change by its name, with how often it is made, in the order in which they are."""
