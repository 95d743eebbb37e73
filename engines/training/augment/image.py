"""Pictures as phones and platforms change them: mirrored, cut, recoloured, blurred, compressed."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageEnhance, ImageFilter

from engines.batch import UInt8

Change = Callable[[Image.Image, Generator], Image.Image]


def disturb_image(pixels: UInt8, random: Generator, without: tuple[str, ...] = ()) -> UInt8:
    """``pixels`` uint8 [H, W, 3] after some of `CHANGES`, each by its own chance, in the same shape.

    Leave ``mirror`` out for pictures that hold writing which is to be read.
    """
    image = Image.fromarray(pixels)
    for name, (chance, change) in CHANGES.items():
        if random.random() < chance and name not in without:
            image = change(image, random)
    return np.asarray(image, np.uint8)


def mirror(image: Image.Image, random: Generator) -> Image.Image:
    """Left and right exchanged."""
    del random
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def crop(image: Image.Image, random: Generator) -> Image.Image:
    """A window of 80 to 100 % of each side, drawn out to the size again."""
    width, height = image.size
    w, h = (side * random.uniform(0.8, 1.0) for side in (width, height))
    left, top = random.uniform(0, width - w), random.uniform(0, height - h)
    return image.resize(image.size, Image.Resampling.BILINEAR, box=(left, top, left + w, top + h))


def colour(image: Image.Image, random: Generator) -> Image.Image:
    """Brightness, contrast and saturation times 0.7 to 1.3 each."""
    for kind in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = kind(image).enhance(random.uniform(0.7, 1.3))
    return image


def blur(image: Image.Image, random: Generator) -> Image.Image:
    """A Gaussian blur with a radius of 0.3 to 1 % of the shorter side."""
    radius = max(0.3, min(image.size) * random.uniform(0.003, 0.01))
    return image.filter(ImageFilter.GaussianBlur(radius))


def jpeg(image: Image.Image, random: Generator) -> Image.Image:
    """Written as JPEG of quality 25 to 85, and read back."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=int(random.integers(25, 86)))
    with Image.open(buffer) as again:
        return again.convert("RGB")


CHANGES: Final[Mapping[str, tuple[float, Change]]] = {
    "mirror": (0.5, mirror), "crop": (0.6, crop), "colour": (0.6, colour), "blur": (0.15, blur),
    "jpeg": (0.3, jpeg),
}  # fmt: skip
"""Every change by its name, with how often it is made, in the order in which they are."""
