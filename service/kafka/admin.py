"""Topics: are they there, do they fit, make them. Asked once at the start, within 15 s."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from kafka.errors import AuthorizationError, KafkaError, TopicAlreadyExistsError

from service.config import Kafka, Settings
from service.errors import ConfigError, UnreachableError
from service.kafka.client import admin_options
from service.kafka.diagnose import bootstrap

BATCH_OVERHEAD = 512  # what a batch adds to one record: header, varints


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic as the brokers describe it."""

    name: str
    partitions: int
    replicas: int
    max_bytes: int
    """Largest batch, `max.message.bytes`."""
    cleanup: str
    """`delete`, `compact` or both."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the start-up check found."""

    inputs: Mapping[str, Topic]
    output: Topic
    deadletter: Topic

    @property
    def output_max_bytes(self) -> int:
        """Bytes of key, value and headers that fit the output topic."""
        return self.output.max_bytes - BATCH_OVERHEAD

    @property
    def deadletter_max_bytes(self) -> int:
        """Bytes of key, value and headers that fit the dead-letter topic."""
        return self.deadletter.max_bytes - BATCH_OVERHEAD


@contextmanager
def admin(kafka: Kafka) -> Iterator[KafkaAdminClient]:
    """A connected admin client; raises ConfigError or UnreachableError with the cause."""
    client = bootstrap(kafka, lambda: KafkaAdminClient(**admin_options(kafka)))
    try:
        yield client
    except AuthorizationError as error:
        raise ConfigError(
            "The cluster does not let us",
            where=", ".join(kafka.bootstrap_servers),
            why=f"{type(error).__name__}: {error}",
            remedy="Grant DESCRIBE and DESCRIBE_CONFIGS (to create: CREATE) on the topics to this user",
        ) from error
    except KafkaError as error:
        raise UnreachableError(
            "The cluster answers no requests",
            where=", ".join(kafka.bootstrap_servers),
            why=f"{type(error).__name__}: {error}",
            remedy="Check that its advertised listeners can be reached from here",
        ) from error
    finally:
        client.close()


def preflight(settings: Settings) -> Facts:
    """Check every topic before the first record. Raises ConfigError or UnreachableError within 15 s."""
    check_loops(settings)
    with admin(settings.kafka) as client:
        names = set(client.list_topics())
        inputs = matching(settings.input.topics, names)
        _no_loops(settings, inputs)
        wanted = [settings.output.topic, settings.deadletter.topic]
        missing = [topic for topic in (*_named(settings.input.topics), *wanted) if topic not in names]
        if missing:
            raise _missing(
                f"There {'is no topic' if len(missing) == 1 else 'are no topics'} {', '.join(missing)}"
            )
        if not inputs:
            raise _missing(f"No topic matches input.topics {settings.input.topics!r}")
        topics = _describe(client, {*inputs, *wanted})
    facts = Facts(
        inputs={name: topics[name] for name in inputs},
        output=topics[settings.output.topic],
        deadletter=topics[settings.deadletter.topic],
    )
    if "compact" in facts.deadletter.cleanup:
        raise ConfigError(
            "The dead-letter topic is compacted: of several dead letters with one key only the last stays",
            where=f"deadletter.topic: {settings.deadletter.topic}",
            remedy="Set its cleanup.policy to delete",
        )
    return facts


def check_loops(settings: Settings) -> None:
    """Refuse an output or dead-letter topic that is also an input; without touching the network."""
    _no_loops(settings, matching(settings.input.topics, {settings.output.topic, settings.deadletter.topic}))
    if settings.output.topic == settings.deadletter.topic:
        raise ConfigError(
            "Scores and dead letters would share one topic",
            where=f"output.topic, deadletter.topic: {settings.output.topic}",
            remedy="Give each its own",
        )


def matching(topics: Sequence[str] | str, names: Iterable[str]) -> list[str]:
    """Those of the names that `input.topics` (a list, or a regular expression) stands for."""
    if not isinstance(topics, str):
        return sorted(name for name in names if name in topics)
    try:
        pattern = re.compile(topics)
    except re.error as error:
        raise ConfigError(
            "Not a regular expression", where="input.topics", why=str(error), remedy="Mend it, or give a list"
        ) from None
    return sorted(name for name in names if pattern.match(name) and not name.startswith("__"))


def describe(kafka: Kafka, names: Iterable[str]) -> dict[str, Topic]:
    """Those of the topics that exist. Raises ConfigError or UnreachableError."""
    with admin(kafka) as client:
        there = set(client.list_topics())
        return _describe(client, {name for name in names if name in there})


def create_topics(
    kafka: Kafka,
    names: Iterable[str],
    *,
    partitions: int = 1,
    replicas: int = 1,
    configs: Mapping[str, str] | None = None,
) -> list[str]:
    """Make those that do not exist; returns their names. Raises ConfigError or UnreachableError."""
    made = []
    with admin(kafka) as client:
        there = set(client.list_topics())
        for name in dict.fromkeys(names):
            if name in there:
                continue
            topic = NewTopic(name, partitions, replicas, topic_configs=dict(configs or {}))
            try:
                client.create_topics([topic])
            except TopicAlreadyExistsError:
                continue
            made.append(name)
        if made:
            client.wait_for_topics(made)
    return made


def _named(topics: Sequence[str] | str) -> list[str]:
    return [] if isinstance(topics, str) else list(topics)


def _no_loops(settings: Settings, inputs: Iterable[str]) -> None:
    for key, topic in (("output", settings.output.topic), ("deadletter", settings.deadletter.topic)):
        if topic in inputs:
            raise ConfigError(
                "This topic is also an input: what is written there would be read again for ever",
                where=f"{key}.topic: {topic}",
                remedy="Choose another topic, or narrow input.topics",
            )


def _describe(client: KafkaAdminClient, names: Iterable[str]) -> dict[str, Topic]:
    wanted = sorted(set(names))
    if not wanted:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in wanted]
    configs = client.describe_configs(resources, config_filter="all")
    topics = {each["name"]: each for each in client.describe_topics(wanted)}
    return {name: _topic(name, topics[name], _settings_of(configs, name)) for name in wanted}


def _topic(name: str, described: Mapping[str, Any], config: Mapping[str, str]) -> Topic:
    partitions = described["partitions"]
    replicas = min((len(each["replica_nodes"]) for each in partitions), default=0)
    return Topic(
        name,
        len(partitions),
        replicas,
        int(config["max.message.bytes"]),
        config.get("cleanup.policy", "delete"),
    )


def _settings_of(configs: Any, name: str) -> dict[str, str]:
    return {key: str(each["value"]) for key, each in configs["topic"][name].items()}


def _missing(what: str) -> UnreachableError:
    return UnreachableError(what, remedy="Create what is missing: tidegate topics create -c FILE")
