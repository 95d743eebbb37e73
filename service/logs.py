"""Logs on standard error: for people on a terminal, JSON lines otherwise; limited in rate, never a payload."""

from __future__ import annotations

from typing import Literal, TextIO


def setup(
    level: Literal["debug", "info", "warning", "error"] = "info",
    form: Literal["auto", "human", "json"] = "auto",
    stream: TextIO | None = None,
) -> None:
    """Send every logger to `stream` (default standard error); callable again, the last call wins.

    Structured fields go in `extra={"fields": {...}}`.
    """
    raise NotImplementedError
