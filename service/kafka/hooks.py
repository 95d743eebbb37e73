"""What a source tells its owner."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from service.kafka.checkpoint import Commit, Marker
from service.record import Partition


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
        """Retention overtook the group by this many records; they are gone and count as dropped."""

    def recreated(self, partition: Partition) -> None:
        """The topic was deleted and made anew; reading starts at its beginning."""

    def committed(self, commits: Mapping[Partition, Commit], seconds: float) -> None:
        """The brokers have these positions; `seconds` is how long they took. On any thread."""


class Silent:
    """Hooks that do nothing: a base for those that need only some."""

    def assigned(self, starts: Mapping[Partition, Start]) -> None:
        """Nothing."""

    def revoked(self, partitions: Collection[Partition], drained: bool, seconds: float) -> None:
        """Nothing."""

    def lost(self, partitions: Collection[Partition]) -> None:
        """Nothing."""

    def rebalanced(self, reason: str) -> None:
        """Nothing."""

    def recovered(self, reason: str) -> None:
        """Nothing."""

    def retention_gap(self, partition: Partition, records: int) -> None:
        """Nothing."""

    def recreated(self, partition: Partition) -> None:
        """Nothing."""

    def committed(self, commits: Mapping[Partition, Commit], seconds: float) -> None:
        """Nothing."""
