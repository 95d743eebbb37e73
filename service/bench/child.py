"""Processes of the bench: started with a log, stopped in good order, never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

from service.errors import InternalError

STOP_SECONDS: Final = 30.0
TAIL: Final = 15
# Kills the process group it is told of when our end of the pipe closes, whatever ended us.
WATCHDOG: Final = 'read -r group; cat >/dev/null; kill -9 -- "-$group" 2>/dev/null'


class Child:
    """A Python module as a process while entered; `name` names it in errors."""

    def __init__(self, name: str, module: str, arguments: Sequence[str], folder: Path) -> None:
        self._name, self._log = name, folder / f"{name}.log"
        self._command = [sys.executable, "-m", module, *arguments]
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Child:
        # Settings meant for a daemon of the user's must not change what is measured.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,  # Ctrl-C is for the bench, which then stops this in order
            )
        self._watchdog = subprocess.Popen(
            ["/bin/sh", "-c", WATCHDOG], stdin=subprocess.PIPE, start_new_session=True
        )
        assert self._watchdog.stdin is not None
        self._watchdog.stdin.write(f"{self._process.pid}\n".encode())
        self._watchdog.stdin.flush()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self._watchdog is not None and self._watchdog.stdin is not None:
            self._watchdog.stdin.close()  # kills what may be left of the group
            self._watchdog.wait()

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None, "Not started. This is a bug."
        return self._process.pid

    def check(self) -> None:
        """Raise InternalError with the log's tail when it has ended."""
        assert self._process is not None, "Not started. This is a bug."
        if (code := self._process.poll()) is not None:
            raise InternalError(f"the {self._name} ended with code {code}", why=self.tail())

    def stop(self) -> int:
        """SIGTERM, then SIGKILL to its group when it does not end; its exit code."""
        assert self._process is not None, "Not started. This is a bug."
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        return self._process.returncode

    def tail(self) -> str:
        """The end of its log."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-TAIL:])
