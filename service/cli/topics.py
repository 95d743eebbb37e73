"""`tidegate topics`: create the topics of a configuration, or check them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from service.cli.console import Suggesting, emit, json_option, say, settings_options, table, teach
from service.errors import ConfigError, TidegateError

if TYPE_CHECKING:
    from service.config import Settings
    from service.kafka.admin import Topic


@click.group(
    cls=Suggesting,
    help=teach(
        "Create the topics that a configuration names, or check that they are there and fit.",
        ("tidegate topics create -c tidegate.yaml", "make what is missing"),
        ("tidegate topics check -c tidegate.yaml", "69 when one is missing"),
    ),
)
def topics() -> None:
    """The topics of a configuration."""


@topics.command(
    short_help="Make what is missing.",
    help=teach(
        "Make the input, output and dead-letter topics that are missing. Never changes one.\n\nA new "
        "dead-letter topic gets a max.message.bytes that holds any record within limits.record_bytes, where "
        "the cluster allows it; elsewhere larger dead letters go by reference.",
        ("tidegate topics create -c tidegate.yaml", "6 partitions, replicated as the cluster does it"),
        ("tidegate topics create -c tidegate.yaml --partitions 24 --replicas 3", "for up to 24 daemons"),
        ("tidegate topics create -c tidegate.yaml --topic-config retention.ms=86400000", "kept for a day"),
    ),
)
@click.option(
    "--partitions",
    type=click.IntRange(1),
    default=6,
    show_default=True,
    help="Of each new topic; as many daemons of one group can share the work.",
)
@click.option(
    "--replicas", type=click.IntRange(1), metavar="N", help="Of each partition; default: the cluster's own."
)
@click.option(
    "--topic-config",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting of new topics, for example retention.ms=…",
)
@settings_options
@json_option
def create(
    partitions: int,
    replicas: int | None,
    topic_config: tuple[str, ...],
    config: Path | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Create what is missing."""
    from service.kafka.admin import check_loops
    from service.load import load

    settings = load(config, overrides)
    check_loops(settings)
    configs = dict(_pair(text) for text in topic_config)
    made = _make(settings, partitions, replicas or CLUSTERS_OWN, configs)
    if isinstance(settings.input.topics, str):
        say(f"input.topics is the pattern {settings.input.topics}: its topics are not ours to create.")
    rows = [(role, topic, "created" if topic in made else "exists") for role, topic in _wanted(settings)]
    if as_json:
        for role, topic, state in rows:
            emit({"schema": "tidegate.topic/1", "role": role, "topic": topic, "state": state})
    else:
        table(("role", "topic", "state"), rows)


@topics.command(
    short_help="Are they there, do they fit?",
    help=teach(
        "Check that the topics exist and fit each other. Exit codes: 69 missing, 78 unfit.",
        ("tidegate topics check -c tidegate.yaml", "partitions, replicas and sizes of each"),
        ("tidegate topics check -c tidegate.yaml --json", "one JSON object a topic"),
    ),
)
@settings_options
@json_option
def check(config: Path | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Check what `run` would check at its start."""
    from service.kafka.admin import preflight
    from service.load import load

    settings = load(config, overrides)
    facts = preflight(settings)
    found = [("input", topic) for topic in facts.inputs.values()]
    found += [("output", facts.output), ("deadletter", facts.deadletter)]
    if as_json:
        for role, topic in found:
            emit({"schema": "tidegate.topic/1", "role": role} | dict(zip(FIELDS, _facts(topic), strict=True)))
    else:
        table(("role", *(field.replace("_", " ") for field in FIELDS)), ((r, *_facts(t)) for r, t in found))


CLUSTERS_OWN: Final = -1
REFUSALS: Final = frozenset(
    {
        "InvalidReplicationFactorError",
        "InvalidPartitionsError",
        "InvalidConfigurationError",
        "InvalidConfigError",
        "PolicyViolationError",
    }
)
"""What brokers answer to a topic that they would make, but not like this."""
FIELDS: Final = ("topic", "partitions", "replicas", "max_bytes", "cleanup")


def _make(settings: Settings, partitions: int, replicas: int, configs: dict[str, str]) -> list[str]:
    """Create what is missing; the dead-letter topic with room for every record, where that is allowed."""
    from service.deadletter import HEADER_BYTES
    from service.kafka.admin import create_topics

    def make(names: list[str], more: dict[str, str]) -> list[str]:
        try:
            return create_topics(
                settings.kafka, names, partitions=partitions, replicas=replicas, configs=more | configs
            )
        except TidegateError as error:
            raise _refusal(error, names) or error from error.__cause__

    *names, dead = (topic for _, topic in _wanted(settings))
    made = make(names, {})
    size = settings.limits.record_bytes + HEADER_BYTES
    room = {"max.message.bytes": str(size)}
    try:
        return made + make([dead], room)
    except ConfigError:
        if room.keys() <= configs.keys():
            raise
        made += make([dead], {})
        say(f"{dead}: the cluster refuses max.message.bytes={size}; larger dead letters go by reference.")
        return made


def _refusal(error: Exception, names: list[str]) -> ConfigError | None:
    """The brokers' no to what we asked for; None where the fault is another one."""
    cause = error.__cause__
    if type(cause).__name__ not in REFUSALS:
        return None
    return ConfigError(
        f"The cluster does not make {', '.join(names)} like this",
        why=f"{type(cause).__name__}: {cause}",
        remedy="Change --partitions, --replicas or --topic-config",
    )


def _facts(topic: Topic) -> tuple[str, int, int, int, str]:
    return topic.name, topic.partitions, topic.replicas, topic.max_bytes, topic.cleanup


def _wanted(settings: Settings) -> list[tuple[str, str]]:
    named = [] if isinstance(settings.input.topics, str) else settings.input.topics
    inputs = [("input", topic) for topic in named]
    return [*inputs, ("output", settings.output.topic), ("deadletter", settings.deadletter.topic)]


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"'{text}' needs the form KEY=VALUE", param_hint="--topic-config")
    return name, value
