"""Why the cluster cannot be reached: the client only times out, the cause stands in its log."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from kafka.errors import KafkaConfigurationError, KafkaError

from service.config import Kafka
from service.errors import ConfigError, TidegateError, UnreachableError

Client = TypeVar("Client")


class _Cause(NamedTuple):
    pattern: str
    kind: type[TidegateError]
    why: str
    remedy: str


# The first that matches any line of the log; most telling first.
_CAUSES = (
    _Cause(
        r"SaslAuthenticationFailed|Authentication failed|invalid credentials",
        ConfigError,
        "the broker refused the user name or the password",
        "Check kafka.security.username and the password",
    ),
    _Cause(
        r"UnsupportedSaslMechanism",
        ConfigError,
        "the broker does not offer this SASL mechanism",
        "Check kafka.security.mechanism",
    ),
    _Cause(
        r"IllegalSaslState",
        ConfigError,
        "this port does not speak SASL",
        "Check kafka.security.protocol and the port",
    ),
    _Cause(
        r"[Hh]ostname mismatch|IP address mismatch|doesn't match|not valid for",
        ConfigError,
        "the broker's certificate is for another host name",
        "Use the name in the certificate in kafka.bootstrap_servers",
    ),
    _Cause(
        r"CERTIFICATE_VERIFY_FAILED|unable to get local issuer|self.signed",
        ConfigError,
        "the broker's certificate is not signed by the given CA",
        "Check kafka.security.ca_file",
    ),
    _Cause(
        r"BAD_CERTIFICATE|CERTIFICATE_REQUIRED|UNKNOWN_CA|certificate required|bad certificate|alert number",
        ConfigError,
        "the broker refused our certificate",
        "Check kafka.security.cert_file and key_file",
    ),
    _Cause(
        r"WRONG_VERSION_NUMBER|wrong version number|RECORD_LAYER|record layer",
        ConfigError,
        "this port does not speak TLS",
        "Check kafka.security.protocol and the port",
    ),
    _Cause(
        r"ECONNREFUSED|Connection refused|Connect.*\b111\b",
        UnreachableError,
        "nothing listens there",
        "Check kafka.bootstrap_servers, and that the broker runs",
    ),
    _Cause(
        r"gaierror|Name or service not known|name resolution|No address associated|DNS",
        UnreachableError,
        "the host name cannot be resolved",
        "Check kafka.bootstrap_servers and the DNS",
    ),
)
_HUNG_UP = r"[Ss]ocket disconnected|[Cc]onnection reset|EOF occurred|closed by|ECONNRESET"


def bootstrap(kafka: Kafka, make: Callable[[], Client]) -> Client:
    """Make a client, which connects at once; raises ConfigError or UnreachableError with the cause."""
    seen = _Listener()
    logger = logging.getLogger("kafka")
    logger.addHandler(seen)
    try:
        return make()
    except (KafkaConfigurationError, ValueError, TypeError, AssertionError) as error:
        raise ConfigError(
            "The Kafka client refused its settings",
            where="kafka.consumer, kafka.producer",
            why=type(error).__name__ if "password" in str(error) else str(error),
            remedy="Mend the setting",
        ) from None
    except (KafkaError, OSError) as error:
        raise classify(kafka, [*seen.lines, f"{type(error).__name__}: {error}"]) from error
    finally:
        logger.removeHandler(seen)


def classify(kafka: Kafka, lines: list[str]) -> TidegateError:
    """The error that these lines of the client's log stand for."""
    what, where = "The Kafka cluster cannot be reached", ", ".join(kafka.bootstrap_servers)
    text = "\n".join(lines)
    for cause in _CAUSES:
        if re.search(cause.pattern, text):
            return cause.kind(what, where=where, why=cause.why, remedy=cause.remedy)
    if re.search(_HUNG_UP, text):
        return _hung_up(kafka, what, where)
    return UnreachableError(
        what,
        where=where,
        why="no answer in time",
        remedy="Check the network, the addresses and the broker's advertised listeners",
    )


def _hung_up(kafka: Kafka, what: str, where: str) -> TidegateError:
    protocol = kafka.security.protocol
    if protocol.startswith("SASL"):
        return ConfigError(
            what,
            where=where,
            why="the broker hung up while we logged in (wrong user name, password or mechanism, most often)",
            remedy="Check kafka.security: username, password, mechanism, protocol; and the port",
        )
    return ConfigError(
        what,
        where=where,
        why=f"the broker hung up on {protocol}",
        remedy="Check kafka.security.protocol and the port: this one may want TLS or SASL",
    )


class _Listener(logging.Handler):
    """Keeps the last lines of the client's log while a client is built."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            self.lines = [*self.lines[-199:], record.getMessage()]
