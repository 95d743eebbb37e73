"""The embedded broker: up in seconds, and nothing of it left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer

from service.errors import ConfigError, InternalError
from service.kafka import jars
from service.kafka.broker import EmbeddedBroker
from tests.kafka.conftest import fresh_topic, kafka_for

pytestmark = pytest.mark.kafka


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pid: int, folder: Path) -> bool:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if not alive(pid) and not folder.exists():
            return True
        time.sleep(0.05)
    return False


def test_data_and_address_survive_a_kill(own_broker):
    kafka = kafka_for(own_broker)
    name, address = fresh_topic(kafka), own_broker.bootstrap
    producer = KafkaProducer(bootstrap_servers=address)
    producer.send(name, b"kept").get(10)
    producer.close()
    own_broker.kill()
    assert own_broker.pid is None
    own_broker.start()
    assert own_broker.bootstrap == address
    consumer = KafkaConsumer(name, bootstrap_servers=address, auto_offset_reset="earliest")
    (record,) = next(iter(consumer.poll(timeout_ms=10000).values()))
    consumer.close()
    assert record.value == b"kept"


def test_its_cpu_time_can_be_read(broker):
    assert 0.5 < broker.cpu_seconds < 10_000


def test_nothing_is_left_after_it_was_used():
    with EmbeddedBroker() as running:
        pid, folder = running.pid, running.folder
        assert pid is not None
        assert alive(pid)
    assert gone(pid, folder)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_its_user_is_ended(how):
    program = (
        "from service.kafka.broker import EmbeddedBroker\n"
        "import signal, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a job in the background ignores it
        "with EmbeddedBroker() as b:\n"
        "    print(b.pid, b.folder, flush=True)\n"
        "    time.sleep(60)\n"
    )
    user = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert user.stdout is not None
    pid, folder = user.stdout.readline().decode().split()
    assert alive(int(pid))
    os.kill(user.pid, how)
    user.wait(20)
    assert gone(int(pid), Path(folder))


def test_a_failed_start_shows_the_log_and_leaves_nothing():
    broken = EmbeddedBroker(properties={"log.retention.bytes": "not a number"})
    with pytest.raises(InternalError, match=r"log\.retention\.bytes"):
        broken.start()
    assert broken.pid is None
    assert not broken.folder.exists()


@pytest.mark.parametrize(("program", "package"), [("java", "openjdk-17-jre-headless"), ("mvn", "maven")])
def test_a_missing_program_is_named_with_its_package(monkeypatch, tmp_path, program, package):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match=package):
        jars.java() if program == "java" else jars.kafka_jars()


def test_a_failed_fetch_says_why_and_leaves_no_half_cache(monkeypatch, tmp_path):
    maven = tmp_path / "mvn"
    maven.write_text("#!/bin/sh\necho no network\nexit 1\n")
    maven.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(Exception, match="no network"):
        jars.kafka_jars()
    assert not list((tmp_path / "tidegate").glob("*/"))
