"""Media of parts, decoded as serving decodes them; what cannot be decoded is named with its row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from engines.batch import Int16, UInt8
from engines.errors import EngineError, MediaError
from engines.preprocess.audio import AudioLimits, decode_audio
from engines.preprocess.image import ImageLimits, decode_image
from engines.preprocess.spec import AudioSpec, ImageSpec
from engines.training.rows import SHOWN
from engines.training.taxonomy import Part

if TYPE_CHECKING:
    from engines.training.dataset import Dataset

_Row = TypeVar("_Row")


def pixels(parts: Sequence[Part], spec: ImageSpec) -> list[UInt8]:
    """The first frame of each image, uint8 [height, width, 3]; raises EngineError that names the broken."""
    return _all(parts, lambda part: _pixels(part, spec))


def samples(parts: Sequence[Part], spec: AudioSpec) -> list[Int16]:
    """Each sound, int16 [n], mono at the specification's rate; raises EngineError that names the broken."""
    return _all(parts, lambda part: _samples(part, spec))


def usable(data: Dataset, image: ImageSpec, audio: AudioSpec) -> Dataset:
    """``data`` without the events whose image or sound cannot be decoded; a note says how many they were.

    Decodes everything once to know: call it only where broken media are to be left out.
    """
    keep = np.ones(len(data.events), np.bool_)
    for m, broken in (
        (1, _broken(data.parts[1], lambda part: _pixels(part, image))),
        (2, _broken(data.parts[2], lambda part: _samples(part, audio))),
    ):
        keep &= ~np.isin(data.events.rows[:, m], list(broken))
    return data.pick(keep, "a medium cannot be decoded: left out")


def _pixels(part: Part, spec: ImageSpec) -> UInt8:
    return decode_image(part.read(), spec, ImageLimits())[0]


def _samples(part: Part, spec: AudioSpec) -> Int16:
    return decode_audio(part.read(), spec, AudioLimits()).samples


def _broken(parts: Sequence[Part], decode: Callable[[Part], _Row]) -> dict[int, str]:
    """What is wrong with the parts that cannot be decoded, by their numbers."""
    return {k: fault for k, part in enumerate(parts) if (fault := _try(part, decode)[1])}


def _all(parts: Sequence[Part], decode: Callable[[Part], _Row]) -> list[_Row]:
    tried = [_try(part, decode) for part in parts]
    broken = [fault for _, fault in tried if fault]
    if broken:
        more = [f"and {len(broken) - SHOWN} more"] if len(broken) > SHOWN else []
        raise EngineError(
            f"{len(broken)} media cannot be decoded",
            why="\n".join(broken[:SHOWN] + more),
            remedy="Replace them, or leave such rows out with --skip-broken",
        )
    return [row for row, _ in tried if row is not None]


def _try(part: Part, decode: Callable[[Part], _Row]) -> tuple[_Row | None, str]:
    try:
        return decode(part), ""
    except (MediaError, OSError) as error:
        name = part.content.name if isinstance(part.content, Path) else "its bytes"
        return None, f"{part.where or 'a generated part'}: {name}: {error}"
