"""Stickers: emoji of known feeling laid on grounds of any look, as people post them; and bare grounds."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from zlib import crc32

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

from engines.training import grounds, shapes
from engines.training.drawings import encoded, lit
from engines.training.emoji import Emoji, Sprites
from engines.training.grounds import Grounds
from engines.training.taxonomy import NEUTRAL, Part, split_of

BARE: Final = 0.25
"""Share of pictures without a sticker: they say nothing."""
PALE: Final = "ground"
"""The kind of those parts: their sentiment is neutral because nothing is known, not because all is well."""
_SIZE: Final = 128
_CLEAN: Final = {"violence/graphic": 0, "spam/ads": 0}
_SENTIMENTS: Final = (0.38, 0.26, 0.36)
_FACES: Final = 0.6
_CAPTIONS: Final = (
    "when you see it", "me today", "monday", "same", "haha", "ok", "so this happened", "look", "the end",
    "8 am", "no words", "me and you", "again", "that day", "just now", "lol", "hi", "what", "see you",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Source:
    """What pictures are made of: a font's sprites, the signs that it may show, and grounds."""

    sprites: Sprites
    signs: Sequence[Emoji]
    grounds: Grounds


def stickers(sprites: Sprites, signs: Sequence[Emoji], seed: int, count: int) -> Iterator[Part]:
    """``count`` encoded pictures to learn from and to judge by; the same for the same seed, font and table.

    Signs keep their split. Of what shows signs of `train`, one in ten lies on a ground of a kind that
    training never sees, and is in the split `test`; some more, by a digest, is in `calibrate`. Bare grounds
    are split alike. Raises EngineError where the font has none of the signs.
    """
    rng = random.Random(f"stickers {seed}")
    able = sprites.able(list(signs))
    seen = Grounds(grounds.LEARNT, grounds.photographs(held_out=False))
    unseen = Grounds(grounds.UNSEEN, grounds.photographs(held_out=True))
    for _ in range(count):
        fate = rng.random()
        split = "train" if fate < 0.7 else "calibrate" if fate < 0.77 else "test" if fate < 0.87 else "ood"
        ground = unseen if split == "test" or (split == "ood" and rng.random() < 0.5) else seen
        own = "train" if split == "test" else split
        source = Source(sprites, [sign for sign in able if sign.split == own], ground)
        part = picture(rng, source)
        if split == "train" and split_of(crc32(part.read())) == "calibrate":
            split = "calibrate"
        part.split = split
        yield part


def picture(rng: random.Random, source: Source) -> Part:
    """One encoded picture with its answers: a bare ground, or stickers of one feeling."""
    image = source.grounds.paint(rng, _SIZE)
    by_sentiment: dict[int, list[Emoji]] = defaultdict(list)
    for sign in source.signs:
        by_sentiment[sign.sentiment].append(sign)
    if rng.random() < BARE or not by_sentiment:
        if rng.random() < 0.15:
            _caption(rng, image)
        return Part(encoded(rng, lit(rng, image)), PALE, NEUTRAL, dict(_CLEAN))
    feelings = sorted(by_sentiment)
    sentiment = rng.choices(feelings, [_SENTIMENTS[k] for k in feelings])[0]
    signs = by_sentiment[sentiment]
    kinds = sorted({sign.kind for sign in signs})
    kind = "face" if "face" in kinds and rng.random() < _FACES else rng.choice(kinds)
    _lay(rng, image, source.sprites, [sign for sign in signs if sign.kind == kind])
    if rng.random() < 0.3:
        _caption(rng, image)
    if rng.random() < 0.2:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.5)))
    return Part(encoded(rng, lit(rng, image)), f"sticker {kind}", sentiment, dict(_CLEAN))


def _lay(rng: random.Random, image: Image.Image, sprites: Sprites, signs: Sequence[Emoji]) -> None:
    """One sign large (perhaps cut by the edge), one small, or several."""
    style = rng.random()
    if style < 0.6:
        _paste(rng, image, sprites, rng.choice(signs), rng.uniform(0.55, 0.95), 0.06)
    elif style < 0.72:
        _paste(rng, image, sprites, rng.choice(signs), rng.uniform(1.0, 1.35), 0.1)
    elif style < 0.85:
        _paste(rng, image, sprites, rng.choice(signs), rng.uniform(0.3, 0.55), 0.25)
    else:
        same = rng.choice(signs)
        for _ in range(rng.randint(2, 6)):
            sign = same if rng.random() < 0.5 else rng.choice(signs)
            _paste(rng, image, sprites, sign, rng.uniform(0.28, 0.5), 0.33)


def _paste(
    rng: random.Random, image: Image.Image, sprites: Sprites, sign: Emoji, scale: float, astray: float
) -> None:
    sprite = sprites.draw(sign.sign)
    assert sprite is not None  # only signs that the font has are chosen
    sprite = _changed(rng, sprite)
    factor = scale * _SIZE / max(sprite.size)
    size = tuple(max(8, round(side * factor)) for side in sprite.size)
    sprite = sprite.resize((size[0], size[1]), Image.Resampling.BILINEAR)
    if rng.random() < 0.6:
        sprite = sprite.rotate(rng.gauss(0, 14), Image.Resampling.BILINEAR, expand=True)
    x, y = (
        round(_SIZE * (0.5 + rng.uniform(-astray, astray)) - side / 2)
        for side in (sprite.width, sprite.height)
    )
    image.paste(sprite, (x, y), sprite)


def _changed(rng: random.Random, sprite: Image.Image) -> Image.Image:
    """As another hand might have drawn it: mirrored, other colours, greys, an outline, a shadow of white."""
    alpha = sprite.getchannel("A")
    colours = sprite.convert("RGB")
    if rng.random() < 0.3:
        hue, saturation, value = colours.convert("HSV").split()
        turn = rng.randint(-30, 30) if rng.random() < 0.7 else rng.randint(0, 255)
        colours = Image.merge("HSV", (hue.point(lambda h: (h + turn) % 256), saturation, value)).convert(
            "RGB"
        )
    if rng.random() < 0.1:
        colours = ImageOps.grayscale(colours).convert("RGB")
    if rng.random() < 0.15:
        colours = ImageOps.posterize(colours, rng.randint(2, 4))
    if rng.random() < 0.2:
        edges = ImageOps.invert(ImageOps.grayscale(colours).filter(ImageFilter.FIND_EDGES)).convert("RGB")
        drawn = edges if rng.random() < 0.4 else ImageChops.multiply(colours, edges)
        colours = drawn
    out = colours.convert("RGBA")
    out.putalpha(alpha)
    if rng.random() < 0.5:
        out = ImageOps.mirror(out)
    return _rimmed(out) if rng.random() < 0.2 else out


def _rimmed(sprite: Image.Image) -> Image.Image:
    """With the white rim of a sticker."""
    whole = ImageOps.expand(sprite, 6, (0, 0, 0, 0))
    wide = whole.getchannel("A").filter(ImageFilter.MaxFilter(9))
    rim = Image.new("RGBA", whole.size, "white")
    rim.putalpha(wide)
    return Image.alpha_composite(rim, whole)


def _caption(rng: random.Random, image: Image.Image) -> None:
    """A line of writing that says nothing, above or below, perhaps on a bar."""
    draw = ImageDraw.Draw(image)
    top = rng.choice((2, _SIZE - 22))
    ink = shapes.colour(rng)
    if rng.random() < 0.5:
        draw.rectangle((0, top - 2, _SIZE, top + 20), fill=(255, 255, 255))
        ink = (20, 20, 20)
    draw.text((rng.randint(2, 30), top), rng.choice(_CAPTIONS), fill=ink, font_size=rng.randint(10, 18))
