"""Draws the media of the samples; run it when they change: `python -m service.samples.draw`.

Nothing imports this file at run time. It needs the generator that the starter was trained with, so that the
samples look and sound like what the starter knows; every seed below was picked by eye or ear.
"""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
from PIL import Image, ImageDraw

from engines.training import shapes, sounds
from engines.training.drawings import Painter, paint

MEDIA: Final = Path(__file__).parent / "media"

# file: painter, seed
PICTURES: Final[dict[str, tuple[Painter, int]]] = {
    "smile.jpg": (shapes.happy, 1),
    "frown.png": (shapes.sad, 2),
    "street.jpg": (shapes.scene, 3),
    "hammer.webp": (shapes.harmless_red, 4),
    "sale.jpg": (shapes.banner, 5),
    "blade.png": (shapes.weapon, 6),
    "splash.jpg": (shapes.splash, 7),
    "crowd.jpg": (shapes.crowd, 8),
    "empty.jpg": (shapes.empty, 9),
    "box.webp": (shapes.thing, 10),
}

# file: maker, seed, seconds
SOUNDS: Final[dict[str, tuple[Callable[..., sounds.Wave], int, float]]] = {
    "calm.wav": (sounds.calm, 1, 1.6),
    "cheerful.ogg": (sounds.cheerful, 2, 2.0),
    "laughing.mp3": (sounds.laughing, 3, 2.0),
    "angry.flac": (sounds.angry, 4, 1.8),
    "weary.ogg": (sounds.weary, 5, 2.4),
    "scream.ogg": (sounds.scream, 6, 1.6),
    "alarm.mp3": (sounds.alarm, 7, 2.0),
    "melody.ogg": (sounds.melody, 8, 2.2),
}


def main() -> None:
    """Write every file anew."""
    MEDIA.mkdir(exist_ok=True)
    for name, (painter, seed) in PICTURES.items():
        _save(paint(random.Random(seed), painter), name)
    for name, (make, seed, seconds) in SOUNDS.items():
        wave = make(np.random.default_rng(seed), int(seconds * sounds.RATE), 1.0)
        soundfile.write(MEDIA / name, wave / np.abs(wave).max() * 0.7, sounds.RATE)
    _animate("wave.gif", shapes.happy, 11)
    whole = (MEDIA / "frown.png").read_bytes()
    (MEDIA / "cut-off.png").write_bytes(whole[: len(whole) // 3])
    (MEDIA / "bomb.png").write_bytes(_bomb(60_000))


def _save(image: Image.Image, name: str) -> None:
    image.convert("RGB").resize((160, 160)).save(MEDIA / name, quality=85)


def _animate(name: str, painter: Painter, seed: int) -> None:
    frames = []
    for shift in range(4):
        image = Image.new("RGB", (128, 128), (210, 230, 250))
        painter(random.Random(seed), ImageDraw.Draw(image), 128)
        frames.append(image.rotate(6 * (shift - 1.5), fillcolor=(210, 230, 250)))
    frames[0].save(MEDIA / name, save_all=True, append_images=frames[1:], duration=120, loop=0)


def _bomb(side: int) -> bytes:
    """A PNG of a few bytes whose header claims `side` × `side` pixels."""
    file = io.BytesIO(b"\x89PNG\r\n\x1a\n")
    file.seek(0, io.SEEK_END)
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000), 9)), (b"IEND", b"")):
        file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
    return file.getvalue()


if __name__ == "__main__":
    main()
