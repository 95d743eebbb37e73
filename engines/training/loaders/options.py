"""What a person may say about a file that it doesn't say itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """How to read a file.

    ``lang`` and ``source`` hold for rows that name none; ``mapping`` overrides what a layout's columns are
    called among our labels, where an empty name leaves the column out; ``media`` is the folder of the media
    where it isn't the file's own; ``encoding`` is that of the text, else it is found by trial; what rows say
    of the labels ``without`` (or of ``sentiment``) is not read.
    """

    lang: str = ""
    source: str = ""
    mapping: Mapping[str, str] = field(default_factory=dict)
    media: Path | None = None
    encoding: str = ""
    without: tuple[str, ...] = ()
