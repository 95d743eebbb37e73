"""How long an idle stream waits for its scores: the daemon and the bare loop in turn, seen by one client.

Open loop: each event has a moment at which it is due, and its wait counts from then, whether or not the
client was late to send it. So a stall delays every event behind it on paper as it does in life.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Final

import numpy as np
from kafka import KafkaConsumer, KafkaProducer
from kafka.structs import TopicPartition

from service.bench.endtoend import SILENT_SECONDS, daemon, loop
from service.bench.ground import PARTITIONS, Ground
from service.bench.load import Kind, Sent, stream
from service.bench.report import Idle, Latency
from service.errors import InternalError
from service.kafka.client import consumer_options, producer_options

BLOCK_SECONDS: Final = 2.0
"""The two take turns this often, so that whatever disturbs the machine disturbs both."""
WARM_EVENTS: Final = 40
LATE_SECONDS: Final = 20.0


def idle(ground: Ground, kind: Kind, rate: float, seconds: float, folder: Path) -> Idle:
    """`rate` events per second, for `seconds` to each of the two; InternalError where a score stays out."""
    sides = [ground.topics(f"{kind}.idle.{name}") for name in ("daemon", "bare")]
    settings = [ground.settings(topics, topics.name) for topics in sides]
    with ExitStack() as stack:
        children = [
            stack.enter_context(daemon(settings[0], folder)),
            stack.enter_context(loop("bare", settings[1], folder)),
        ]
        client = stack.enter_context(closing(Client(ground, [s.output for s in sides])))
        for topics in sides:
            client.warm_up(topics.input, list(stream(kind, WARM_EVENTS)))
        schedule = plan(rate, seconds)
        events = list(stream(kind, len(schedule), first=WARM_EVENTS))
        client.run([(due, sides[side].input) for due, side in schedule], events)
        for child in children:
            child.check()
        waits: list[list[float]] = [[], []]
        for (due, side), event in zip(schedule, events, strict=True):
            waits[side].append(client.seen[event.key] - client.began - due)
    return Idle(rate, Latency.of(waits[0]), Latency.of(waits[1]))


def plan(rate: float, seconds: float) -> list[tuple[float, int]]:
    """(seconds from the start, side) of each event: random gaps, so that no timer keeps step with them."""
    random = np.random.default_rng(11)
    gaps = random.exponential(1 / rate, int(2 * seconds * rate))
    return [(float(due), int(due / BLOCK_SECONDS) % 2) for due in np.cumsum(gaps)]


class Client:
    """Sends on schedule from one thread and notes on another when each score is seen."""

    def __init__(self, ground: Ground, outputs: Sequence[str]) -> None:
        self.seen: dict[bytes, float] = {}
        self.began = 0.0
        self._producer = KafkaProducer(**producer_options(ground.kafka) | {"linger_ms": 0})
        self._consumer = KafkaConsumer(**consumer_options(ground.kafka))
        partitions = [TopicPartition(topic, each) for topic in outputs for each in range(PARTITIONS)]
        self._consumer.assign(partitions)
        self._consumer.seek_to_beginning(*partitions)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="scores", daemon=True)
        self._thread.start()

    def warm_up(self, topic: str, events: Sequence[Sent]) -> None:
        """Send events until all have their scores: who reads the topic is ready then."""
        for event in events:
            self._send(topic, event)
        self._await([event.key for event in events], SILENT_SECONDS)
        for event in events:
            self.seen.pop(event.key)

    def run(self, schedule: Sequence[tuple[float, str]], events: Sequence[Sent]) -> None:
        """Send each event when it is due; return once all scores are seen."""
        self.began = time.monotonic()
        for (due, topic), event in zip(schedule, events, strict=True):
            wait = self.began + due - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            self._send(topic, event)
        self._await([event.key for event in events], LATE_SECONDS)

    def close(self) -> None:
        """End both clients."""
        self._done.set()
        self._thread.join()
        self._producer.close()
        self._consumer.close()

    def _send(self, topic: str, event: Sent) -> None:
        self._producer.send(topic, event.value, event.key, headers=list(event.headers))

    def _await(self, keys: Sequence[bytes], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while missing := sum(key not in self.seen for key in keys):
            if time.monotonic() > deadline:
                raise InternalError(f"{missing} events of the idle stream have no score")
            time.sleep(0.05)

    def _watch(self) -> None:
        while not self._done.is_set():
            batches: dict[TopicPartition, list[Any]] = self._consumer.poll(timeout_ms=200)
            now = time.monotonic()
            for records in batches.values():
                for record in records:
                    self.seen.setdefault(record.key, now)
