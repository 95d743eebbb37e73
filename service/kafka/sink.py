"""Records out: published means acknowledged by the brokers, however long that takes."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from kafka import KafkaProducer

from service.config import Kafka
from service.errors import TidegateError
from service.kafka import internals
from service.kafka.client import producer_options
from service.kafka.diagnose import bootstrap
from service.kafka.sending import Fate, Outcome, attempt
from service.record import Outgoing

log = logging.getLogger(__name__)
GRACE_SECONDS = 5.0  # beyond the client's own delivery timeout
SLOW_SECONDS = 3.0  # a publish that takes longer shows in readiness
BACKOFF_SECONDS = (0.2, 5.0)


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
        """`on_replaced` gets `rejected`, `timeout` or `killed`. Raises ConfigError on bad settings."""
        self._kafka, self._on_replaced = kafka, on_replaced
        options = producer_options(kafka)
        # A stop must not wait for these.
        self._options = {
            **options,
            "bootstrap_timeout_ms": 5000,
            "max_block_ms": min(options["max_block_ms"], 5000),
        }
        self._deadline = options["delivery_timeout_ms"] / 1000 + GRACE_SECONDS
        self._lock = threading.Lock()
        self._producer: KafkaProducer | None = None
        self._backoff = BACKOFF_SECONDS[0]
        self._reason: str | None = None
        self._killed = False

    def open(self) -> None:
        """Connect now instead of at the first publish; raises ConfigError or UnreachableError."""
        self._producer = self._connect()

    def publish(
        self,
        records: Sequence[Outgoing],
        owned: Callable[[Outgoing], bool] = lambda outgoing: True,
        stopping: Callable[[], bool] = lambda: False,
        sent: Callable[[], None] = lambda: None,
    ) -> list[Rejected]:
        """Return once every record is acknowledged, rejected alone, or no longer owned; retries for ever.

        First arrivals of one key keep their order; after a fault a suffix may be repeated. Calls `sent` when
        the client has the records and the brokers may not. Raises Abandoned when `stopping()` turns true
        before all is acknowledged.
        """
        rejected: list[Rejected] = []
        renewed: set[int] = set()
        # Groups in order; a group whose batches were rejected is halved until the culprit stands alone.
        groups = deque([list(range(len(records)))])
        while groups:
            group = groups.popleft()
            if not any(owned(records[index]) for index in group):
                continue
            producer = self._ready(stopping)
            # Only now: getting a producer may have taken a whole outage.
            group = [index for index in group if owned(records[index])]
            if not group:
                continue
            outcomes = self._attempt(producer, [records[index] for index in group], stopping, sent)
            left = []
            for index, outcome in zip(group, outcomes, strict=True):
                alone = outcome.fate is Fate.REJECTED and len(group) == 1
                if alone and outcome.stale and index not in renewed:
                    renewed.add(index)
                    left.append(index)
                elif alone or outcome.fate is Fate.REFUSED:
                    rejected.append(Rejected(index, records[index], outcome.why))
                elif outcome.fate is not Fate.ACKED:
                    left.append(index)
            groups.extendleft(reversed(self._regroup(left, outcomes)))
        self._reason = None
        return sorted(rejected, key=lambda each: each.index)

    @property
    def reason(self) -> str | None:
        """Why publishing does not advance (`output_unavailable`, `broker_unreachable`), else None."""
        return self._reason

    @property
    def healthy(self) -> bool:
        """Whether publishing advances."""
        return self._reason is None

    def kill(self) -> None:
        """Force the producer closed, from any thread: what is not on its way stays unsent."""
        with self._lock:
            self._killed = True
            if self._producer is not None:
                internals.abort(self._producer)

    def close(self, timeout: float = 5.0) -> None:
        """Close within `timeout` seconds; what is not acknowledged by then will not be delivered later."""
        with self._lock:
            producer, self._producer = self._producer, None
        if producer is not None:
            internals.close(producer, timeout)

    def _attempt(
        self,
        producer: KafkaProducer,
        records: Sequence[Outgoing],
        stopping: Callable[[], bool],
        sent: Callable[[], None],
    ) -> list[Outcome]:
        looking = partial(self._look, stopping=stopping)
        outcomes = attempt(producer, records, self._deadline, looking, sent)
        if any(each.fate is Fate.REJECTED for each in outcomes):
            self._replace("rejected", next(each.why for each in outcomes if each.fate is Fate.REJECTED))
        elif any(each.fate is Fate.FAILED for each in outcomes):
            why = next(each.why for each in outcomes if each.fate is Fate.FAILED)
            self._reason = self._reason or self._trouble()
            self._replace("killed" if self._killed else "timeout", why)
            self._pause(stopping)
        else:
            self._backoff = BACKOFF_SECONDS[0]
        return outcomes

    def _regroup(self, left: list[int], outcomes: list[Outcome]) -> list[list[int]]:
        if not left:
            return []
        if len(left) == 1 or not any(each.fate is Fate.REJECTED for each in outcomes):
            return [left]
        half = (len(left) + 1) // 2
        return [left[:half], left[half:]]

    def _look(self, waited: float, stopping: Callable[[], bool]) -> bool:
        if waited > SLOW_SECONDS:
            self._reason = self._trouble()
        return stopping()

    def _trouble(self) -> str:
        up = self._producer is not None and internals.connected(self._producer)
        return "output_unavailable" if up else "broker_unreachable"

    def _ready(self, stopping: Callable[[], bool]) -> KafkaProducer:
        while True:
            if stopping():
                self._replace("killed", "stopping")
                raise Abandoned
            with self._lock:
                killed, self._killed = self._killed, False
            if killed:
                self._replace("killed", "the partitions were lost")
            if self._producer is None:
                try:
                    producer = self._connect()
                except TidegateError as error:
                    self._reason = "broker_unreachable"
                    log.warning("No new producer yet: %s", error)
                    self._pause(stopping)
                    continue
                with self._lock:
                    self._producer = producer
                continue  # killed meanwhile, perhaps
            return self._producer

    def _connect(self) -> KafkaProducer:
        return bootstrap(self._kafka, lambda: KafkaProducer(**self._options))

    def _pause(self, stopping: Callable[[], bool]) -> None:
        end = time.monotonic() + self._backoff
        self._backoff = min(self._backoff * 2, BACKOFF_SECONDS[1])
        while time.monotonic() < end and not stopping():
            time.sleep(0.05)

    def _replace(self, reason: str, why: str) -> None:
        with self._lock:
            producer, self._producer = self._producer, None
        if producer is None:
            return
        log.warning("The producer is replaced (%s): %s", reason, why)
        internals.force_close(producer)
        self._on_replaced(reason)
