"""What stickers lie on, and pictures that show nothing a model was taught: any ground, photographs."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from engines.errors import EngineError
from engines.training import shapes

Pixels = NDArray[np.float32]
Painter = Callable[[Generator, int], Pixels]

PHOTOGRAPHS: Final = {
    "sklearn": ("datasets/images", ("china.jpg", "flower.jpg")),
    "skimage": ("data", ("astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "coins.png",
                         "grass.png", "gravel.png", "hubble_deep_field.jpg", "rocket.jpg")),
}  # fmt: skip
"""Photographs inside packages: scikit-learn's two are CC BY 2.0 (danielbuechele and vultilion, Flickr),
scikit-image's are CC0 or in the public domain."""
_INSTALLS: Final = {"sklearn": ("scikit-learn", "train"), "skimage": ("scikit-image", "pictures")}
HELD_OUT: Final = ("astronaut.png", "camera.png", "coffee.png", "chelsea.png", "rocket.jpg")
"""Photographs that only judge."""


def plain(rng: Generator, size: int) -> Pixels:
    """One colour, often white or black as messengers have it."""
    own = rng.choice([255.0, 245.0, 20.0, 0.0]) if rng.random() < 0.5 else rng.uniform(0, 255, 3)
    return np.broadcast_to(np.float32(own), (size, size, 3)).copy()


def gradient(rng: Generator, size: int) -> Pixels:
    """From one colour to another, in any direction."""
    y, x = np.mgrid[0:size, 0:size] / size
    angle = rng.uniform(0, 2 * np.pi)
    way = np.cos(angle) * x + np.sin(angle) * y
    way = ((way - way.min()) / (np.ptp(way) + 1e-6))[..., None]
    ends = rng.uniform(0, 255, (2, 3))
    return np.asarray(ends[0] * (1 - way) + ends[1] * way, np.float32)


def noise(rng: Generator, size: int) -> Pixels:
    """Every pixel for itself."""
    spread = rng.uniform(10, 90)
    return np.asarray(rng.uniform(40, 215, 3) + rng.normal(0, spread, (size, size, 3)), np.float32)


def clouds(rng: Generator, size: int) -> Pixels:
    """Noise whose power falls with frequency, as that of natural pictures does, in mixed colours."""
    y, x = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :]
    fall = np.maximum(np.hypot(x, y), 1 / size) ** -rng.uniform(0.7, 1.8)
    layers = [_scaled(np.fft.irfft2(np.fft.rfft2(rng.standard_normal((size, size))) * fall, (size, size)))
              for _ in range(3)]  # fmt: skip
    mixed = np.stack(layers, -1) @ rng.uniform(-0.3, 1, (3, 3)) * rng.uniform(25, 60)
    return np.asarray(mixed + rng.uniform(60, 190, 3), np.float32)


def blobs(rng: Generator, size: int) -> Pixels:
    """Blurred shapes of any colour, as a camera out of focus sees them."""
    own = random.Random(int(rng.integers(2**32)))
    image = Image.new("RGB", (size, size), shapes.colour(own))
    shapes.texture(own, ImageDraw.Draw(image), size)
    return np.asarray(image.filter(ImageFilter.GaussianBlur(rng.uniform(2, 12))), np.float32)


def stripes(rng: Generator, size: int) -> Pixels:
    """Waves of two colours."""
    y, x = np.mgrid[0:size, 0:size]
    way = np.sin((x * rng.normal() + y * rng.normal()) * rng.uniform(0.05, 0.5))[..., None]
    ends = rng.uniform(0, 255, (2, 3))
    return np.asarray((ends[0] * (1 + way) + ends[1] * (1 - way)) / 2, np.float32)


def landscape(rng: Generator, size: int) -> Pixels:
    """Sky over land with a rough edge, both textured: the layout of a photograph, without its things."""
    edge = size * rng.uniform(0.3, 0.7) + np.cumsum(rng.normal(0, 0.8, size))
    below = (np.arange(size)[:, None] > edge[None, :])[..., None]
    picture = np.where(below, clouds(rng, size) * 0.8, gradient(rng, size) * 0.5 + 110)
    return np.asarray(picture + rng.normal(0, 4, picture.shape), np.float32)


def tiles(rng: Generator, size: int) -> Pixels:
    """A wall of tiles in two colours (held out)."""
    y, x = np.mgrid[0:size, 0:size] // int(rng.integers(6, 30))
    ends = rng.uniform(0, 255, (2, 3))
    return np.asarray(ends[(x + y) % 2], np.float32)


def rings(rng: Generator, size: int) -> Pixels:
    """Rings around a point, darker outwards (held out)."""
    y, x = np.mgrid[0:size, 0:size]
    far = np.hypot(x - rng.uniform(0, size), y - rng.uniform(0, size))[..., None]
    wave = np.sin(far * rng.uniform(0.08, 0.5))
    return np.asarray(rng.uniform(60, 230, 3) + wave * rng.uniform(10, 70, 3) - far * 0.4, np.float32)


LEARNT: Final[tuple[Painter, ...]] = (plain, plain, gradient, noise, clouds, blobs, stripes, landscape)
UNSEEN: Final[tuple[Painter, ...]] = (tiles, rings)


class Grounds:
    """Square grounds, different every time; ``photographs`` are cut from."""

    def __init__(self, painters: Sequence[Painter], photographs: Sequence[Image.Image] = ()) -> None:
        self.painters, self._photographs = tuple(painters), photographs

    def paint(self, rng: random.Random, size: int) -> Image.Image:
        """A painted ground, or in one of four a piece of a photograph where there are any."""
        if self._photographs and rng.random() < 0.25:
            return self.photograph(rng, size)
        own = np.random.default_rng(rng.getrandbits(32))
        pixels = rng.choice(self.painters)(own, size)
        return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))

    def photograph(self, rng: random.Random, size: int) -> Image.Image:
        """A square piece of a photograph, at least a third of its shorter side."""
        whole = rng.choice(self._photographs)
        side = min(whole.size) * rng.uniform(0.33, 1.0)
        x, y = rng.uniform(0, whole.width - side), rng.uniform(0, whole.height - side)
        return whole.resize((size, size), Image.Resampling.BILINEAR, box=(x, y, x + side, y + side))


def photographs(held_out: bool) -> list[Image.Image]:
    """Those of the packages that are installed, RGB of at most 400 pixels; none is needed."""
    found = []
    for package, (folder, names) in PHOTOGRAPHS.items():
        home = _home(package)
        for name in names:
            if home and (name in HELD_OUT) == held_out and (home / folder / name).is_file():
                with Image.open(home / folder / name) as image:
                    whole = image.convert("RGB")
                whole.thumbnail((400, 400))
                found.append(whole)
    return found


def need_photographs() -> None:
    """Raises EngineError where a photograph of `PHOTOGRAPHS` is not there: a bundle that names them as its
    sources has seen them all.
    """
    for package, (folder, names) in PHOTOGRAPHS.items():
        home = _home(package)
        lacking = names if home is None else [name for name in names if not (home / folder / name).is_file()]
        if lacking:
            own, extra = _INSTALLS[package]
            raise EngineError(
                "Photographs are missing that pictures are laid on", where=own,
                why="the package is not installed" if home is None else f"it lacks {', '.join(lacking)}",
                remedy=f"pip install 'tidegate[{extra}]'",
            )  # fmt: skip


def _home(package: str) -> Path | None:
    spec = find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


def _scaled(layer: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((layer - layer.mean()) / (layer.std() + 1e-9))
