"""Records out: published means acknowledged by the brokers, however long that takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from service.config import Kafka
from service.record import Outgoing


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that the brokers refuse for its own sake."""

    index: int
    """Its place in the published sequence."""
    outgoing: Outgoing
    why: str


class Abandoned(Exception):  # noqa: N818 - not a fault: the owner asked for it
    """Publishing ended because the caller is stopping; not everything is acknowledged."""


class Sink:
    """An idempotent producer that is replaced whenever it has been poisoned or has gone silent."""

    def __init__(self, kafka: Kafka, *, on_replaced: Callable[[str], None] = lambda reason: None) -> None:
        raise NotImplementedError

    def publish(
        self,
        records: Sequence[Outgoing],
        owned: Callable[[Outgoing], bool] = lambda outgoing: True,
        stopping: Callable[[], bool] = lambda: False,
    ) -> list[Rejected]:
        """Return once every record is acknowledged, rejected alone, or no longer owned; retries for ever.

        First arrivals of one key keep their order; after a fault a suffix may be repeated. Raises Abandoned
        when `stopping()` turns true before that.
        """
        raise NotImplementedError

    @property
    def reason(self) -> str | None:
        """Why publishing does not advance (`output_unavailable`, `broker_unreachable`), else None."""
        raise NotImplementedError

    @property
    def healthy(self) -> bool:
        """Whether publishing advances."""
        return self.reason is None

    def kill(self) -> None:
        """Force the producer closed, from any thread: what is not on its way stays unsent."""
        raise NotImplementedError

    def close(self, timeout: float = 5.0) -> None:
        """Close; never leaves a thread that would deliver later."""
        raise NotImplementedError
