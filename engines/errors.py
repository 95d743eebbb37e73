"""What can go wrong around a model: its bundle on disk, one item of media, or the GPU that runs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal, get_args

MediaReason = Literal[
    "unsupported_media_type",
    "media_too_large",
    "undecodable",
    "bomb",
    "too_long",
    "decode_timeout",
    "out_of_memory",
    "killed_worker",
]

MEDIA_REASONS: Final = frozenset(get_args(MediaReason))
"""Every reason for which one item of media fails, as dead letters and scores spell it."""


def explain(what: str, where: str = "", why: str = "", remedy: str = "") -> str:
    """One sentence or two for a person: what (where): why. What to do next."""
    text = what + (f" ({where})" if where else "")
    if why:
        text += f": {why}"
    return text + (f". {remedy}" if remedy else "")


class EngineError(Exception):
    """Anything the engines raise on purpose: what is wrong, where, why, and what to do about it.

    `events` are the positions in the batch that it concerns, where it is known whose fault it is.
    """

    def __init__(
        self, what: str, *, where: str = "", why: str = "", remedy: str = "", events: tuple[int, ...] = ()
    ) -> None:
        self.what, self.where, self.why, self.remedy, self.events = what, where, why, remedy, events
        super().__init__(str(self))

    def __str__(self) -> str:
        return explain(self.what, self.where, self.why, self.remedy)


def again(error: EngineError) -> EngineError:
    """The same error, to be raised once more, by another thread perhaps."""
    return type(error)(error.what, where=error.where, why=error.why, remedy=error.remedy)


class BundleError(EngineError):
    """A bundle that cannot be used."""


class DataError(EngineError):
    """Labelled events that cannot be learnt from, calibrated on or measured with."""


class NoDevice(EngineError):  # noqa: N818
    """No GPU can be used from here, or not by the library that was asked to: nothing was started."""


class OutOfMemory(EngineError):  # noqa: N818
    """A GPU's memory, or the page-locked memory beside it, does not suffice; what was held is still good."""


class DeviceLost(EngineError):  # noqa: N818
    """A GPU failed under work in hand. Nothing of CUDA works in this process until it starts anew."""


class PlanRefused(EngineError):  # noqa: N818
    """A plan that TensorRT does not load: of another version or device, or not what it once was."""


class NotBuilt(EngineError):  # noqa: N818
    """A plan that is not there, where none may be built."""


@contextmanager
def of_data() -> Iterator[None]:
    """What goes wrong in here is the data's fault: every EngineError leaves it as a DataError."""
    try:
        yield
    except DataError:
        raise
    except EngineError as error:
        raise DataError(error.what, where=error.where, why=error.why, remedy=error.remedy) from error


class MediaError(EngineError):
    """One item of media cannot be decoded; `detail` is a short hint that never holds payload."""

    def __init__(self, reason: MediaReason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason: MediaReason = reason
        self.detail = detail
