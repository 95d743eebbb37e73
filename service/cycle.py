"""A cycle: a bounded run of polled records, prepared, inferred, published and committed as one."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from service.intake.intake import Prepared
from service.record import Partition, Record, Run, record_bytes
from service.scoring import Inferred, Preparation


@dataclass(slots=True)
class Cycle:
    """Records in the order they were polled, and what the stages have made of them so far."""

    number: int
    runs: list[Run]
    size: int
    """Bytes of its records."""
    polled: float
    """When its oldest record was polled, monotonic seconds."""
    attempts: dict[Partition, int] = field(default_factory=dict)
    """Which try this is, for partitions where it is not the first."""
    careful: bool = False
    """Alone in the pipeline, because an earlier try ended in a crash."""
    condemned: bool = False
    """Its one record has crashed the process alone, twice: it becomes a dead letter unseen."""
    preparation: Preparation | None = None
    prepared: list[Prepared] = field(default_factory=list)
    inferred: Inferred | None = None

    @property
    def records(self) -> Sequence[Record]:
        """Every record, in order."""
        return [record for run in self.runs for record in run.records]

    @property
    def positions(self) -> dict[Partition, tuple[int, int]]:
        """For each partition its ownership's epoch and the offset after its last record."""
        return {run.partition: (run.epoch, run.records[-1].offset + 1) for run in self.runs}

    def owners(self) -> Iterator[tuple[Partition, int, Record]]:
        """Every record with its partition and epoch."""
        for run in self.runs:
            for record in run.records:
                yield run.partition, run.epoch, record

    def split(self, count: int) -> tuple[Cycle, Cycle]:
        """Two cycles in order: the first `count` records, of which there are more, and the others."""
        head, tail, left = [], [], count
        for run in self.runs:
            if left > 0:
                head.append(replace(run, records=run.records[:left]))
            if left < len(run.records):
                tail.append(replace(run, records=run.records[max(0, left) :]))
            left -= len(run.records)
        size = sum(record_bytes(record) for run in head for record in run.records)
        first, rest = replace(self, runs=head, size=size), replace(self, runs=tail, size=self.size - size)
        if self.preparation is not None:
            first.preparation, rest.preparation = self.preparation.split(count)
        return first, rest

    def age(self) -> float:
        """Seconds since its oldest record was polled."""
        return time.monotonic() - self.polled
