"""Records in: the consumer group member, its rebalances, its commits and its recoveries."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from service.config import Input, Kafka
from service.kafka.checkpoint import Checkpoint, Commit, Marker
from service.record import Partition, Run


@dataclass(frozen=True, slots=True)
class Start:
    """Where a newly assigned partition begins, and what the group knew about it."""

    epoch: int
    offset: int
    marker: Marker
    """Tries since the last commit, as the committed metadata tells."""
    committed: bool
    """False where the group had no offset and `input.start` chose the position."""


class Hooks(Protocol):
    """What the source tells its owner, on the poll thread unless it says otherwise; must not raise."""

    def assigned(self, starts: Mapping[Partition, Start]) -> None:
        """New partitions, before any record of theirs; may call `Source.mark`."""

    def revoked(self, partitions: Collection[Partition], drained: bool, seconds: float) -> None:
        """Given up in good order: drained (or out of time), committed, fenced. On the client's IO thread."""

    def lost(self, partitions: Collection[Partition]) -> None:
        """Taken away: already fenced, nothing committed; kill the sink. On the client's IO thread."""

    def rebalanced(self, reason: str) -> None:
        """One rebalance step: `assigned`, `revoked` or `lost`. On the client's IO thread."""

    def recovered(self, reason: str) -> None:
        """The watchdog freed a stuck member (`stuck`) or replaced a broken consumer (`replaced`)."""

    def retention_gap(self, partition: Partition, records: int) -> None:
        """Retention overtook the group by this many records; they are gone and are counted as dropped."""

    def recreated(self, partition: Partition) -> None:
        """The topic was deleted and made anew; reading starts at its beginning."""

    def committed(self, commits: Mapping[Partition, Commit], seconds: float) -> None:
        """The brokers have these positions; `seconds` is how long they took."""


class Source:
    """One member of the consumer group; everything but `lag`, `reason` and `mark` belongs to one thread."""

    def __init__(
        self,
        kafka: Kafka,
        input_: Input,
        checkpoint: Checkpoint,
        hooks: Hooks,
        *,
        drain_seconds: float = 10.0,
    ) -> None:
        raise NotImplementedError

    def open(self) -> None:
        """Connect and subscribe; raises ConfigError (78) or UnreachableError (69) within 15 s."""
        raise NotImplementedError

    def poll(self, timeout: float | None = None) -> list[Run]:
        """Wait up to `timeout` seconds (default 1, or 0.2 while paused) for records; commits what is due.

        Handles rebalances, outages and a broken consumer by itself. Raises UnreachableError where retention
        overtook the group and `input.retention` is `stop`.
        """
        raise NotImplementedError

    def pause(self) -> None:
        """Take no more records until `resume`; new partitions come paused too."""
        raise NotImplementedError

    def resume(self) -> None:
        """Take records again."""
        raise NotImplementedError

    @property
    def paused(self) -> int:
        """How many partitions are paused."""
        raise NotImplementedError

    def mark(self, partition: Partition, offset: int, marker: Marker) -> bool:
        """Commit this position with this marker now (up to 5 s); False if the brokers did not take it."""
        raise NotImplementedError

    def lag(self) -> dict[Partition, int]:
        """Records from the last acknowledged position to the end of each owned partition, seconds old."""
        raise NotImplementedError

    @property
    def reason(self) -> str | None:
        """Why it is not ready (`not_assigned`, `rebalancing`, `broker_unreachable`), None while it is."""
        raise NotImplementedError

    def commit(self, timeout: float = 5.0) -> bool:
        """Commit everything acknowledged and wait for it; False if the brokers did not take it in time."""
        raise NotImplementedError

    def close(self, timeout: float = 3.0) -> None:
        """Drain, commit, leave the group."""
        raise NotImplementedError
