"""What is owned, what is in flight, what is acknowledged, and so what may be committed; no client here."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from service.record import Partition

Positions = Mapping[Partition, tuple[int, int]]
"""For each partition of a cycle: (epoch, offset after its last record)."""


@dataclass(frozen=True, slots=True)
class Commit:
    """A position as the group's offset topic keeps it."""

    offset: int
    metadata: str = ""
    epoch: int | None = field(default=None, compare=False)
    """The ownership it was made under; the group does not keep it."""


class Marker(NamedTuple):
    """What a committed offset says about tries since then; the fresh one is written as an empty string."""

    attempts: int = 0
    solo: int = 0
    """Tries that began with the record at the committed offset alone in flight."""
    end: int | None = None
    """Offset after the last record that was in flight at the last try."""

    def encode(self) -> str:
        """Compact JSON, or nothing for the fresh marker."""
        if self == Marker():
            return ""
        fields = {"a": self.attempts, "s": self.solo, "e": self.end}
        return json.dumps({name: value for name, value in fields.items() if value}, separators=(",", ":"))

    @classmethod
    def decode(cls, text: str | None) -> Marker:
        """The marker in a committed offset's metadata; whatever another tool left there means fresh."""
        try:
            fields = json.loads(text or "{}")
        except (ValueError, RecursionError):
            return cls()
        if not isinstance(fields, dict):
            return cls()
        attempts, solo, end = (fields.get(name, 0) for name in "ase")
        if not all(type(value) is int and 0 <= value < 1 << 63 for value in (attempts, solo, end)):
            return cls()
        return cls(attempts, solo, end or None)


@dataclass(slots=True)
class _Ownership:
    epoch: int
    start: int
    closing: bool = False
    inflight: deque[int] = field(default_factory=deque)
    begun: int = -1
    acked: int = -1
    committed: Commit | None = None
    read: str = ""
    """The marker at the assignment: who gives up alive leaves it as it was."""


class Checkpoint:
    """Thread-safe ledger of positions: cycles enter and leave in order; a fenced owner's are void."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owned: dict[Partition, _Ownership] = {}
        self._epochs: dict[Partition, int] = {}
        self._left: dict[Partition, tuple[Commit, str]] = {}

    def opened(self, starts: Mapping[Partition, int]) -> None:
        """Start a new ownership (epoch) of each partition, at this offset."""
        with self._lock:
            for partition, start in starts.items():
                assert partition not in self._owned, f"{partition} opened twice. This is a bug."
                epoch = self._epochs[partition] = self._epochs.get(partition, 0) + 1
                self._owned[partition] = _Ownership(epoch, start)

    def assigned(self, partition: Partition, known: Commit) -> str:
        """Note what the group has for a partition just opened; returns the marker of tries before this one.

        A marker that this very process left there, because it could not commit when it lost the partition,
        tells of no crash.
        """
        with self._lock:
            owned = self._owned[partition]
            owned.committed = known
            ours, before = self._left.pop(partition, (None, ""))
            owned.read = before if known == ours else known.metadata
            return owned.read

    def closing(self, partitions: Iterable[Partition]) -> None:
        """Let no new cycle include these partitions; what is in flight may still be acknowledged."""
        with self._lock:
            for partition in partitions:
                if partition in self._owned:
                    self._owned[partition].closing = True

    def fence(self, partitions: Iterable[Partition]) -> None:
        """End the ownership: late acknowledgements are ignored and nothing more is committed."""
        with self._lock:
            for partition in partitions:
                owned = self._owned.pop(partition, None)
                if owned is not None and owned.committed is not None:
                    self._left[partition] = (owned.committed, _marker(owned))

    def epoch(self, partition: Partition) -> int | None:
        """The current ownership, None where records of this partition must not enter a new cycle."""
        with self._lock:
            owned = self._owned.get(partition)
            return None if owned is None or owned.closing else owned.epoch

    def owns(self, partition: Partition, epoch: int) -> bool:
        """Whether this ownership still lasts (closing included), so that its scores may be published."""
        with self._lock:
            owned = self._owned.get(partition)
            return owned is not None and owned.epoch == epoch

    def owned(self) -> list[Partition]:
        """Every partition not yet fenced."""
        with self._lock:
            return list(self._owned)

    def begin(self, positions: Positions) -> set[Partition]:
        """Enter a cycle; returns the partitions refused (closing, fenced): the caller drops their records."""
        refused = set()
        with self._lock:
            for partition, (epoch, offset) in positions.items():
                owned = self._owned.get(partition)
                if owned is None or owned.closing or owned.epoch != epoch:
                    refused.add(partition)
                    continue
                assert offset > owned.begun, f"{partition}: {offset} after {owned.begun}. This is a bug."
                owned.begun = offset
                owned.inflight.append(offset)
        return refused

    def acked(self, positions: Positions) -> None:
        """Leave a cycle that is fully acknowledged by the brokers; fenced ownerships are skipped."""
        with self._lock:
            for partition, (epoch, offset) in positions.items():
                owned = self._owned.get(partition)
                if owned is None or owned.epoch != epoch or (owned.closing and not owned.inflight):
                    continue
                first = owned.inflight.popleft() if owned.inflight else None
                assert first == offset, f"{partition} acknowledged {offset} before {first}. This is a bug."
                owned.acked = offset

    def split(self, positions: Positions) -> None:
        """Let a cycle in flight be acknowledged in parts: these are where its first part ends."""
        with self._lock:
            for partition, (epoch, offset) in positions.items():
                owned = self._owned.get(partition)
                if owned is None or owned.epoch != epoch or not owned.inflight or offset in owned.inflight:
                    continue
                owned.inflight = deque(sorted([*owned.inflight, offset]))

    def abandon(self) -> None:
        """Acknowledge no more, of what is in flight and of what would follow; no crash is to blame for it."""
        with self._lock:
            for owned in self._owned.values():
                owned.closing = True
                owned.inflight.clear()

    def busy(self, partitions: Iterable[Partition]) -> bool:
        """Whether a cycle in flight holds records of any of these partitions."""
        with self._lock:
            return any(bool(o.inflight) for p in partitions if (o := self._owned.get(p)) is not None)

    def inflight(self, partition: Partition) -> int | None:
        """Offset after the last record in flight, None where nothing is."""
        with self._lock:
            owned = self._owned.get(partition)
            return owned.inflight[-1] if owned is not None and owned.inflight else None

    def to_commit(self, partitions: Iterable[Partition] | None = None) -> dict[Partition, Commit]:
        """Acknowledged positions that the group does not have yet (of these partitions, or of all)."""
        with self._lock:
            chosen = self._owned if partitions is None else partitions
            found = {}
            for partition in chosen:
                owned = self._owned.get(partition)
                if owned is not None and owned.acked >= 0 and owned.acked > _offset(owned.committed):
                    # Should we die now, the next owner knows what was in flight.
                    marker = Marker(1, 0, owned.inflight[-1]) if owned.inflight else Marker()
                    found[partition] = Commit(owned.acked, marker.encode(), owned.epoch)
            return found

    def to_settle(self, partitions: Iterable[Partition], alive: bool = False) -> dict[Partition, Commit]:
        """`to_commit`, and for idle partitions the marker of before: given up in good order is no crash.

        `alive`: nor is it with records in flight, for what holds them up is not a record that ends processes.
        """
        partitions = list(partitions)
        found = self.to_commit(partitions)
        with self._lock:
            for partition in partitions:
                owned = self._owned.get(partition)
                if owned is None or (owned.inflight and not alive):
                    continue
                known = owned.committed
                if known is None and owned.acked < 0:
                    continue  # the group knows nothing of it yet, and need not
                settled = Commit(max(owned.acked, _offset(known)), _marker(owned), owned.epoch)
                if settled != known:
                    found[partition] = settled
        return found

    def committed(self, commits: Mapping[Partition, Commit]) -> None:
        """Note what the group has now; what was sent under an earlier ownership says nothing of this one."""
        with self._lock:
            for partition, commit in commits.items():
                owned = self._owned.get(partition)
                if owned is None or commit.epoch not in (None, owned.epoch):
                    continue
                if commit.offset >= _offset(owned.committed):
                    owned.committed = commit

    def rewound(self, partition: Partition, start: int) -> None:
        """Positions start again lower (the topic was made anew): a new ownership; its start is committed."""
        with self._lock:
            owned = self._owned.get(partition)
            if owned is not None:
                epoch = self._epochs[partition] = owned.epoch + 1
                self._owned[partition] = _Ownership(epoch, start, owned.closing, acked=start)

    def positions(self) -> dict[Partition, int]:
        """For each owned partition the offset up to which everything is acknowledged."""
        with self._lock:
            return {partition: max(owned.start, owned.acked) for partition, owned in self._owned.items()}


def _marker(owned: _Ownership) -> str:
    """What a living owner leaves: nothing to suspect beyond what it has finished."""
    return "" if owned.acked >= 0 else owned.read


def _offset(commit: Commit | None) -> int:
    return -1 if commit is None else commit.offset
