"""A backend whose module is imported when it is first asked for anything."""

from __future__ import annotations

from importlib import import_module

from engines.bundle import Bundle
from engines.sessions.base import Backend, Session, Terms


def later(name: str, reads: tuple[str, ...]) -> Backend:
    """The ``BACKEND`` of ``engines.sessions.<name>``, which nobody pays for who doesn't use it; ``reads`` as
    it says there.
    """
    place = f"engines.sessions.{name}"

    def real() -> Backend:
        found: Backend = import_module(place).BACKEND
        return found

    def opened(bundle: Bundle, tower: str, precision: str, terms: Terms) -> Session:
        return real().open(bundle, tower, precision, terms)

    return Backend(
        name=name,
        missing=lambda: real().missing(),
        native=lambda: real().native(),
        describe=lambda: real().describe(),
        open=opened,
        on_gpu=lambda: real().on_gpu(),
        reads=reads,
        lacks=lambda precision, devices: real().lacks(precision, devices),
        kept=lambda folder: real().kept(folder),
        broken=lambda: real().broken(),
    )
