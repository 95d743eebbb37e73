"""What a text becomes."""

from __future__ import annotations

from typing import Final, NamedTuple

from engines.batch import Int32

EMPTY: Final = 1
"""The id that stands for a text without any token; 0 is padding."""


class Encoded(NamedTuple):
    """One int32 [length] for each of the spec's channels, and whether the text had more."""

    channels: tuple[Int32, ...]
    truncated: bool
