"""The real daemon as its own process, with topics of its own on a real broker, and the checker over both."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from tests.checker import Answer, Fact, History, Place, Sample, Verdict, answers_of, judge
from tests.cluster import Cluster, Sent, Tail, until

ROOT = Path(__file__).parents[1]
START_SECONDS = 40.0  # a machine that does much else at the same time


class Daemon:
    """`tidegate run` as a process; `with` ends it, whatever happened."""

    def __init__(
        self, config: Path, port: int, args: Sequence[str] = (), env: Mapping[str, str] | None = None
    ) -> None:
        self._command = [sys.executable, "-m", "service.cli.main", "run", "-c", str(config), *args]
        self._env = environment(env)
        self._port = port
        self._log = config.with_name(f"{uuid.uuid4().hex[:6]}.log")
        self.started = 0.0

    def __enter__(self) -> Daemon:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()

    def start(self) -> None:
        """Start without waiting."""
        self.started = time.monotonic()
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, cwd=ROOT, env=self._env, stdout=log, stderr=log, start_new_session=True
            )

    @property
    def log(self) -> str:
        """Everything it said."""
        return self._log.read_text(errors="replace")

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of an address; status 0 while nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def reasons(self, probe: str = "readyz") -> dict[str, str] | None:
        """Why the probe fails, {} where it passes, None while nobody answers."""
        status, body = self.get(f"/{probe}")
        return json.loads(body)["reasons"] if status in (200, 503) else None

    @property
    def live(self) -> bool:
        return self.get("/livez")[0] == 200

    @property
    def ready(self) -> bool:
        return self.get("/readyz")[0] == 200

    def wait_ready(self, seconds: float = START_SECONDS) -> float:
        """Wait for readiness; returns seconds since its start."""

        def ready() -> bool:
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.log[-4000:]}"
            return self.ready

        try:
            until(seconds, "readiness", ready)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.reasons()}\n{self.log[-4000:]}") from None
        return time.monotonic() - self.started

    def terminate(self) -> None:
        """SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """`kill -9` for the daemon alone, then for what it left."""
        self.process.kill()
        self.process.wait(10)
        self.sweep()

    def sweep(self) -> None:
        """End what is left of its process group."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    @property
    def orphans(self) -> bool:
        """Whether a process of its group outlives it."""
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def wait(self, seconds: float = 30.0) -> int:
        """Its exit code; a signal that killed it is negative."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds:.0f} s:\n{self.log[-4000:]}") from None

    def stop(self, seconds: float = 30.0) -> int:
        """SIGTERM, and the exit code."""
        self.terminate()
        return self.wait(seconds)


class World:
    """One input, output and dead-letter topic, a group, a configuration; and the ledger of what was sent."""

    def __init__(
        self,
        cluster: Cluster,
        folder: Path,
        bundle: Path,
        *,
        partitions: int = 1,
        settings: Mapping[str, Any] | None = None,
        deadletter_configs: Mapping[str, str] | None = None,
    ) -> None:
        name = uuid.uuid4().hex[:8]
        self.cluster, self.folder = cluster, folder
        self.input, self.output, self.dead = f"in-{name}", f"out-{name}", f"dead-{name}"
        self.group = f"group-{name}"
        cluster.create(self.input, partitions)
        cluster.create(self.output, partitions)
        cluster.create(self.dead, 1, deadletter_configs)
        self.settings = merged(self._defaults(bundle), settings or {})
        self.came: list[Fact] = []
        self._answers: list[Answer] = []
        self._tail: Tail | None = None

    def close(self) -> None:
        self.forget_reader()

    def _defaults(self, bundle: Path) -> dict[str, Any]:
        quick = {"session_timeout_ms": 6000, "heartbeat_interval_ms": 500, "metadata_max_age_ms": 1000}
        return {
            "kafka": {
                "bootstrap_servers": [self.cluster.bootstrap],
                "group": self.group,
                "consumer": quick,
                "producer": {"metadata_max_age_ms": 1000},
            },
            "input": {"topics": [self.input]},
            "output": {"topic": self.output},
            "deadletter": {"topic": self.dead},
            "bundle": str(bundle),
            "engine": {"backend": "onnxruntime", "precision": "fp32", "threads": 1},
            "limits": {"decode_workers": 1, "drain_seconds": 4},
            "log": {"format": "json"},
        }

    def config(self, changes: Mapping[str, Any] | None = None) -> tuple[Path, int]:
        """A configuration file, and the port its probes will answer on."""
        port = free_port()
        tree = merged(self.settings, {"http": {"port": port}})
        path = self.folder / f"{uuid.uuid4().hex[:6]}.yaml"
        path.write_text(yaml.safe_dump(merged(tree, changes or {})))
        return path, port

    def daemon(
        self,
        *args: str,
        env: Mapping[str, str] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Daemon:
        """A daemon on these topics, not yet started."""
        return Daemon(*self.config(settings), args, env)

    def send(self, events: Iterable[Sent | str], *, key: bytes | None = None) -> list[Fact]:
        """Send events (a string: a post of that text) and remember them."""
        made = [Sent(post(event), key) if isinstance(event, str) else event for event in events]
        sent = self.cluster.send(self.input, made)
        self.came += sent
        return sent

    # -- what came out ---------------------------------------------------------------------------------------

    def answers(self) -> list[Answer]:
        """Every score and dead letter up to now."""
        if self._tail is None:
            self._tail = Tail(self.cluster, [self.output, self.dead])
        found = list(self._tail.upto_now())
        self._answers += answers_of(
            (fact for fact in found if fact.at.topic == self.output),
            (fact for fact in found if fact.at.topic == self.dead),
        )
        return self._answers

    def forget_reader(self) -> None:
        """Read the topics from their beginning next time (one was made anew)."""
        if self._tail is not None:
            self._tail.close()
        self._tail = None

    def open_places(self) -> set[Place]:
        """Where events lie that have no answer yet."""
        return {fact.at for fact in self.came} - {answer.origin for answer in self.answers()}

    def wait_answered(self, seconds: float = 30.0, daemon: Daemon | None = None) -> float:
        """Wait until every event sent has its answer; returns the seconds it took."""
        began = time.monotonic()
        while missing := self.open_places():
            said = daemon.log[-4000:] if daemon else ""
            assert time.monotonic() - began < seconds, (
                f"{len(missing)} without answer: {min(missing)}\n{said}"
            )
            time.sleep(0.05)
        return time.monotonic() - began

    def wait_committed(self, seconds: float = 15.0) -> float:
        """Wait until the group has committed everything that was sent."""
        ends: dict[tuple[str, int], int] = {}
        for fact in self.came:
            lane = fact.at[:2]
            ends[lane] = max(ends.get(lane, 0), fact.at.offset + 1)
        return until(seconds, "all committed", lambda: self.committed() == ends)

    def committed(self) -> dict[Any, int]:
        """The group's committed offsets."""
        return self.cluster.offsets(self.group)

    def score_of(self, fact: Fact) -> dict[str, Any]:
        """The first score of an event."""
        return next(
            json.loads(answer.fact.value or b"")
            for answer in self.answers()
            if answer.kind == "score" and answer.origin == fact.at
        )

    def dead_of(self, fact: Fact) -> Fact:
        """The dead letter of an event."""
        return next(a.fact for a in self.answers() if a.kind == "dead" and a.origin == fact.at)

    def verdict(self, samples: Sequence[Sample] = ()) -> Verdict:
        """The checker's word on everything up to now."""
        return judge(History(self.came, self.answers(), self.committed(), samples))


def post(text: str, **fields: Any) -> bytes:
    """An event with a text."""
    return json.dumps({"text": text} | fields, ensure_ascii=False).encode()


def posts(count: int, keys: int = 0, start: int = 0) -> list[Sent]:
    """Numbered events, of as many keys in turn (0: without keys)."""
    return [
        Sent(
            post(f"event number {k} says hello to everyone", id=f"e{k}"),
            f"k{k % keys}".encode() if keys else None,
        )
        for k in range(start, start + count)
    ]


def media(data: bytes, media_type: str) -> dict[str, str]:
    """An item of media as events carry it."""
    return {"bytes": base64.b64encode(data).decode(), "media_type": media_type}


def picture(size: int = 16, colour: tuple[int, int, int] = (200, 30, 30)) -> bytes:
    """A PNG."""
    out = io.BytesIO()
    Image.new("RGB", (size, size), colour).save(out, "PNG")
    return out.getvalue()


def merged(tree: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The tree with the changes laid over it."""
    result = dict(tree)
    for name, value in changes.items():
        inner = result.get(name)
        both = isinstance(inner, Mapping) and isinstance(value, Mapping)
        result[name] = merged(inner, value) if both else value  # type: ignore[arg-type]
    return result


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Ours without settings for Tidegate, and more."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")} | dict(
        more or {}
    )


def tidegate(
    *args: str, env: Mapping[str, str] | None = None, seconds: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    command = [sys.executable, "-m", "service.cli.main", *args]
    return subprocess.run(
        command, cwd=ROOT, env=environment(env), capture_output=True, text=True, timeout=seconds, check=False
    )


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
