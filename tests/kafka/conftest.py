"""One real broker for the whole session; a fresh topic for each test."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping

import pytest

from service.config import Kafka
from service.kafka.admin import create_topics
from service.kafka.broker import EmbeddedBroker
from service.kafka.quiet import quiet_client


@pytest.fixture(scope="session", autouse=True)
def _quiet() -> None:
    quiet_client()


@pytest.fixture(scope="session")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as running:
        yield running


@pytest.fixture
def own_broker() -> Iterator[EmbeddedBroker]:
    """A broker that the test may kill."""
    with EmbeddedBroker() as running:
        yield running


@pytest.fixture
def kafka(broker: EmbeddedBroker) -> Kafka:
    """Settings for the session's broker, with a group of its own and quick sessions."""
    return kafka_for(broker)


def kafka_for(broker: EmbeddedBroker, **changes: object) -> Kafka:
    quick = {"session_timeout_ms": 6000, "heartbeat_interval_ms": 500, "metadata_max_age_ms": 1000}
    return Kafka(
        bootstrap_servers=[broker.bootstrap], group=f"g-{uuid.uuid4().hex[:8]}", consumer=quick
    ).model_copy(update=changes)


Topics = Callable[..., str]


@pytest.fixture
def topic(kafka: Kafka) -> Topics:
    def make(partitions: int = 1, configs: Mapping[str, str] | None = None) -> str:
        return fresh_topic(kafka, partitions, configs)

    return make


def fresh_topic(kafka: Kafka, partitions: int = 1, configs: Mapping[str, str] | None = None) -> str:
    name = f"t-{uuid.uuid4().hex[:8]}"
    assert create_topics(kafka, [name], partitions=partitions, configs=configs) == [name]
    return name
