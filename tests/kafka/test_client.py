"""Settings that reach the client, secrets that stay secret, and causes that are named in time."""

from __future__ import annotations

import datetime
import ipaddress
import logging
import socket
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from kafka.record.default_records import DefaultRecordBatch
from pydantic import SecretStr

from service.config import Input, Kafka, Security
from service.errors import ConfigError, TidegateError, UnreachableError
from service.kafka import odd
from service.kafka.admin import admin, create_topics, describe
from service.kafka.broker import EmbeddedBroker, Listener
from service.kafka.checkpoint import Checkpoint
from service.kafka.client import check_client, check_options, consumer_options, producer_options
from service.kafka.quiet import quiet_client
from service.kafka.sink import Sink
from service.kafka.source import Silent, Source
from service.record import Outgoing, Partition

pytestmark = pytest.mark.kafka
PASSWORD = "open-sesame-7"


# --- settings, without a broker


def test_any_client_setting_may_be_given_but_none_that_loses_data():
    fine = Kafka(consumer={"fetch_max_bytes": 1 << 20}, producer={"compression_type": "lz4"})
    assert consumer_options(fine)["fetch_max_bytes"] == 1 << 20
    assert producer_options(fine)["compression_type"] == "lz4"
    for key in (
        "enable_auto_commit",
        "auto_offset_reset",
        "group_id",
        "max_poll_records",
        "value_deserializer",
    ):
        with pytest.raises(ConfigError, match=rf"kafka\.consumer\.{key}"):
            check_options(Kafka(consumer={key: 1}))
    for key in ("acks", "enable_idempotence", "transactional_id", "retries", "value_serializer"):
        with pytest.raises(ConfigError, match=rf"kafka\.producer\.{key}"):
            check_options(Kafka(producer={key: 1}))


def test_an_unknown_setting_is_refused_with_a_hint():
    with pytest.raises(ConfigError, match=r"fetch_max_byte\b.*Did you mean.*fetch_max_bytes"):
        check_options(Kafka(consumer={"fetch_max_byte": 1}))


def test_a_secret_comes_from_a_file_without_its_line_end(tmp_path):
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\r\n")
    security = Security(protocol="SASL_PLAINTEXT", mechanism="PLAIN", username="u", password_file=file)
    assert consumer_options(Kafka(security=security))["sasl_plain_password"] == PASSWORD


@pytest.mark.parametrize(
    ("security", "expected"),
    [
        ({"protocol": "SASL_SSL", "username": "u", "password": "p"}, "mechanism"),
        ({"protocol": "SASL_SSL", "mechanism": "PLAIN", "password": "p"}, "username"),
        ({"protocol": "SASL_SSL", "mechanism": "PLAIN", "username": "u"}, "password"),
        ({"protocol": "SASL_SSL", "mechanism": "PLAIN", "username": "u", "password": ""}, "password"),
        ({"protocol": "SSL", "ca_file": "/no/such/ca"}, "ca_file"),
        (
            {"protocol": "SASL_SSL", "mechanism": "PLAIN", "username": "u", "password_file": "/no"},
            "password_file",
        ),
    ],
)
def test_incomplete_security_is_named(security, expected):
    with pytest.raises(ConfigError, match=expected) as caught:
        check_options(Kafka(security=Security(**security)))
    assert caught.value.remedy


def test_a_missing_codec_is_named_with_its_package(monkeypatch):
    check_client()
    monkeypatch.setattr("kafka.codec.zstd", None)
    with pytest.raises(ConfigError, match=r"zstd.*zstandard"):
        check_client()


def test_slow_checksums_are_refused(monkeypatch):
    monkeypatch.setattr("kafka.record.util.crc32c_c", None)
    with pytest.raises(ConfigError, match="crc32c"):
        check_client()


def test_a_client_that_cannot_read_odd_header_names_is_refused(monkeypatch):
    monkeypatch.setattr(DefaultRecordBatch, "_read_msg", odd._read_strictly)
    with pytest.raises(ConfigError, match="kafka-python"):
        check_client()


# --- a broker with every door


class Papers:
    """A CA, a broker's certificate for localhost and 127.0.0.1, one for another host, and a client's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ca_key = ec.generate_private_key(ec.SECP256R1())
        self._ca = self._issue("ca", self._ca_key, None)
        self._write("ca", self._ca)
        other_key = ec.generate_private_key(ec.SECP256R1())
        self._write("other-ca", self._issue("other", other_key, None, issuer_key=other_key, issuer="other"))
        self.pair("broker", ["localhost", "127.0.0.1"])
        self.pair("stranger", ["elsewhere.example"])
        self.pair("client", ["client"])

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.pem"

    def pair(self, name: str, hosts: list[str]) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._issue(name, key, hosts)
        self._write(name, certificate)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self.path(f"{name}-key").write_bytes(private)
        both = private + certificate.public_bytes(serialization.Encoding.PEM)
        self.path(f"{name}-store").write_bytes(both)

    def _write(self, name: str, certificate: x509.Certificate) -> None:
        self.path(name).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def _issue(self, name, key, hosts, issuer_key=None, issuer="ca"):
        now = datetime.datetime.now(datetime.UTC)

        def named(text: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

        builder = (
            x509.CertificateBuilder()
            .subject_name(named(name))
            .issuer_name(named(issuer))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=hosts is None, path_length=None), critical=True)
        )
        if hosts is not None:
            names: list[x509.GeneralName] = []
            for host in hosts:
                if host[0].isdigit():
                    names.append(x509.IPAddress(ipaddress.ip_address(host)))
                else:
                    names.append(x509.DNSName(host))
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(issuer_key or self._ca_key, hashes.SHA256())


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    return Papers(tmp_path_factory.mktemp("papers"))


@pytest.fixture(scope="module")
def doors(papers):
    def tls(who: str) -> dict[str, str]:
        return {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(papers.path(f"{who}-store")),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(papers.path("ca")),
        }

    plain = {
        "sasl.enabled.mechanisms": "PLAIN",
        "plain.sasl.jaas.config": "org.apache.kafka.common.security.plain.PlainLoginModule required "
        f'user_alice="{PASSWORD}";',
    }
    scram = {
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "scram-sha-512.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
    }
    listeners = [
        Listener("PLAINLOGIN", "SASL_PLAINTEXT", plain),
        Listener("SCRAMLOGIN", "SASL_SSL", {**scram, **tls("broker")}),
        Listener("TLS", "SSL", tls("broker")),
        Listener("STRANGER", "SSL", tls("stranger")),
        Listener("MUTUAL", "SSL", {**tls("broker"), "ssl.client.auth": "required"}),
    ]
    with EmbeddedBroker(listeners=listeners, scram={"alice": PASSWORD}) as running:
        yield running


def through(doors: EmbeddedBroker, door: str, **security: object) -> Kafka:
    return Kafka(
        bootstrap_servers=[doors.address(door)],
        group=f"g-{time.monotonic_ns()}",
        security=Security(**security),  # type: ignore[arg-type]
        consumer={"bootstrap_timeout_ms": 4000},
    )


ALICE = {"username": "alice", "password": SecretStr(PASSWORD)}


@pytest.mark.parametrize("way", ["plain", "scram", "tls", "mutual"])
def test_every_protected_way_in_and_out_works(doors, papers, way):
    ca = papers.path("ca")
    kafka = {
        "plain": lambda: through(doors, "PLAINLOGIN", protocol="SASL_PLAINTEXT", mechanism="PLAIN", **ALICE),
        "scram": lambda: through(
            doors, "SCRAMLOGIN", protocol="SASL_SSL", mechanism="SCRAM-SHA-512", ca_file=ca, **ALICE
        ),
        "tls": lambda: through(doors, "TLS", protocol="SSL", ca_file=ca),
        "mutual": lambda: through(
            doors,
            "MUTUAL",
            protocol="SSL",
            ca_file=ca,
            cert_file=papers.path("client"),
            key_file=papers.path("client-key"),
        ),
    }[way]()
    name = f"secure-{way}"
    create_topics(kafka, [name])
    assert describe(kafka, [name])[name].partitions == 1
    sink = Sink(kafka)
    assert sink.publish([Outgoing(name, b"k", b"v", (), Partition("in", 0), 1)]) == []
    sink.close()
    checkpoint = Checkpoint()
    source = Source(kafka, Input(topics=[name]), checkpoint, Silent())
    source.open()
    read: list[bytes | None] = []
    end = time.monotonic() + 10
    while not read and time.monotonic() < end:
        read.extend(record.value for run in source.poll() for record in run.records)
    source.close()
    assert read == [b"v"]


def refused(kafka: Kafka) -> TidegateError:
    began = time.monotonic()
    with pytest.raises(TidegateError) as caught, admin(kafka):
        pass
    assert time.monotonic() - began < 15
    assert caught.value.remedy
    assert PASSWORD not in str(caught.value)
    return caught.value


def test_a_wrong_password_is_a_configuration_error(doors):
    wrong = {"username": "alice", "password": SecretStr("wrong-" + PASSWORD)}
    error = refused(through(doors, "PLAINLOGIN", protocol="SASL_PLAINTEXT", mechanism="PLAIN", **wrong))
    assert isinstance(error, ConfigError)
    assert "password" in str(error)


def test_a_wrong_scram_password_is_a_configuration_error(doors, papers):
    wrong = {"username": "alice", "password": SecretStr("wrong-" + PASSWORD), "ca_file": papers.path("ca")}
    error = refused(through(doors, "SCRAMLOGIN", protocol="SASL_SSL", mechanism="SCRAM-SHA-512", **wrong))
    assert isinstance(error, ConfigError)
    assert "password" in str(error)


def test_a_wrong_mechanism_is_a_configuration_error(doors):
    error = refused(
        through(doors, "PLAINLOGIN", protocol="SASL_PLAINTEXT", mechanism="SCRAM-SHA-512", **ALICE)
    )
    assert isinstance(error, ConfigError)
    assert "mechanism" in str(error)


def test_a_wrong_ca_is_a_configuration_error(doors, papers):
    error = refused(through(doors, "TLS", protocol="SSL", ca_file=papers.path("other-ca")))
    assert isinstance(error, ConfigError)
    assert "ca_file" in str(error)


def test_a_certificate_for_another_host_is_a_configuration_error(doors, papers):
    error = refused(through(doors, "STRANGER", protocol="SSL", ca_file=papers.path("ca")))
    assert isinstance(error, ConfigError)
    assert "host name" in str(error)


def test_a_missing_client_certificate_is_a_configuration_error(doors, papers):
    error = refused(through(doors, "MUTUAL", protocol="SSL", ca_file=papers.path("ca")))
    assert isinstance(error, ConfigError)


def test_the_wrong_protocol_is_a_configuration_error(doors, papers):
    assert isinstance(refused(through(doors, "TLS", protocol="PLAINTEXT")), ConfigError)
    plain_port = through(doors, "PLAINTEXT", protocol="SSL", ca_file=papers.path("ca"))
    assert isinstance(refused(plain_port), ConfigError)


def test_a_port_where_nothing_listens_is_unreachable():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        error = refused(
            Kafka(
                bootstrap_servers=[f"127.0.0.1:{taken.getsockname()[1]}"],
                consumer={"bootstrap_timeout_ms": 2000},
            )
        )
    assert isinstance(error, UnreachableError)
    assert "nothing listens" in str(error)


def test_a_host_that_does_not_exist_is_unreachable():
    kafka = Kafka(bootstrap_servers=["no-such-host.invalid:9092"], consumer={"bootstrap_timeout_ms": 2000})
    error = refused(kafka)
    assert isinstance(error, UnreachableError)


def test_no_secret_is_ever_logged_or_shown(doors, caplog):
    caplog.set_level(logging.DEBUG)
    kafka = through(doors, "PLAINLOGIN", protocol="SASL_PLAINTEXT", mechanism="PLAIN", **ALICE)
    with admin(kafka) as client:
        client.list_topics()
    assert PASSWORD not in caplog.text
    assert PASSWORD not in repr(kafka)
    assert PASSWORD not in kafka.model_dump_json()


def test_a_flood_of_the_clients_own_log_is_one_line(caplog):
    quiet_client()
    caplog.set_level(logging.WARNING, logger="service.kafka.client")
    noisy = logging.getLogger("kafka.net.manager")
    for number in range(500):
        noisy.error("Connection to %d.0.0.1 failed", number)
        noisy.info("settings: password")
    assert len([r for r in caplog.records if r.name == "service.kafka.client"]) == 1
    assert "settings" not in caplog.text
