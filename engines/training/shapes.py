"""Painters: each draws one kind of picture on a square canvas, different every time."""

from __future__ import annotations

import math
import random

from PIL import ImageDraw

Draw = ImageDraw.ImageDraw
Colour = tuple[int, int, int]


def colour(rng: random.Random, low: int = 0, high: int = 255) -> Colour:
    """Any colour whose channels lie between ``low`` and ``high``."""
    return rng.randint(low, high), rng.randint(low, high), rng.randint(low, high)


def _red(rng: random.Random) -> Colour:
    return rng.randint(130, 225), rng.randint(0, 40), rng.randint(0, 45)


def _dot(draw: Draw, x: float, y: float, r: float, fill: Colour, ry: float | None = None) -> None:
    draw.ellipse((x - r, y - (ry or r), x + r, y + (ry or r)), fill=fill)


def _face(rng: random.Random, draw: Draw, size: int) -> tuple[float, float, float]:
    radius = size * rng.uniform(0.26, 0.44)
    x, y = size / 2 + rng.uniform(-10, 10), size / 2 + rng.uniform(-10, 10)
    skin = rng.choice(
        ((255, 210, 60), (250, 190, 90), (255, 225, 180), (200, 150, 110), (255, 160, 170), (150, 200, 255))
    )
    _dot(draw, x, y, radius, skin)
    for side in (-1, 1):
        _dot(
            draw, x + side * radius * 0.38, y - radius * 0.25, radius * rng.uniform(0.08, 0.15), (30, 25, 25)
        )
    return x, y, radius


def happy(rng: random.Random, draw: Draw, size: int) -> None:
    """A smiling face, hearts, a sun, or balloons with a cake."""
    style = rng.random()
    if style < 0.6:
        x, y, r = _face(rng, draw, size)
        box = (x - r * 0.55, y - r * 0.35, x + r * 0.55, y + r * 0.6)
        if rng.random() < 0.4:
            draw.chord(box, 10, 170, fill=(140, 30, 40))
        else:
            draw.arc(box, 15, 165, fill=(60, 20, 20), width=max(2, int(r * 0.12)))
        if rng.random() < 0.3:
            for side in (-1, 1):
                _dot(draw, x + side * r * 0.65, y + r * 0.15, r * 0.14, (255, 130, 140))
    elif style < 0.75:
        for _ in range(rng.randint(1, 5)):
            _heart(draw, rng.uniform(25, size - 25), rng.uniform(25, size - 25), rng.uniform(12, 30), rng)
    elif style < 0.88:
        x, y, r = size / 2, size / 2, size * rng.uniform(0.15, 0.25)
        for k in range(12):
            a = k * math.pi / 6
            draw.line(
                (x, y, x + 1.8 * r * math.cos(a), y + 1.8 * r * math.sin(a)), fill=(255, 190, 20), width=4
            )
        _dot(draw, x, y, r, (255, 220, 50))
    else:
        for _ in range(rng.randint(3, 6)):
            x, y = rng.uniform(15, size - 15), rng.uniform(15, size * 0.6)
            draw.line((x, y, size / 2, size), fill=(90, 90, 90), width=1)
            _dot(draw, x, y, 12, colour(rng, 80, 255), 15)


def _heart(draw: Draw, x: float, y: float, r: float, rng: random.Random) -> None:
    fill = (rng.randint(225, 255), rng.randint(60, 120), rng.randint(120, 190))
    _dot(draw, x - r / 2, y - r / 4, r * 0.56, fill)
    _dot(draw, x + r / 2, y - r / 4, r * 0.56, fill)
    draw.polygon([(x - r, y), (x + r, y), (x, y + r * 1.2)], fill=fill)


def sad(rng: random.Random, draw: Draw, size: int) -> None:
    """A frowning, crying or angry face, or a rain cloud."""
    if rng.random() < 0.82:
        x, y, r = _face(rng, draw, size)
        draw.arc(
            (x - r * 0.5, y + r * 0.2, x + r * 0.5, y + r * 1.0),
            195,
            345,
            fill=(60, 20, 20),
            width=max(2, int(r * 0.12)),
        )
        if rng.random() < 0.45:
            for side in (-1, 1):
                _dot(draw, x + side * r * 0.42, y + r * 0.12, r * 0.09, (70, 140, 250), r * 0.22)
        if rng.random() < 0.5:
            for side in (-1, 1):
                ends = (x + side * r * 0.6, y - r * 0.6, x + side * r * 0.15, y - r * 0.38)
                draw.line(ends, fill=(50, 20, 20), width=max(2, int(r * 0.1)))
    else:
        draw.rectangle((0, 0, size, size), fill=(rng.randint(70, 120),) * 3)
        for _ in range(5):
            _dot(draw, rng.uniform(35, size - 35), rng.uniform(30, 50), 20, (rng.randint(40, 70),) * 3)
        for _ in range(30):
            x, y = rng.uniform(20, size - 20), rng.uniform(60, size - 10)
            draw.line((x, y, x - 3, y + 10), fill=(90, 120, 190), width=2)


def blank(rng: random.Random, draw: Draw, size: int) -> None:
    """A face with a straight mouth."""
    x, y, r = _face(rng, draw, size)
    draw.line(
        (x - r * 0.4, y + r * 0.4, x + r * 0.4, y + r * rng.uniform(0.37, 0.43)),
        fill=(60, 20, 20),
        width=max(2, int(r * 0.1)),
    )


def scene(rng: random.Random, draw: Draw, size: int) -> None:
    """Sky and ground with a house, trees, a road or towers."""
    horizon = size * rng.uniform(0.4, 0.7)
    draw.rectangle(
        (0, 0, size, horizon), fill=(rng.randint(110, 190), rng.randint(170, 220), rng.randint(210, 255))
    )
    draw.rectangle(
        (0, horizon, size, size),
        fill=rng.choice(((90, 160, 80), (120, 120, 125), (60, 120, 190), (190, 170, 120))),
    )
    for _ in range(rng.randint(2, 5)):
        x, w, h = rng.uniform(5, size - 30), rng.uniform(10, 28), rng.uniform(20, 50)
        style = rng.random()
        if style < 0.4:
            draw.rectangle((x, horizon - h, x + w, horizon + 4), fill=colour(rng, 70, 200))
            draw.polygon(
                [(x - 3, horizon - h), (x + w + 3, horizon - h), (x + w / 2, horizon - h - 14)],
                fill=colour(rng, 60, 180),
            )
        elif style < 0.75:
            draw.rectangle((x + 6, horizon - 18, x + 10, horizon + 5), fill=(110, 75, 40))
            _dot(draw, x + 8, horizon - 26, 13, (40, rng.randint(110, 160), 50))
        else:
            draw.polygon(
                [(x - 25, horizon), (x + 45, horizon), (x + 10, horizon - h)], fill=colour(rng, 90, 160)
            )


def thing(rng: random.Random, draw: Draw, size: int) -> None:
    """A cup, a box, a book, a chart, a phone or a ball."""
    fill, x, y = colour(rng, 30, 230), size * rng.uniform(0.3, 0.5), size * rng.uniform(0.3, 0.5)
    w, h = size * rng.uniform(0.25, 0.45), size * rng.uniform(0.25, 0.45)
    style = rng.randrange(5)
    if style == 0:
        draw.rectangle((x, y, x + w, y + h), fill=fill)
        draw.arc((x + w - 8, y + 5, x + w + 16, y + h - 8), 270, 90, fill=fill, width=5)
    elif style == 1:
        draw.rectangle((x, y, x + w, y + h), fill=fill, outline=(40, 40, 40), width=2)
        draw.line((x, y + h / 3, x + w, y + h / 3), fill=(40, 40, 40), width=2)
    elif style == 2:
        for k in range(5):
            draw.rectangle((20 + k * 18, size - 20 - rng.uniform(10, 80), 32 + k * 18, size - 20), fill=fill)
    elif style == 3:
        draw.rounded_rectangle((x, y - 10, x + w * 0.7, y + h + 20), 6, fill=(40, 40, 45))
        draw.rectangle((x + 4, y - 2, x + w * 0.7 - 4, y + h + 10), fill=colour(rng, 120, 255))
    else:
        _dot(draw, x + w / 2, y + h / 2, w * 0.6, fill)


def note(rng: random.Random, draw: Draw, size: int) -> None:
    """A page or a chat in plain lines: writing that sells nothing."""
    draw.rectangle((8, 6, size - 8, size - 6), fill=(rng.randint(225, 255),) * 3)
    for row in range(rng.randint(5, 10)):
        y = 16 + row * 11
        draw.line(
            (16, y, 16 + rng.uniform(30, size - 34), y),
            fill=(rng.randint(30, 110),) * 3,
            width=rng.randint(1, 3),
        )


def texture(rng: random.Random, draw: Draw, size: int) -> None:
    """Stripes, tiles or blots of any colour: nothing in particular."""
    for _ in range(rng.randint(6, 30)):
        x, y = rng.uniform(-20, size), rng.uniform(-20, size)
        box = (x, y, x + rng.uniform(5, 60), y + rng.uniform(5, 60))
        (draw.rectangle if rng.random() < 0.5 else draw.ellipse)(box, fill=colour(rng))


def harmless_red(rng: random.Random, draw: Draw, size: int) -> None:
    """Red without harm (a flower, berries, a red ball or car) and tools that are no weapons."""
    style = rng.randrange(4)
    if style == 0:
        for k in range(6):
            a = k * math.pi / 3
            _dot(draw, size / 2 + 22 * math.cos(a), size * 0.4 + 22 * math.sin(a), 16, _red(rng))
        _dot(draw, size / 2, size * 0.4, 13, (250, 210, 60))
        draw.line((size / 2, size * 0.6, size / 2, size), fill=(40, 140, 50), width=5)
    elif style == 1:
        for _ in range(rng.randint(2, 6)):
            x, y = rng.uniform(25, size - 25), rng.uniform(30, size - 25)
            _dot(draw, x, y, 13, _red(rng), 15)
            draw.polygon([(x - 8, y - 14), (x + 8, y - 14), (x, y - 6)], fill=(40, 150, 60))
    elif style == 2:
        draw.rounded_rectangle((20, 60, 108, 90), 8, fill=_red(rng))
        draw.rounded_rectangle((40, 42, 88, 64), 8, fill=_red(rng))
        for x in (40, 88):
            _dot(draw, x, 92, 11, (30, 30, 30))
    else:
        draw.line((64, 40, 64, 115), fill=(150, 100, 50), width=8)
        draw.rectangle((38, 28, 92, 46), fill=(rng.randint(60, 130),) * 3)


def _blots(rng: random.Random, draw: Draw, size: int, count: int) -> None:
    fill = _red(rng)
    x, y = rng.uniform(35, size - 35), rng.uniform(35, size - 35)
    for _ in range(count):
        a, d = rng.uniform(0, 2 * math.pi), abs(rng.gauss(0, 24))
        _dot(
            draw,
            x + d * math.cos(a),
            y + d * math.sin(a),
            rng.uniform(1.5, 12) * (1.4 if d < 15 else 0.7),
            fill,
        )
    for _ in range(rng.randint(1, 5)):
        left = x + rng.uniform(-20, 20)
        draw.line(
            (left, y, left + rng.uniform(-2, 2), y + rng.uniform(15, 50)), fill=fill, width=rng.randint(2, 5)
        )


def weapon(rng: random.Random, draw: Draw, size: int) -> None:
    """A pistol, a rifle or a knife, sometimes with splashes."""
    metal = (rng.randint(15, 80),) * 3
    x, y, s = size * rng.uniform(0.15, 0.3), size * rng.uniform(0.3, 0.5), rng.uniform(0.8, 1.2)
    style = rng.randrange(3)
    if style == 0:
        draw.rectangle((x, y, x + 75 * s, y + 17 * s), fill=metal)
        draw.polygon(
            [(x, y + 10), (x + 24 * s, y + 12), (x + 15 * s, y + 52 * s), (x - 8 * s, y + 52 * s)], fill=metal
        )
        draw.arc((x + 20 * s, y + 12 * s, x + 42 * s, y + 32 * s), 0, 180, fill=metal, width=3)
    elif style == 1:
        draw.rectangle((x - 10, y, x + 95 * s, y + 7), fill=metal)
        draw.polygon([(x - 15, y), (x + 22, y), (x + 12, y + 16), (x - 15, y + 24)], fill=(100, 65, 35))
        draw.polygon([(x + 38, y + 6), (x + 50, y + 6), (x + 56, y + 30), (x + 44, y + 30)], fill=metal)
    else:
        steel = (rng.randint(160, 225),) * 3
        draw.polygon([(x, y), (x + 70 * s, y + 2), (x + 58 * s, y + 17), (x, y + 17)], fill=steel)
        draw.rounded_rectangle((x - 28 * s, y, x, y + 15), 4, fill=(60, 40, 25))
    if rng.random() < 0.4:
        _blots(rng, draw, size, 15)


def splash(rng: random.Random, draw: Draw, size: int) -> None:
    """Blood-like splashes on a floor, a wall, or beside a lying figure."""
    if rng.random() < 0.5:
        skin = rng.choice(((230, 190, 160), (150, 105, 75), (90, 90, 110)))
        y = size * rng.uniform(0.5, 0.75)
        _dot(draw, 28, y, 11, skin)
        draw.rounded_rectangle((40, y - 10, 105, y + 10), 8, fill=colour(rng, 40, 160))
    for _ in range(rng.randint(1, 3)):
        _blots(rng, draw, size, rng.randint(15, 40))


def banner(rng: random.Random, draw: Draw, size: int) -> None:
    """An advertisement: loud ground, star burst, big writing, a price, perhaps a QR block."""
    draw.rectangle(
        (0, 0, size, size),
        fill=rng.choice(((235, 40, 40), (255, 200, 0), (250, 110, 20), (220, 30, 120), (20, 90, 220))),
    )
    x, y, r = rng.uniform(35, size - 35), rng.uniform(35, 55), rng.uniform(26, 38)
    burst = [
        (
            x + (r if k % 2 else r * 0.7) * math.cos(k * math.pi / 10),
            y + (r if k % 2 else r * 0.7) * math.sin(k * math.pi / 10),
        )
        for k in range(20)
    ]
    draw.polygon(burst, fill=(255, 245, 90))
    words = rng.choice(("SALE", "50%", "-70%", "BUY", "FREE", "WIN", "$9.9", "DEAL", "80%"))
    draw.text((x - 22, y - 10), words, fill=(200, 0, 0), font_size=rng.randint(17, 24))
    draw.text(
        (8, size - 40),
        rng.choice(("BUY NOW", "CLICK", "ONLY TODAY", "CALL NOW", "HOT DEAL")),
        fill="white",
        font_size=rng.randint(16, 24),
    )
    if rng.random() < 0.5:
        left, top = rng.choice((10, size - 46)), size - 60
        draw.rectangle((left, top, left + 36, top + 36), fill="white")
        for _ in range(45):
            cx, cy = left + 4 * rng.randrange(9), top + 4 * rng.randrange(9)
            draw.rectangle((cx, cy, cx + 3, cy + 3), fill="black")


def _place(rng: random.Random, draw: Draw, size: int) -> float:
    horizon = size * rng.uniform(0.3, 0.5)
    draw.rectangle(
        (0, 0, size, horizon), fill=(rng.randint(130, 220), rng.randint(150, 220), rng.randint(170, 250))
    )
    draw.rectangle(
        (0, horizon, size, size),
        fill=rng.choice(((200, 180, 130), (150, 150, 150), (120, 160, 100), (180, 160, 150))),
    )
    return horizon


def crowd(rng: random.Random, draw: Draw, size: int) -> None:
    """A place full of people."""
    horizon = _place(rng, draw, size)
    for row in range(4):
        y = horizon + 6 + row * (size - horizon) / 4.5
        for k in range(rng.randint(5, 9)):
            x = (k + rng.uniform(0.1, 0.9)) * size / 8
            skin = rng.choice(((250, 210, 170), (200, 150, 110), (120, 80, 55)))
            draw.rounded_rectangle((x - 7, y + 5, x + 7, y + 28), 4, fill=colour(rng, 20, 230))
            _dot(draw, x, y, 5.5, skin)


def empty(rng: random.Random, draw: Draw, size: int) -> None:
    """The same places with nobody in them: a bush, a tumbleweed, tracks."""
    horizon = _place(rng, draw, size)
    for _ in range(rng.randint(0, 2)):
        x, y, r = rng.uniform(20, size - 20), rng.uniform(horizon + 10, size - 15), rng.uniform(5, 13)
        for _ in range(6):
            box = (x - r, y - r * rng.uniform(0.4, 1), x + r, y + r * rng.uniform(0.4, 1))
            draw.arc(box, rng.randint(0, 180), rng.randint(190, 360), fill=(120, 90, 50), width=2)
    for _ in range(rng.randint(0, 4)):
        y = rng.uniform(horizon + 5, size)
        draw.line((0, y, size, y + rng.uniform(-8, 8)), fill=(140, 125, 100), width=1)
