"""A real Apache Kafka broker for the demo, the tests and the bench: one KRaft node on free loopback ports."""

from __future__ import annotations

import atexit
import os
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO

from service.errors import InternalError
from service.kafka.jars import java, kafka_jars

STARTED = "Kafka Server started"  # logged once the broker is unfenced: metadata answers from then on
PORT_TAKEN = "Address already in use"
START_SECONDS = 90.0
# Kills the broker's process group and removes its folder when our end of the pipe closes, whatever ended us.
WATCHDOG = """
while read -r line; do group=$line; done
[ -n "$group" ] && kill -s KILL -- "-$group" 2>/dev/null
for again in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf -- "$1" 2>/dev/null
    [ -e "$1" ] || break
    sleep 0.3  # the dying broker may still write
done
"""


@dataclass(frozen=True, slots=True)
class Listener:
    """One more door, for example `Listener("SECURE", "SASL_SSL", {"ssl.client.auth": "none"})`."""

    name: str
    protocol: str
    properties: Mapping[str, str] = field(default_factory=dict)
    """Server properties, written as `listener.name.<name>.<key>`."""


class EmbeddedBroker:
    """Starts on `with`, and leaves neither process nor folder behind, even if this process is killed."""

    def __init__(
        self,
        *,
        properties: Mapping[str, str] | None = None,
        listeners: Sequence[Listener] = (),
        scram: Mapping[str, str] | None = None,
        memory: str = "512m",
    ) -> None:
        """`properties` override the server's; `scram` holds users and passwords (SCRAM-SHA-256 and -512)."""
        self._properties, self._listeners = dict(properties or {}), tuple(listeners)
        self._scram, self._memory = dict(scram or {}), memory
        self._ports: dict[str, int] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._spent = 0.0
        self.folder = Path()

    def __enter__(self) -> EmbeddedBroker:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def bootstrap(self) -> str:
        """host:port of the plain listener."""
        return self.address("PLAINTEXT")

    def address(self, listener: str) -> str:
        """host:port of a listener by its name."""
        return f"127.0.0.1:{self._ports[listener]}"

    @property
    def pid(self) -> int | None:
        """The broker's process, None while it is down."""
        return None if self._process is None else self._process.pid

    @property
    def log(self) -> Path:
        """The broker's own log."""
        return self.folder / "server.log"

    @property
    def cpu_seconds(self) -> float:
        """User and system time of all the broker's processes since it was first started."""
        return self._spent + (_cpu_seconds(self.pid) if self.pid else 0.0)

    def start(self) -> None:
        """Start (again, on the same ports and data), wait for metadata; InternalError with the log's tail."""
        assert self._process is None, "The broker runs already. This is a bug."
        try:
            if self._ports:
                self._launch()
            else:
                self._start_fresh()
        except BaseException:
            self.close()
            raise

    def stop(self, timeout: float = 20.0) -> None:
        """Shut down in good order; the data stays."""
        self._end(signal.SIGTERM, timeout)

    def kill(self) -> None:
        """`kill -9`; the data stays."""
        self._end(signal.SIGKILL, 10.0)

    def close(self) -> None:
        """End the process and remove the folder."""
        atexit.unregister(self.close)
        self._end(signal.SIGKILL, 10.0)
        if self._watchdog is not None:
            assert self._watchdog.stdin is not None
            self._watchdog.stdin.close()
            self._watchdog.wait(timeout=30)
            self._watchdog = None
        self._ports = {}

    def _start_fresh(self) -> None:
        jars, runtime = kafka_jars(), java()
        for last in (False, False, True):
            self.folder = Path(tempfile.mkdtemp(prefix="tidegate-broker-"))
            self._watch()
            self._ports = _free_ports(["PLAINTEXT", "CONTROLLER", *(each.name for each in self._listeners)])
            self._write_properties()
            self._format(runtime, jars)
            try:
                self._launch()
                return
            except InternalError as error:
                # Another process may take a free port between our look and the broker's bind.
                if last or PORT_TAKEN not in error.why:
                    raise
                self.close()

    def _watch(self) -> None:
        atexit.register(self.close)
        self._watchdog = subprocess.Popen(
            ["/bin/sh", "-c", WATCHDOG, "watchdog", str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _tell_watchdog(self, group: str) -> None:
        assert self._watchdog is not None, "No watchdog. This is a bug."
        assert self._watchdog.stdin is not None
        self._watchdog.stdin.write(f"{group}\n".encode())
        self._watchdog.stdin.flush()

    def _write_properties(self) -> None:
        doors = {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT"}
        doors |= {each.name: each.protocol for each in self._listeners}
        properties = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "log.dirs": str(self.folder / "data"),
            "controller.quorum.bootstrap.servers": self.address("CONTROLLER"),
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listeners": ",".join(f"{name}://{self.address(name)}" for name in doors),
            "advertised.listeners": ",".join(
                f"{name}://{self.address(name)}" for name in doors if name != "CONTROLLER"
            ),
            "listener.security.protocol.map": ",".join(f"{name}:{kind}" for name, kind in doors.items()),
            **DEFAULTS,
            **{
                f"listener.name.{each.name.lower()}.{key}": value
                for each in self._listeners
                for key, value in each.properties.items()
            },
            **self._properties,
        }
        text = "".join(f"{key}={value}\n" for key, value in properties.items())
        (self.folder / "server.properties").write_text(text, encoding="utf-8")

    def _format(self, runtime: str, jars: Path) -> None:
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if cluster.startswith("-"):
            cluster = "A" + cluster[1:]  # the tool would read it as an option
        users = [
            f"--add-scram={mechanism}=[name={name},password={password}]"
            for name, password in self._scram.items()
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
        ]
        command = [*_java(runtime, jars, "256m"), "kafka.tools.StorageTool", "format", "-t", cluster]
        command += ["-c", str(self.folder / "server.properties"), "--standalone", *users]
        with self.log.open("ab") as log:
            done = subprocess.run(command, stdout=log, stderr=log, timeout=START_SECONDS, check=False)
        if done.returncode:
            raise self._failure("The embedded broker's storage could not be formatted")

    def _launch(self) -> None:
        command = [*_java(java(), kafka_jars(), self._memory), "kafka.Kafka"]
        command.append(str(self.folder / "server.properties"))
        with self.log.open("ab") as log:
            seen = log.tell()
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._tell_watchdog(str(self._process.pid))
        deadline = time.monotonic() + START_SECONDS
        with self.log.open("rb") as log:
            log.seek(seen)
            self._await_started(log, deadline)

    def _await_started(self, log: IO[bytes], deadline: float) -> None:
        assert self._process is not None
        tail = b""
        while STARTED.encode() not in tail:
            if self._process.poll() is not None:
                raise self._failure(f"The embedded broker ended with code {self._process.returncode}")
            if time.monotonic() > deadline:
                raise self._failure(f"The embedded broker did not start within {START_SECONDS:.0f} s")
            time.sleep(0.05)
            tail = tail[-200:] + log.read()

    def _failure(self, what: str) -> InternalError:
        text = self.log.read_text(encoding="utf-8", errors="replace")
        cause = PORT_TAKEN + "\n" if PORT_TAKEN in text else ""
        return InternalError(what, where=str(self.log), why=cause + text[-4000:])

    def _end(self, how: signal.Signals, timeout: float) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            spent = _cpu_seconds(process.pid)
            os.killpg(process.pid, how)
            try:
                process.wait(timeout=timeout)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(timeout=10)
            self._spent += spent
        self._tell_watchdog("")  # the number may soon belong to someone else


# Small and quick: one replica of everything, no waiting for group members, short sessions for the tests.
DEFAULTS = {
    "auto.create.topics.enable": "false",
    "num.partitions": "1",
    "offsets.topic.num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    # A killed broker's old session must end before the same node may take writes again.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "num.network.threads": "2",
    "num.io.threads": "4",
}


def _java(runtime: str, jars: Path, memory: str) -> list[str]:
    quick = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.showDateTime=true"]
    return [runtime, f"-Xmx{memory}", *quick, "-cp", f"{jars}/*"]


def _free_ports(names: Sequence[str]) -> dict[str, int]:
    sockets = [socket.socket() for _ in names]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return {name: int(each.getsockname()[1]) for name, each in zip(names, sockets, strict=True)}
    finally:
        for each in sockets:
            each.close()


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
