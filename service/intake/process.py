"""The daemon's end of one decode worker: start it, feed it, read its replies."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.intake.frames import MODALITY, READY, REPLY, REQUEST

_ROOT: Final = Path(__file__).resolve().parents[2]
_WORKER: Final = "service.intake.worker"
_IN_FLIGHT: Final = 8  # items one worker has at hand, so that it never waits for the daemon
_IN_FLIGHT_BYTES: Final = 512 << 10
_ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class DecodedMedia(NamedTuple):
    """`rows` are uint8 [height, width, 3] each for an image, one int16 [samples] for a sound."""

    rows: list[NDArray[np.uint8]] | list[NDArray[np.int16]]
    truncated: bool


@dataclass(slots=True)
class Job:
    """One item on its way; `alone` once it is suspected of having killed a worker."""

    modality: str
    data: bytes
    future: Future[DecodedMedia] = field(default_factory=Future)
    alone: bool = False


class Reply(NamedTuple):
    """One answer, as it came."""

    status: int
    truncated: bool
    rows: int
    body: bytearray


class WorkerProcess:
    """One worker. Only the pool's own thread touches it, which must outlive it (the kernel ties them)."""

    def __init__(self, settings: str) -> None:
        self._link, theirs = socket.socketpair()
        path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
        with theirs:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    __package__ + ".worker",
                    str(theirs.fileno()),
                    str(os.getpid()),
                    settings,
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=os.environ | _ONE_THREAD | {"PYTHONPATH": path},
            )
        self._link.setblocking(False)
        self.ready = False
        self.jobs: deque[Job] = deque()
        self.since = time.monotonic()  # when the first of `jobs` began
        self._bytes = 0
        self._outbox: deque[memoryview] = deque()
        self._header = bytearray(REPLY.size)
        self._body: bytearray | None = None
        self._have = 0

    def fileno(self) -> int:
        """For selectors."""
        return self._link.fileno()

    @property
    def writing(self) -> bool:
        """Whether it should be told when it can be written to."""
        return bool(self._outbox)

    def takes(self, job: Job) -> bool:
        """Whether there is room for `job`; a large one, or a suspect, is alone."""
        if not self.ready:
            return False
        if not self.jobs:
            return True
        room = len(self.jobs) < _IN_FLIGHT and self._bytes + len(job.data) <= _IN_FLIGHT_BYTES
        return room and not job.alone and not self.jobs[0].alone

    def feed(self, job: Job) -> None:
        """Send a job, as far as the socket takes it now."""
        if not self.jobs:
            self.since = time.monotonic()
        self.jobs.append(job)
        self._bytes += len(job.data)
        self._outbox.append(memoryview(REQUEST.pack(MODALITY.index(job.modality), len(job.data))))
        self._outbox.append(memoryview(job.data))
        self.flush()

    def flush(self) -> None:
        """Write what the socket takes."""
        try:
            while self._outbox:
                sent = self._link.sendmsg(list(self._outbox)[:16])
                while self._outbox and sent >= len(self._outbox[0]):
                    sent -= len(self._outbox.popleft())
                if sent:
                    self._outbox[0] = self._outbox[0][sent:]
        except BlockingIOError:
            pass
        except OSError:  # it died: reading will tell
            self._outbox.clear()

    def replies(self) -> Iterator[tuple[Job, Reply]]:
        """Every answer that is complete by now. Raises `EOFError` once it is dead."""
        while (reply := self._read()) is not None:
            if reply.status == READY:
                self.ready = True
                continue
            job = self.jobs.popleft()
            self._bytes -= len(job.data)
            self.since = time.monotonic()
            yield job, reply

    def _read(self) -> Reply | None:
        while True:
            target = self._header if self._body is None else self._body
            if self._have < len(target):
                try:
                    got = self._link.recv_into(memoryview(target)[self._have :])
                except BlockingIOError:
                    return None
                except OSError:
                    got = 0
                if not got:
                    raise EOFError
                self._have += got
                continue
            self._have = 0
            if self._body is None:
                self._body = bytearray(REPLY.unpack(self._header)[3])
                continue
            body, self._body = self._body, None
            status, truncated, rows, _ = REPLY.unpack(self._header)
            return Reply(status, bool(truncated), rows, body)

    def end(self, *, force: bool) -> None:
        """Close the link, which ends it; by force at once. Reaps the process."""
        self._link.close()
        if force:
            self.process.kill()
        try:
            self.process.wait(1.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
