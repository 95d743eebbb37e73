"""`tidegate topics`: create the topics of a configuration, or check them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.cli.console import Suggesting, emit, json_option, say, settings_options, table, teach

if TYPE_CHECKING:
    from service.config import Settings
    from service.kafka.admin import Topic


@click.group(
    cls=Suggesting,
    help=teach(
        "Create the topics that a configuration names, or check that they are there and fit.",
        ("tidegate topics create -c tidegate.yaml --partitions 12 --replicas 3", "make what is missing"),
        ("tidegate topics check -c tidegate.yaml", "69 when one is missing"),
    ),
)
def topics() -> None:
    """The topics of a configuration."""


@topics.command(
    short_help="Make what is missing.",
    help="Make the input, output and dead-letter topics that are missing. Never changes one.",
)
@click.option("--partitions", type=click.IntRange(1), default=6, show_default=True, help="Of each new topic.")
@click.option("--replicas", type=click.IntRange(1), default=1, show_default=True, help="Of each partition.")
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
    replicas: int,
    topic_config: tuple[str, ...],
    config: Path | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Create what is missing."""
    from service.kafka.admin import check_loops, create_topics
    from service.load import load

    settings = load(config, overrides)
    check_loops(settings)
    configs = dict(_pair(text) for text in topic_config)
    wanted = [topic for _, topic in _wanted(settings)]
    made = create_topics(settings.kafka, wanted, partitions=partitions, replicas=replicas, configs=configs)
    if isinstance(settings.input.topics, str):
        say(f"input.topics is the pattern {settings.input.topics}: its topics are not ours to create.")
    rows = [(role, topic, "created" if topic in made else "exists") for role, topic in _wanted(settings)]
    if as_json:
        for role, topic, state in rows:
            emit({"role": role, "topic": topic, "state": state})
    else:
        table(("role", "topic", "state"), rows)


@topics.command(
    short_help="Are they there, do they fit?",
    help="Check that the topics exist and fit each other. Exit codes: 69 missing, 78 unfit.",
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
            emit({"role": role} | dict(zip(FIELDS, _facts(topic), strict=True)))
    else:
        table(("role", *(field.replace("_", " ") for field in FIELDS)), ((r, *_facts(t)) for r, t in found))


FIELDS = ("topic", "partitions", "replicas", "max_bytes", "cleanup")


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
