"""The demo's `tidegate run`: a real process on a generated configuration, never left behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import yaml

from service.config import Settings
from service.errors import ConfigError, Exit, InternalError, TidegateError, UnreachableError

READY_SECONDS: Final = 120.0
STOP_SECONDS: Final = 15.0
KINDS: Final[dict[int, type[TidegateError]]] = {
    Exit.CONFIG: ConfigError,
    Exit.UNREACHABLE: UnreachableError,
}
DROPPED: Final = re.compile(rb"^tidegate_records_dropped_total(?:\{[^}]*\})? ([0-9.e+]+)$", re.MULTILINE)
# Kills the process group it was told of and removes the folder when our end of the pipe closes.
WATCHDOG: Final = """
read -r group
cat >/dev/null
kill -s KILL -- "-$group" 2>/dev/null
for again in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf -- "$1" 2>/dev/null
    [ -e "$1" ] || break
    sleep 0.1  # the dying may still write
done
"""


class Daemon:
    """`tidegate run` in a folder of its own; `address` is where its metrics are."""

    def __init__(
        self, folder: Path, settings: Settings, held: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._folder, self._settings, self._held = folder, settings, held
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._port = _port()
        self.address = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Write the configuration and start; `wait_ready` tells when it serves."""
        file = self._folder / "tidegate.yaml"
        # A folder is meant from here, not from the configuration's place; a name stays a name.
        bundle = self._settings.bundle
        tree = {
            "kafka": {"bootstrap_servers": self._settings.kafka.bootstrap_servers},
            "http": {"port": self._port},
            "log": {"format": "human"},  # the demo shows its end to a person where something goes wrong
            "bundle": str(Path(bundle).resolve()) if Path(bundle).is_dir() else bundle,
        }
        file.write_text(yaml.safe_dump(tree), encoding="utf-8")
        # Settings meant for a daemon of the user's must not redirect the demo to a real cluster.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
        command = [sys.executable, "-m", "service.cli.main", "run", "-c", str(file)]
        with self._held(), self._log.open("wb") as log:
            # A session of its own: Ctrl-C on the terminal is for the demo, which then stops this in order.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
            self._watchdog = subprocess.Popen(
                ["/bin/sh", "-c", WATCHDOG, "watchdog", str(self._folder)],
                stdin=subprocess.PIPE,
                start_new_session=True,
            )
            assert self._watchdog.stdin is not None
            self._watchdog.stdin.write(f"{self._process.pid}\n".encode())
            self._watchdog.stdin.flush()

    def wait_ready(self) -> None:
        """Return once `/readyz` says so; InternalError with the log's tail where that does not come."""
        deadline = time.monotonic() + READY_SECONDS
        while self._get("/readyz") is None:
            self.check()
            if time.monotonic() > deadline:
                raise InternalError(
                    f"the daemon was not ready within {READY_SECONDS:.0f} s", why=self.log_tail()
                )
            time.sleep(0.1)

    def check(self) -> None:
        """Raise the error of its exit code, with the log's tail, when the daemon has ended."""
        assert self._process is not None, "Not started. This is a bug."
        if (code := self._process.poll()) is not None:
            kind = KINDS.get(code, InternalError)
            raise kind(f"the daemon ended with code {code}", why=self.log_tail())

    def dropped(self) -> int:
        """How many records the daemon says it dropped, by configuration."""
        page = self._get("/metrics") or b""
        return int(sum(float(value) for value in DROPPED.findall(page)))

    def log_tail(self, lines: int = 15) -> str:
        """The end of its log."""
        return "\n".join(self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def stop(self) -> None:
        """SIGTERM, so that it drains; SIGKILL to its whole group when it does not end."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        if self._watchdog is not None:
            # It kills what may be left of the group, a decode worker for example.
            assert self._watchdog.stdin is not None
            self._watchdog.stdin.close()
            self._watchdog.wait()

    @property
    def _log(self) -> Path:
        return self._folder / "daemon.log"

    def _get(self, path: str) -> bytes | None:
        try:
            with urllib.request.urlopen(self.address + path, timeout=2) as answer:  # noqa: S310 - our own address
                return bytes(answer.read())
        except (OSError, urllib.error.URLError):
            return None


def _port() -> int:
    """The port that the documentation names, or any that is free."""
    usual: int = Settings().http.port
    for port in (usual, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise InternalError("no free port on the loopback address")
