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
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.intake.frames import MODALITY, READY, REPLY, REQUEST, SLOTS, Layout, arena_file, mapped

SHARED_BYTES: Final = 1 << 20
"""Items that lie in one arena together hold at most this; a larger one is alone."""

RING_BYTES: Final = 4 * SHARED_BYTES
"""They are laid out round a ring so long that a new one never meets one that is still unread."""

_ROOT: Final = Path(__file__).resolve().parents[2]
_WORKER: Final = "service.intake.worker"
_ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class DecodedMedia(NamedTuple):
    """`rows` are uint8 [height, width, 3] each for an image, one int16 [samples] for a sound; read-only."""

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
    body: bytes


class WorkerProcess:
    """One worker. Only the pool's own thread touches it, which must outlive it (the kernel ties them)."""

    def __init__(self, settings: str, layout: Layout) -> None:
        fd = arena_file(layout)
        self._link, theirs = socket.socketpair()
        with theirs:
            self.process = _spawn(theirs.fileno(), fd, settings)
        self._layout, self._arena = layout, mapped(fd, layout)
        self._link.setblocking(False)
        self.ready = False
        self.jobs: deque[Job] = deque()
        self.since = time.monotonic()  # when the first of `jobs` began
        self._bytes, self._tail, self._answered = 0, 0, 0
        self._requests, self._received = bytearray(), b""

    def fileno(self) -> int:
        """For selectors."""
        return self._link.fileno()

    def takes(self, job: Job) -> bool:
        """Whether there is room for `job`; a large one, or a suspect, is alone."""
        if not self.ready:
            return False
        if not self.jobs:
            return True
        room = len(self.jobs) < SLOTS and self._bytes + len(job.data) <= SHARED_BYTES
        return room and not job.alone and not self.jobs[0].alone

    def feed(self, job: Job) -> None:
        """Lay a job out; `flush` sends it."""
        size = len(job.data)
        if not self.jobs:
            self.since = time.monotonic()
            self._tail = 0
        elif self._tail + size > RING_BYTES:
            self._tail = 0
        self._arena[self._tail : self._tail + size] = job.data
        self._requests += REQUEST.pack(MODALITY.index(job.modality), self._tail, size)
        self._tail += size
        self._bytes += size
        self.jobs.append(job)

    def flush(self) -> None:
        """Send what was fed: a few bytes an item, so that the socket always has room."""
        if self._requests:
            with suppress(OSError):  # it died: reading will tell
                self._link.send(self._requests)
            self._requests.clear()

    def replies(self) -> Iterator[tuple[Job, Reply]]:
        """Every answer that is complete by now. Raises `EOFError` once it is dead, or talks nonsense."""
        try:
            received = self._received + self._link.recv(REPLY.size * 2 * SLOTS)
        except BlockingIOError:
            return
        except OSError as error:
            raise EOFError from error
        if received == self._received:
            raise EOFError
        whole = len(received) - len(received) % REPLY.size
        self._received = received[whole:]
        for status, truncated, rows, size in REPLY.iter_unpack(received[:whole]):
            if status == READY and not self.ready:
                self.ready = True
                continue
            if not self.jobs or size > self._layout.slot:
                raise EOFError
            at = self._layout.at(self._answered)
            self._answered += 1
            job = self.jobs.popleft()
            self._bytes -= len(job.data)
            self.since = time.monotonic()
            yield job, Reply(status, bool(truncated), rows, self._arena[at : at + size])

    def end(self, *, force: bool) -> None:
        """Close the link, which ends it; by force at once. Reaps the process."""
        self._link.close()
        self._arena.close()
        if force:
            self.process.kill()
        try:
            self.process.wait(1.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _spawn(link: int, arena: int, settings: str) -> subprocess.Popen[bytes]:
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, "-m", _WORKER, str(link), str(arena), str(os.getpid()), settings],
        pass_fds=[link, arena],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env=os.environ | _ONE_THREAD | {"PYTHONPATH": path},
    )
