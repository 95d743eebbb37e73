"""Settings → client settings: security, secrets, safe defaults, and what may not be overridden."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kafka.codec
import kafka.record.util
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from pydantic import SecretStr

from service.config import Kafka, Security
from service.errors import ConfigError
from service.kafka import odd

# A process that was killed holds its partitions for a session; heartbeats come from a thread of their own.
CONSUMER_SETTINGS: Mapping[str, Any] = KafkaConsumer.DEFAULT_CONFIG | {"session_timeout_ms": 15_000}
PRODUCER_SETTINGS: Mapping[str, Any] = KafkaProducer.DEFAULT_CONFIG
"""Every setting that the client knows, with its default."""

UNLIMITED = 10**9
# Ours: the first group would lose or repeat records behind our back, the others are set elsewhere.
_SAFETY = "Remove it: Tidegate sets it so that no record is lost"
_ELSEWHERE = {
    "bootstrap_servers": "Set kafka.bootstrap_servers",
    "client_id": "Set kafka.client_id",
    "group_id": "Set kafka.group",
    "auto_offset_reset": "Set input.start",
    "security_protocol": "Set kafka.security.protocol",
    "sasl_mechanism": "Set kafka.security.mechanism",
    "sasl_plain_username": "Set kafka.security.username",
    "sasl_plain_password": "Set kafka.security.password_file",
    "ssl_cafile": "Set kafka.security.ca_file",
    "ssl_certfile": "Set kafka.security.cert_file",
    "ssl_keyfile": "Set kafka.security.key_file",
    "ssl_password": "Set kafka.security.key_password_file",
    "ssl_check_hostname": "Set kafka.security.check_hostname",
}
_REFUSED_CONSUMER = {
    **_ELSEWHERE,
    **dict.fromkeys(
        (
            "enable_auto_commit",
            "auto_commit_interval_ms",
            "default_offset_commit_callback",
            "key_deserializer",
            "value_deserializer",
            "max_poll_records",
            "partition_assignment_strategy",
            "isolation_level",
            "allow_auto_create_topics",
            "consumer_timeout_ms",
            "check_crcs",
        ),
        _SAFETY,
    ),
}
_REFUSED_PRODUCER = {
    **_ELSEWHERE,
    **dict.fromkeys(
        (
            "acks",
            "retries",
            "enable_idempotence",
            "transactional_id",
            "key_serializer",
            "value_serializer",
            "allow_auto_create_topics",
            "partitioner",
        ),
        _SAFETY,
    ),
}


def common_options(kafka: Kafka) -> dict[str, Any]:
    """What every client needs to reach the cluster; holds the secrets, so never print it."""
    return {
        "bootstrap_servers": list(kafka.bootstrap_servers),
        "client_id": kafka.client_id,
        "reconnect_backoff_max_ms": 1000,
        "metadata_max_age_ms": 30_000,
        "bootstrap_timeout_ms": 8_000,  # a start that fails has said so after 15 s, on a busy machine too
        **security_options(kafka.security),
    }


def consumer_options(kafka: Kafka) -> dict[str, Any]:
    """Settings of a consumer; without a group. Raises ConfigError."""
    return {
        **common_options(kafka),
        "fetch_max_bytes": 8 << 20,
        "session_timeout_ms": CONSUMER_SETTINGS["session_timeout_ms"],
        **_checked("kafka.consumer", kafka.consumer, CONSUMER_SETTINGS, _REFUSED_CONSUMER),
        "enable_auto_commit": False,
        "auto_offset_reset": "none",
        "max_poll_records": UNLIMITED,
        "allow_auto_create_topics": False,
    }


def producer_options(kafka: Kafka) -> dict[str, Any]:
    """Settings of an idempotent producer. Raises ConfigError."""
    return {
        **common_options(kafka),
        "linger_ms": 5,
        "batch_size": 1 << 18,
        "max_request_size": 16 << 20,
        "delivery_timeout_ms": 120_000,
        "request_timeout_ms": 10_000,
        "max_block_ms": 10_000,
        **_checked("kafka.producer", kafka.producer, PRODUCER_SETTINGS, _REFUSED_PRODUCER),
        "acks": "all",
        "enable_idempotence": True,
        "allow_auto_create_topics": False,
    }


def admin_options(kafka: Kafka) -> dict[str, Any]:
    """Settings of an admin client: the consumer's where both know them. Raises ConfigError."""
    options = consumer_options(kafka)
    options["request_timeout_ms"] = min(5000, options.get("request_timeout_ms", 5000))
    return {key: value for key, value in options.items() if key in KafkaAdminClient.DEFAULT_CONFIG}


def security_options(security: Security) -> dict[str, Any]:
    """TLS and SASL settings; secrets are read here and nowhere else. Raises ConfigError."""
    options: dict[str, Any] = {"security_protocol": security.protocol}
    if "SSL" in security.protocol:
        options |= _tls(security)
    if security.protocol.startswith("SASL"):
        options |= _sasl(security)
    return options


def check_options(kafka: Kafka) -> None:
    """Refuse what the clients would refuse, or worse, accept; without touching the network."""
    consumer_options(kafka)
    producer_options(kafka)


def check_client() -> None:
    """Refuse to start without fast checksums, every codec, and the client we know. Raises ConfigError."""
    if kafka.record.util.crc32c_c is None:
        raise ConfigError(
            "The C back end of crc32c is missing; without it each record costs a thousand times more",
            remedy="Install the Python package crc32c",
        )
    if not odd.survive():
        raise ConfigError(
            "This kafka-python is not the one that Tidegate was made for",
            why="a record with a header name that is not UTF-8 would stop its partition",
            remedy="Install kafka-python 3.0.12",
        )
    codecs = {"lz4": "lz4", "zstd": "zstandard", "snappy": "python-snappy"}
    for codec, package in codecs.items():
        if not getattr(kafka.codec, f"has_{codec}")():
            raise ConfigError(
                f"Records compressed with {codec} cannot be read",
                why=f"the Python package {package} is missing" + _import_failure(codec),
                remedy=f"Install the Python package {package}",
            )


def crc_backend() -> str:
    """`c` or `python`: what checks each batch."""
    return "python" if kafka.record.util.crc32c_c is None else "c"


def _import_failure(codec: str) -> str:
    module = {"lz4": "lz4.frame", "zstd": "zstandard", "snappy": "snappy"}[codec]
    try:
        importlib.import_module(module)
    except ImportError as error:
        return f" or broken ({error})"
    return ""


def _checked(
    section: str, given: Mapping[str, Any], known: Mapping[str, Any], refused: Mapping[str, str]
) -> dict[str, Any]:
    for key in given:
        where = f"{section}.{key}"
        if key in refused:
            raise ConfigError("This client setting may not be changed", where=where, remedy=refused[key])
        if key not in known:
            close = [name for name in known if name.startswith(key[:5]) and name not in refused]
            hint = f"Did you mean {' or '.join(sorted(close)[:3])}?" if close else "Remove it"
            raise ConfigError("The client does not know this setting", where=where, remedy=hint)
    return dict(given)


def _tls(security: Security) -> dict[str, Any]:
    files = {"ssl_cafile": "ca_file", "ssl_certfile": "cert_file", "ssl_keyfile": "key_file"}
    options: dict[str, Any] = {"ssl_check_hostname": security.check_hostname}
    for option, name in files.items():
        path: Path | None = getattr(security, name)
        if path is None:
            continue
        if not path.is_file():
            raise ConfigError(
                "There is no such file", where=f"kafka.security.{name}: {path}", remedy="Mend the path"
            )
        options[option] = str(path)
    if security.key_file is not None and security.cert_file is None:
        raise ConfigError("A key without its certificate", where="kafka.security", remedy="Set cert_file too")
    options["ssl_password"] = _secret(security.key_password, security.key_password_file, "key_password")
    return options


def _sasl(security: Security) -> dict[str, Any]:
    if security.mechanism is None:
        raise ConfigError(
            f"{security.protocol} needs a mechanism",
            where="kafka.security.mechanism",
            remedy="Set PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
        )
    password = _secret(security.password, security.password_file, "password")
    if not security.username or not password:
        missing = "username" if not security.username else "password"
        raise ConfigError(
            f"{security.mechanism} needs a {missing}",
            where=f"kafka.security.{missing}",
            remedy="Set it"
            if missing == "username"
            else "Set password_file, or the environment variable TIDEGATE_KAFKA__SECURITY__PASSWORD",
        )
    return {
        "sasl_mechanism": security.mechanism,
        "sasl_plain_username": security.username,
        "sasl_plain_password": password,
    }


def _secret(value: SecretStr | None, file: Path | None, name: str) -> str | None:
    if value is not None and file is not None:
        raise ConfigError(
            f"Both {name} and {name}_file are set", where="kafka.security", remedy="Remove one of them"
        )
    if file is None:
        return None if value is None else value.get_secret_value()
    try:
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        # The error of a bad encoding would quote the secret's bytes.
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(
            "The secret cannot be read",
            where=f"kafka.security.{name}_file: {file}",
            why=why or "",
            remedy="Mend the path or its permissions",
        ) from None
