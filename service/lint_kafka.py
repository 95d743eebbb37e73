"""What the section `kafka` means, checked without a broker."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from service.config import Kafka, Settings
from service.errors import ConfigError
from service.findings import Finding, did_you_mean, error, warning
from service.load import Source

_ADDRESS = re.compile(r"^((?:SASL_)?(?:PLAINTEXT|SSL)://)?(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):(\d{1,5})$")
CODECS = (None, "gzip", "snappy", "lz4", "zstd")
ORDERED = (
    ("fetch_max_wait_ms", "request_timeout_ms"),
    ("request_timeout_ms", "connections_max_idle_ms"),
    ("heartbeat_interval_ms", "session_timeout_ms"),
)
_LOCAL = re.compile(r"^(localhost|127\.|\[::1\])")


def lint_kafka(settings: Settings, source: Source) -> Iterator[Finding]:
    """Addresses, client settings, timeouts and security."""
    kafka = settings.kafka
    for index, server in enumerate(kafka.bootstrap_servers):
        match = _ADDRESS.match(server)
        if match is None or not 0 < int(match[3]) < 65536:
            where = source.where("kafka", "bootstrap_servers", index)
            what = f"kafka.bootstrap_servers: {server!r} is not an address"
            yield error(where, what, "", "Write host:port, for example broker-1:9092")
    yield from _client_settings(kafka, source)
    yield from _order(settings, source)
    yield from _timeouts(settings, source)
    yield from _sasl(kafka, source)
    yield from _files(kafka, source)
    yield from _unused(kafka, source)


def _client_settings(kafka: Kafka, source: Source) -> Iterator[Finding]:
    from service.kafka.client import (
        CONSUMER_SETTINGS,
        PRODUCER_SETTINGS,
        consumer_options,
        producer_options,
    )

    for key, value in kafka.consumer.items():
        alone = Kafka(consumer={key: value})
        yield from _refused("consumer", key, source, CONSUMER_SETTINGS, consumer_options, alone)
        yield from _unfit("consumer", key, value, CONSUMER_SETTINGS, source)
    for key, value in kafka.producer.items():
        alone = Kafka(producer={key: value})
        yield from _refused("producer", key, source, PRODUCER_SETTINGS, producer_options, alone)
        yield from _unfit("producer", key, value, PRODUCER_SETTINGS, source)


def _refused(
    section: str,
    key: str,
    source: Source,
    known: Iterable[str],
    options: Callable[[Kafka], object],
    alone: Kafka,
) -> Iterator[Finding]:
    """The client's own answer to one setting alone, so that lint and daemon cannot disagree."""
    try:
        options(alone)
    except ConfigError as cause:
        remedy = cause.remedy if key in known else did_you_mean(key, known) or "Remove it"
        what = f"kafka.{section}.{key}: {cause.what[:1].lower()}{cause.what[1:]}"
        yield error(source.where("kafka", section, key), what, cause.why, remedy)


def _unfit(section: str, key: str, value: Any, known: Mapping[str, Any], source: Source) -> Iterator[Finding]:
    """A value that the client would refuse, or trip over, only once it is connected."""
    default, remedy = known.get(key), ""
    if key == "compression_type" and value not in CODECS:
        remedy = f"Set {', '.join(codec for codec in CODECS if codec)}, or null for none"
    elif (
        section == "producer" and key == "max_in_flight_requests_per_connection" and value not in range(1, 6)
    ):
        remedy = "Set 1 to 5: with more, the order of scores could break"
    elif isinstance(default, bool):
        remedy = "" if isinstance(value, bool) else "Write true or false"
    elif isinstance(default, int | float):
        fits = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
        remedy = "" if fits else f"Write a number, for example {default}"
    elif isinstance(default, str) and not isinstance(value, str):
        remedy = f"Write a text, for example {default}"
    if remedy:
        what = f"kafka.{section}.{key} cannot be {value!r:.60}"
        yield error(source.where("kafka", section, key), what, "the client could not work with it", remedy)


def _order(settings: Settings, source: Source) -> Iterator[Finding]:
    """Client settings of which one must be under another, as the client itself demands."""
    from service.kafka.client import CONSUMER_SETTINGS

    given = settings.kafka.consumer
    for small, large in ORDERED:
        if small not in given and large not in given:
            continue
        low, high = (given.get(key, CONSUMER_SETTINGS[key]) for key in (small, large))
        if isinstance(low, int | float) and isinstance(high, int | float) and low >= high:
            key, other, verb = (small, large, "Lower") if small in given else (large, small, "Raise")
            what = f"kafka.consumer.{small} {low:g} is not under {large} {high:g}"
            where = source.where("kafka", "consumer", key)
            yield error(where, what, "the client refuses that", f"{verb} {key}, or change {other}")


def _timeouts(settings: Settings, source: Source) -> Iterator[Finding]:
    from service.kafka.client import CONSUMER_SETTINGS

    drain = settings.limits.drain_seconds
    for key in ("session_timeout_ms", "max_poll_interval_ms"):
        value = settings.kafka.consumer.get(key, CONSUMER_SETTINGS.get(key))
        if isinstance(value, int | float) and drain * 1e3 >= value:
            what = f"limits.drain_seconds {drain:g} is not under kafka.consumer.{key} ({value / 1e3:g} s)"
            why = "the group would expel this member while it drains, and its work would be repeated"
            where = source.where("limits", "drain_seconds")
            yield error(where, what, why, f"Lower drain_seconds, or raise {key}")


def _sasl(kafka: Kafka, source: Source) -> Iterator[Finding]:
    security = kafka.security
    if not security.protocol.startswith("SASL"):
        return

    def missing(key: str, remedy: str) -> Finding:
        what = f"kafka.security.protocol {security.protocol} needs kafka.security.{key}"
        return error(source.where("kafka", "security", "protocol"), what, "", remedy)

    if security.mechanism is None:
        yield missing("mechanism", "Set PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, as the brokers offer")
    if not security.username:
        yield missing("username", "Set it")
    has_password = security.password is not None and security.password.get_secret_value()
    if not has_password and security.password_file is None:
        yield missing("password", "Set TIDEGATE_KAFKA__SECURITY__PASSWORD, or kafka.security.password_file")
    remote = [server for server in kafka.bootstrap_servers if not _LOCAL.match(server)]
    if security.protocol == "SASL_PLAINTEXT" and remote:
        what = "kafka.security.protocol SASL_PLAINTEXT logs in without encryption"
        why = "with PLAIN the password itself crosses the network"
        if security.mechanism != "PLAIN":
            why = "everything that is read and written crosses the network in the clear"
        where = source.where("kafka", "security", "protocol")
        yield warning(where, what, why, "Use SASL_SSL")


def _files(kafka: Kafka, source: Source) -> Iterator[Finding]:
    security = kafka.security
    for key in ("ca_file", "cert_file", "key_file", "password_file", "key_password_file"):
        path: Path | None = getattr(security, key)
        why = _unreadable(path) if path is not None else None
        if why:
            where = source.where("kafka", "security", key)
            yield Finding(
                "error", where, f"kafka.security.{key}: {path} cannot be read", why, "Check the path"
            )
    both = [key for key in ("password", "key_password") if _both(security.model_dump(), key)]
    for key in both:
        where = source.where("kafka", "security", f"{key}_file")
        what = f"kafka.security.{key} and {key}_file are both set"
        yield error(where, what, "only one of them can count", "Remove one")
    if security.key_file is not None and security.cert_file is None:
        where = source.where("kafka", "security", "key_file")
        yield error(where, "kafka.security.key_file without cert_file", "", "Set cert_file too")


def _unused(kafka: Kafka, source: Source) -> Iterator[Finding]:
    security = kafka.security
    unused = []
    if not security.protocol.startswith("SASL"):
        unused += ["mechanism", "username", "password", "password_file"]
    if "SSL" not in security.protocol:
        unused += ["ca_file", "cert_file", "key_file", "key_password", "key_password_file"]
    for key in unused:
        if getattr(security, key) is not None:
            where = source.where("kafka", "security", key)
            what = f"kafka.security.{key} has no effect"
            why = f"kafka.security.protocol is {security.protocol}"
            yield warning(where, what, why, "Set the protocol that the brokers want")


def _both(security: Mapping[str, Any], key: str) -> bool:
    return security[key] is not None and security[f"{key}_file"] is not None


def _unreadable(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return None if file.read(1) else "it is empty"
    except OSError as cause:
        return cause.strerror or type(cause).__name__
