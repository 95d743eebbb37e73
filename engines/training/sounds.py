"""Synthesised sounds: voices by mood, screams, shots, alarms, and the harmless noises of a day."""

from __future__ import annotations

import io
import wave
from collections.abc import Callable, Iterator
from typing import Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from engines.training.taxonomy import NEGATIVE, NEUTRAL, POSITIVE, UNKNOWN, Part, split_of

RATE: Final = 16_000
Wave = NDArray[np.float32]
Rng = np.random.Generator


def sounds(seed: int, count: int, kinds: tuple[str, ...] | None = None) -> Iterator[Part]:
    """``count`` WAV files of 0.8 to 4 seconds; the same for the same seed."""
    rng = np.random.default_rng([seed, 3])
    names = list(kinds or _KINDS)
    weights = np.array([_KINDS[name][0] for name in names], float)
    for name in rng.choice(names, size=count, p=weights / weights.sum()):
        yield _sound(rng, str(name))


def _sound(rng: Rng, kind: str) -> Part:
    _, make, sentiment, violent = _KINDS[kind]
    held_out = rng.random() < 0.08  # held out: higher voices than any in training
    samples = make(rng, int(rng.uniform(0.8, 4.0) * RATE), 1.35 if held_out else 1.0)
    data = wav(_recorded(rng, samples))
    split = "ood" if held_out else split_of(crc32(data))
    return Part(data, kind, sentiment, {"violence": violent}, 2, split)


def wav(samples: Wave) -> bytes:
    """16-bit mono WAV of samples between -1 and 1."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes((samples.clip(-1, 1) * 32767).astype("<i2").tobytes())
    return file.getvalue()


def _recorded(rng: Rng, samples: Wave) -> Wave:
    """Gain, background noise, an echo, silence around: what recording does."""
    if rng.random() < 0.3:
        delay = int(rng.uniform(0.02, 0.12) * RATE)
        echo = np.zeros_like(samples)
        echo[delay:] = samples[:-delay] * rng.uniform(0.1, 0.4)
        samples = samples + echo
    samples = samples / (np.abs(samples).max() + 1e-6) * rng.uniform(0.12, 0.95)
    if rng.random() < 0.3:
        samples = np.pad(samples, int(rng.uniform(0.05, 0.3) * RATE))
    noise = rng.standard_normal(len(samples), np.float32) * 10 ** rng.uniform(-4.5, -2)
    return (samples + noise).astype(np.float32)


def _glide(rng: Rng, count: int, points: list[float], wobble: float = 0.01) -> Wave:
    """A pitch contour through ``points`` (hertz), with a little unsteadiness."""
    place = np.linspace(0, len(points) - 1, count)
    line = np.interp(place, np.arange(len(points)), points)
    unsteady = np.interp(np.linspace(0, 1, count), np.linspace(0, 1, 24), rng.standard_normal(24))
    return (line * (1 + wobble * unsteady)).astype(np.float32)


def _voiced(pitch: Wave, formants: list[tuple[float, float]], tilt: float, harmonics: int = 22) -> Wave:
    """Harmonics of ``pitch`` shaped by ``formants`` (hertz, width); a larger ``tilt`` is duller."""
    ring = np.exp(2j * np.pi * np.cumsum(pitch) / RATE).astype(np.complex64)
    power, out = np.ones_like(ring), np.zeros(len(pitch), np.float32)
    mean = float(pitch.mean())
    for k in range(1, harmonics + 1):
        power = power * ring
        at = k * mean
        if at > 6500:
            break
        gain = sum(1 / (1 + ((at - f) / w) ** 2) for f, w in formants) + 0.03
        out += np.float32(gain * k**-tilt) * power.imag
    return out


def _syllables(rng: Rng, count: int, rate: float, attack: float) -> Wave:
    """A loudness envelope of ``rate`` syllables a second; a small ``attack`` is abrupt."""
    phase = np.cumsum(
        np.full(count, rate / RATE) * (1 + 0.25 * np.sin(np.linspace(0, 9, count) + rng.uniform(0, 6)))
    )
    return (np.sin(np.pi * (phase % 1.0)) ** attack).astype(np.float32)


def _vowels(rng: Rng) -> list[tuple[float, float]]:
    first = rng.uniform(320, 800)
    return [(first, 90.0), (rng.uniform(900, 2200), 130.0), (rng.uniform(2300, 3000), 200.0)]


def calm(rng: Rng, count: int, high: float) -> Wave:
    """An even voice."""
    base = rng.uniform(95, 210) * high
    points = [base * rng.uniform(0.95, 1.06) for _ in range(6)]
    return _voiced(_glide(rng, count, points), _vowels(rng), 1.1) * _syllables(
        rng, count, rng.uniform(2.8, 4), 0.6
    )


def cheerful(rng: Rng, count: int, high: float) -> Wave:
    """A lively voice with wide rising turns."""
    base = rng.uniform(150, 280) * high
    points = [base * f for _ in range(4) for f in (rng.uniform(0.9, 1.0), rng.uniform(1.4, 1.8))]
    return _voiced(_glide(rng, count, points), _vowels(rng), 0.8) * _syllables(
        rng, count, rng.uniform(4.5, 6.5), 0.7
    )


def laughing(rng: Rng, count: int, high: float) -> Wave:
    """Ha-ha: short bursts, each falling, breathy."""
    base, rate = rng.uniform(200, 350) * high, rng.uniform(4.2, 6)
    beat = (np.arange(count) * rate / RATE) % 1.0
    pitch = (base * (1.25 - 0.4 * beat)).astype(np.float32)
    burst = (np.exp(-5 * beat) * (beat < 0.7)).astype(np.float32)
    breath = rng.standard_normal(count, np.float32) * 0.15
    return (_voiced(pitch, _vowels(rng), 0.8) + breath) * burst


def weary(rng: Rng, count: int, high: float) -> Wave:
    """A sad voice: low, slow, sinking."""
    base = rng.uniform(85, 170) * high
    points = [base * f for _ in range(2) for f in (1.1, 0.95, 0.78)]
    return _voiced(_glide(rng, count, points), _vowels(rng), 1.7) * _syllables(
        rng, count, rng.uniform(1.2, 2.2), 0.9
    )


def angry(rng: Rng, count: int, high: float) -> Wave:
    """A rough voice with hard attacks."""
    base = rng.uniform(140, 270) * high
    points = [base * f for _ in range(4) for f in (1.35, 0.85)]
    voice = _voiced(_glide(rng, count, points, 0.05), _vowels(rng), 0.5) * _syllables(
        rng, count, rng.uniform(3.5, 5), 0.25
    )
    rough = 1 + 0.5 * np.sign(np.sin(2 * np.pi * rng.uniform(45, 80) * np.arange(count) / RATE))
    return np.tanh(2.5 * voice * rough + rng.standard_normal(count) * 0.05).astype(np.float32)


def scream(rng: Rng, count: int, high: float) -> Wave:
    """A long high cry with a rough edge."""
    base = rng.uniform(650, 1300) * high
    points = [base * f for f in (0.75, 1.1, 1.15, 1.0, 0.8)]
    cry = _voiced(_glide(rng, count, points, 0.03), [(1300, 500), (3000, 900)], 0.3, 8)
    rough = 1 + 0.7 * np.sin(2 * np.pi * rng.uniform(40, 120) * np.arange(count) / RATE)
    rise = np.minimum(np.linspace(0, 8, count), 1) * np.minimum(np.linspace(8, 0, count), 1)
    cry = np.tanh(1.5 * cry * rough + rng.standard_normal(count) * 0.15)
    return np.asarray(cry * rise, np.float32)


def shots(rng: Rng, count: int, high: float) -> Wave:
    """Bangs: noise that starts at once and dies quickly."""
    out = rng.standard_normal(count).astype(np.float32) * 0.01
    for _ in range(rng.integers(2, 7)):
        start = int(rng.integers(0, max(1, count - RATE // 4)))
        length = min(RATE // 3, count - start)
        decay = np.exp(-np.arange(length) / (RATE * rng.uniform(0.02, 0.06)))
        out[start : start + length] += (rng.standard_normal(length) * decay).astype(np.float32)
    return out


def alarm(rng: Rng, count: int, high: float) -> Wave:
    """A siren that sweeps, or two tones in turn."""
    t = np.arange(count) / RATE
    low, top, rate = rng.uniform(500, 800) * high, rng.uniform(1000, 1600) * high, rng.uniform(0.7, 3)
    turn = np.sin(2 * np.pi * rate * t)
    turn = np.sign(turn) if rng.random() < 0.5 else turn
    pitch = (low + (top - low) * (0.5 + 0.5 * turn)).astype(np.float32)
    return _voiced(pitch, [(1200, 1500)], 1.0, 5)


def melody(rng: Rng, count: int, high: float) -> Wave:
    """A merry tune: a major scale in skips, plucked."""
    base, note = rng.uniform(260, 520) * high, int(RATE * rng.uniform(0.14, 0.25))
    steps = rng.choice([0, 2, 4, 5, 7, 9, 12], size=count // note + 1)
    pitch = np.repeat(base * 2 ** (steps / 12), note)[:count].astype(np.float32)
    pluck = np.tile(np.exp(-np.arange(note) / (0.4 * note)), count // note + 1)[:count].astype(np.float32)
    return _voiced(pitch, [(base * 2, 900)], 1.8, 6) * pluck


def applause(rng: Rng, count: int, high: float) -> Wave:
    """Many claps, and a cheer below them."""
    out = np.zeros(count, np.float32)
    out[rng.integers(0, count, size=count // 180)] = rng.uniform(0.3, 1, size=count // 180)
    clap = (rng.standard_normal(160) * np.exp(-np.arange(160) / 30)).astype(np.float32)
    return np.convolve(out, clap)[:count].astype(np.float32)


def hum(rng: Rng, count: int, high: float) -> Wave:
    """Rain, a fan, a room, a dial tone or knocking."""
    style = rng.integers(4)
    noise = rng.standard_normal(count).astype(np.float32)
    t = np.arange(count) / RATE
    if style == 0:
        return noise * 0.3
    if style == 1:
        return np.convolve(noise, np.ones(12, np.float32) / 12, "same").astype(np.float32)
    if style == 2:
        return (np.sin(2 * np.pi * rng.uniform(300, 480) * t) * (np.sin(2 * np.pi * 0.8 * t) > -0.3)).astype(
            np.float32
        )
    beat = (t * rng.uniform(1.5, 3)) % 1.0
    return (np.sin(2 * np.pi * 130 * high * t) * np.exp(-25 * beat)).astype(np.float32)


# kind: weight, maker, sentiment, violence
_KINDS: Final[dict[str, tuple[float, Callable[[Rng, int, float], Wave], int, int]]] = {
    "calm": (18, calm, NEUTRAL, 0),
    "cheerful": (12, cheerful, POSITIVE, 0),
    "laughing": (8, laughing, POSITIVE, 0),
    "weary": (11, weary, NEGATIVE, 0),
    "angry": (11, angry, NEGATIVE, 0),
    "scream": (10, scream, NEGATIVE, 1),
    "shots": (7, shots, UNKNOWN, 1),
    "alarm": (7, alarm, UNKNOWN, 1),
    "melody": (5, melody, POSITIVE, 0),
    "applause": (4, applause, POSITIVE, 0),
    "hum": (9, hum, NEUTRAL, 0),
}
