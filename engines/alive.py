"""Signs of life: what takes long calls its caller now and then."""

from __future__ import annotations

from collections.abc import Callable

Alive = Callable[[], None]
"""Hears that work goes on; what it raises ends the work."""


def unheard() -> None:
    """The sign of life that nobody waits for."""
