"""From the engine's answers to the score record (contract §3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from engines.batch import Outputs
from engines.labels import Labels
from service.policy import Decision, Policy
from service.record import Record

if TYPE_CHECKING:
    from engines.engine import EngineInfo
    from service.intake.intake import Prepared


class Timings(NamedTuple):
    """Milliseconds that one event spent waiting, being prepared, being inferred, and in all."""

    queue: float
    prepare: float
    infer: float
    total: float


@dataclass(frozen=True, slots=True)
class Scored:
    """A score ready to publish."""

    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]]
    decision: Decision


class Scorer:
    """Builds score records for one engine and one policy; `fits` is the largest record the output topic takes."""

    def __init__(self, labels: Labels, info: EngineInfo, policy: Policy, *, fits: int | None = None) -> None:
        raise NotImplementedError

    def encode(
        self,
        record: Record,
        prepared: Prepared,
        outputs: Outputs,
        row: int,
        timings: Timings,
        *,
        attempt: int = 1,
        now: float | None = None,
    ) -> Scored:
        """The score of `outputs` row `row`; `now` is epoch seconds (default: the clock).

        Raises RecordError("invalid", "too_large", stage="publish") when it does not fit the output topic.
        """
        raise NotImplementedError
