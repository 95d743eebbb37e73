"""Pictures and sounds for the bench: made up, but with the sizes and the decoding cost of real ones."""

from __future__ import annotations

import io
from typing import Final

import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SIZES: Final = ((640, 480), (480, 640), (600, 600), (800, 450))
QUALITIES: Final = (75, 55, 40)
JPEG_BYTES: Final = 34_000
SECONDS: Final = 3.0
RATES: Final = (16_000, 22_050, 44_100, 48_000)


def jpeg(random: np.random.Generator) -> bytes:
    """A picture of about 30 kB: a smooth background, shapes, grain."""
    width, height = SIZES[random.integers(len(SIZES))]
    coarse = random.integers(0, 256, (random.integers(3, 9), random.integers(3, 9), 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(picture)
    for _ in range(random.integers(4, 24)):
        x, y = random.integers(0, width), random.integers(0, height)
        w, h = random.integers(8, width // 3, 2)
        colour = tuple(int(level) for level in random.integers(0, 256, 3))
        (draw.ellipse if random.random() < 0.5 else draw.rectangle)([x, y, x + w, y + h], fill=colour)
    patch = random.integers(0, random.integers(6, 24), (96, 96, 1), dtype=np.uint8)
    grain = np.tile(patch, (-(-height // 96), -(-width // 96), 1))[:height, :width]
    grainy = np.asarray(picture) // 8 * 7 + grain  # at most 240: nothing wraps
    return _encoded(Image.fromarray(grainy))


def _encoded(picture: Image.Image) -> bytes:
    data = b""
    for quality in QUALITIES:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality)
        data = buffer.getvalue()
        if len(data) <= JPEG_BYTES:
            break
    return data


def sound(random: np.random.Generator) -> tuple[bytes, str]:
    """About three seconds as (bytes, media type): 16-bit WAV at 16 kHz, or OGG Vorbis at any rate."""
    wav = random.random() < 0.5
    rate = RATES[0] if wav else int(random.choice(RATES))
    samples = _wave(random, rate, SECONDS * random.uniform(0.8, 1.2))
    buffer = io.BytesIO()
    if wav:
        soundfile.write(buffer, samples, rate, format="WAV", subtype="PCM_16")
        return buffer.getvalue(), "audio/wav"
    soundfile.write(buffer, samples, rate, format="OGG", subtype="VORBIS")
    return buffer.getvalue(), "audio/ogg"


def _wave(random: np.random.Generator, rate: int, seconds: float) -> NDArray[np.float32]:
    """Syllables of a voice-like sum of harmonics, and some noise."""
    time = np.arange(int(rate * seconds), dtype=np.float32) / rate
    pitch = random.uniform(90, 320) * (1 + 0.1 * np.sin(2 * np.pi * random.uniform(0.5, 3) * time))
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    voice = sum(random.uniform(0.2, 1) / k * np.sin(k * phase) for k in range(1, 9))
    syllables = np.clip(np.sin(2 * np.pi * random.uniform(2, 6) * time), 0, 1)
    wave = 0.2 * voice * syllables + random.normal(0, 0.01, len(time))
    return np.clip(wave, -1, 1).astype(np.float32)
