"""Drawn images: stickers, scenes, objects, weapons and splashes, banners, crowds and empty places."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator
from typing import Final
from zlib import crc32

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from engines.training import shapes
from engines.training.taxonomy import NEGATIVE, NEUTRAL, POSITIVE, UNKNOWN, Part, split_of

Painter = Callable[[random.Random, ImageDraw.ImageDraw, int], None]

# kind: weight, painter, sentiment, graphic, advertising, family across modalities
_KINDS: Final[dict[str, tuple[float, Painter, int, int, int, int]]] = {
    "happy": (12, shapes.happy, POSITIVE, 0, 0, 2),
    "sad": (12, shapes.sad, NEGATIVE, 0, 0, 2),
    "blank": (6, shapes.blank, NEUTRAL, 0, 0, 2),
    "scene": (10, shapes.scene, NEUTRAL, 0, 0, 2),
    "object": (10, shapes.thing, NEUTRAL, 0, 0, 2),
    "note": (5, shapes.note, NEUTRAL, 0, 0, 2),
    "texture": (4, shapes.texture, NEUTRAL, 0, 0, 2),
    "red": (7, shapes.harmless_red, UNKNOWN, 0, 0, 2),
    "weapon": (8, shapes.weapon, NEGATIVE, 1, 0, 2),
    "splash": (8, shapes.splash, NEGATIVE, 1, 0, 2),
    "banner": (10, shapes.banner, UNKNOWN, 0, 1, 2),
    "crowd": (14, shapes.crowd, UNKNOWN, 0, 0, 0),
    "empty": (14, shapes.empty, UNKNOWN, 0, 0, 1),
}


def images(seed: int, count: int, kinds: tuple[str, ...] | None = None) -> Iterator[Part]:
    """``count`` encoded images (JPEG, PNG or WebP); the same for the same seed."""
    rng = random.Random(f"images {seed}")
    names = list(kinds or _KINDS)
    weights = [_KINDS[name][0] for name in names]
    for _ in range(count):
        yield _image(rng, rng.choices(names, weights)[0])


def _image(rng: random.Random, kind: str) -> Part:
    _, painter, sentiment, graphic, advert, family = _KINDS[kind]
    # Held out: the green-tinted, tilted look, which no training image has.
    held_out = rng.random() < 0.08
    image = paint(rng, painter)
    if held_out:
        tint = Image.new("RGB", image.size, (90, 200, 120))
        image = Image.blend(image, tint, 0.25).rotate(rng.choice((-25, 25)), fillcolor=(120, 160, 130))
    data = encoded(rng, image)
    split = "ood" if held_out else split_of(crc32(data))
    return Part(data, kind, sentiment, {"violence/graphic": graphic, "spam/ads": advert}, family, split)


def paint(rng: random.Random, painter: Painter) -> Image.Image:
    """One drawing with its blemishes: turn, crop, light, blur, noise."""
    size = 128
    ground = shapes.colour(rng, 90, 255)
    image = Image.new("RGB", (size, size), ground)
    painter(rng, ImageDraw.Draw(image), size)
    if rng.random() < 0.5:
        image = image.rotate(rng.uniform(-12, 12), Image.Resampling.BILINEAR, fillcolor=ground)
    if rng.random() < 0.5:
        cut = rng.randint(0, 14)
        image = image.crop((cut, rng.randint(0, cut), size - rng.randint(0, cut), size - cut))
    if rng.random() < 0.3:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 2.0)))
    return lit(rng, image)


def lit(rng: random.Random, image: Image.Image) -> Image.Image:
    """In other light, and with the noise of a sensor half of the time."""
    noise = np.random.default_rng(rng.getrandbits(32))
    pixels = np.asarray(image, np.float32)
    pixels = (pixels - 128) * rng.uniform(0.7, 1.15) + 128 + rng.uniform(-25, 25)
    if rng.random() < 0.5:
        pixels = pixels + noise.normal(0, rng.uniform(2, 18), pixels.shape).astype(np.float32)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def encoded(rng: random.Random, image: Image.Image) -> bytes:
    """The bytes of a JPEG, PNG or WebP file, 64 to 320 pixels wide, perhaps a little stretched."""
    width = rng.choice((64, 96, 128, 200, 320))
    image = image.resize((width, round(width * rng.uniform(0.7, 1.3))), Image.Resampling.BILINEAR)
    file = io.BytesIO()
    style = rng.random()
    if style < 0.6:
        image.save(file, "JPEG", quality=rng.randint(40, 95))
    elif style < 0.9:
        image.save(file, "PNG", compress_level=1)
    else:
        image.save(file, "WEBP", quality=rng.randint(50, 95), method=0)
    return file.getvalue()
