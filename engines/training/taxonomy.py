"""What the starter bundle can say, and the shape of one annotated part of an event."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from engines.labels import Label, Labels

_TEXT, _IMAGE, _AUDIO = frozenset({"text"}), frozenset({"image"}), frozenset({"audio"})

LABELS: Final = Labels(
    (
        Label("harassment", (_TEXT,), description="insults and bullying of a person"),
        Label(
            "violence", (_TEXT, _AUDIO), description="threats and calls for violence; screams, shots, alarms"
        ),
        Label("violence/graphic", (_IMAGE,), description="drawn weapons and blood-like splashes"),
        Label("self_harm", (_TEXT,), description="wish or plan to hurt or kill oneself"),
        Label("illicit/drugs", (_TEXT,), description="trade in drugs"),
        Label("illicit/fraud", (_TEXT,), description="scams and phishing"),
        Label("spam/ads", (_TEXT, _IMAGE), description="unsolicited advertising"),
        Label("profanity", (_TEXT,), description="swear words, aimed at nobody"),
        Label(
            "hate", (_TEXT | _IMAGE,), description="a group told to go, by what text and image say together"
        ),
    )
)
"""The starter's labels with their evidence."""

NAMES: Final = LABELS.names
NEGATIVE, NEUTRAL, POSITIVE, UNKNOWN = 0, 1, 2, -1
"""Sentiments, and what was not annotated (sentiment, label or factor)."""


@dataclass(slots=True)
class Part:
    """One text, image or sound with what it says alone.

    ``content`` is the text, or the bytes or path of a media file; ``labels`` hold only what was annotated, as
    0 or 1; ``factor`` names the family that matters across modalities (0 or 1; 2 = neither); ``split`` is
    train, calibrate, test or ood (held-out templates, shapes and voices); ``where`` is the file and line that
    it came from.
    """

    content: str | bytes | Path
    kind: str
    sentiment: int = UNKNOWN
    labels: dict[str, int] = field(default_factory=dict)
    factor: int = 2
    split: str = "train"
    lang: str = ""
    where: str = field(default="", compare=False)

    def read(self) -> bytes:
        """The bytes of the medium; raises OSError."""
        if isinstance(self.content, Path):
            return self.content.read_bytes()
        return self.content if isinstance(self.content, bytes) else self.content.encode()


def split_of(digest: int) -> str:
    """The split of a part from a hash of its content, so that equal parts never lie in two splits."""
    bucket = digest % 20
    return "test" if bucket < 2 else "calibrate" if bucket < 4 else "train"
