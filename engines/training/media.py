"""Media of parts, decoded as serving decodes them; what cannot be decoded is named with its row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from engines.batch import Int16, UInt8
from engines.errors import EngineError, MediaError
from engines.preprocess.audio import AudioLimits, decode_audio
from engines.preprocess.image import ImageLimits, decode_image
from engines.preprocess.spec import AudioSpec, ImageSpec
from engines.training.rows import SHOWN
from engines.training.taxonomy import Part

_Row = TypeVar("_Row")


def pixels(parts: Sequence[Part], spec: ImageSpec) -> list[UInt8]:
    """The first frame of each image, uint8 [height, width, 3]; raises EngineError that names the broken."""
    return _all(parts, lambda part: decode_image(part.read(), spec, ImageLimits())[0])


def samples(parts: Sequence[Part], spec: AudioSpec) -> list[Int16]:
    """Each sound, int16 [n], mono at the specification's rate; raises EngineError that names the broken."""
    return _all(parts, lambda part: decode_audio(part.read(), spec, AudioLimits()).samples)


def _all(parts: Sequence[Part], decode: Callable[[Part], _Row]) -> list[_Row]:
    out: list[_Row] = []
    broken: list[str] = []
    for part in parts:
        try:
            out.append(decode(part))
        except (MediaError, OSError) as error:
            name = part.content.name if isinstance(part.content, Path) else "its bytes"
            broken.append(f"{part.where or 'a generated part'}: {name}: {error}")
    if broken:
        more = [f"and {len(broken) - SHOWN} more"] if len(broken) > SHOWN else []
        raise EngineError(
            f"{len(broken)} media cannot be decoded",
            why="\n  " + "\n  ".join(broken[:SHOWN] + more) + "\n",
            remedy="Replace them, or leave such rows out with --skip-broken",
        )
    return out
