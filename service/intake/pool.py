"""Decoding in worker processes: an item that crashes, hangs or eats memory costs only itself."""

from __future__ import annotations

import json
import os
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict
from typing import Final

import numpy as np

from engines.errors import MEDIA_REASONS
from engines.preprocess.spec import AudioSpec, ImageSpec
from service.config import Limits
from service.errors import InternalError, RecordError
from service.event import Media
from service.intake.frames import DECODED, Layout
from service.intake.process import RING_BYTES, DecodedMedia, Job, Reply, WorkerProcess

_START_SECONDS: Final = 60.0
_NEVER: Final = float("inf")
_FIRST_STARTS: Final = 3  # workers that may die while starting before the pool gives up its first start


class DecodePool:
    """Workers, and the thread that feeds them.

    A worker that dies: its first unanswered item is tried once more, alone (the kernel may have chosen the
    worker for a neighbour's sake), and blamed the second time; the others go to other workers, in order. An
    item that runs over `limits.decode_seconds` is blamed at once, and its worker killed.
    `on_restart` hears `crash`, `hang` or `start` whenever a worker is replaced, on the pool's thread.
    """

    def __init__(
        self,
        image: ImageSpec,
        audio: AudioSpec,
        limits: Limits,
        workers: int = 0,
        on_restart: Callable[[str], None] = lambda kind: None,
    ) -> None:
        self._image, self._limits, self._on_restart = image, limits, on_restart
        self._layout = _layout(image, audio, limits)
        self._settings = _settings(image, audio, limits, self._layout)
        self._size = workers or limits.decode_workers or min(8, os.cpu_count() or 1)
        self._workers: list[WorkerProcess] = []
        self._queue: deque[Job] = deque()
        self._lock = threading.Lock()
        self._arrived: list[Job] = []
        self._wake, self._woken = socket.socketpair()
        self._woken.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._thread = threading.Thread(target=self._run, name="decode", daemon=True)
        self._ready = threading.Event()
        self._closing = False
        self._broken: BaseException | None = None
        self._failed_starts, self._next_start = 0, 0.0

    def start(self) -> None:
        """Start the workers and wait until one can work. Raises `InternalError` where none can."""
        self._thread.start()
        self._ready.wait(_START_SECONDS)
        if self._broken is not None or not self._ready.is_set():
            self.close()
            why = str(self._broken or "no decode worker became ready")
            raise InternalError(
                "cannot decode media", where=__name__, why=why, remedy="See the worker's error above"
            )

    def submit(self, media: Media) -> Future[DecodedMedia]:
        """Decode one item; the future fails with `RecordError` of class media, whatever the item does."""
        job = Job(media.modality, media.data or b"")
        job.future.set_running_or_notify_cancel()  # nobody else may settle it now
        if len(job.data) > self._layout.items:
            job.future.set_exception(RecordError("media", "media_too_large", f"{len(job.data)} bytes"))
            return job.future
        with self._lock:
            if self._broken is not None or self._closing:
                raise InternalError("the decode pool is not running", why=str(self._broken or "closed"))
            self._arrived.append(job)
            if len(self._arrived) == 1:
                self._wake.send(b"\0")
        return job.future

    def close(self) -> None:
        """End the workers; what is not decoded by now fails with `InternalError`."""
        with self._lock:
            if not self._closing:
                self._closing = True
                self._wake.send(b"\0")
        if self._thread.is_alive():
            self._thread.join()

    def pids(self) -> list[int]:
        """The process ids of the workers, for a look at their memory."""
        return [worker.process.pid for worker in list(self._workers)]

    # --- everything below runs on the pool's thread

    def _run(self) -> None:
        try:
            self._selector.register(self._woken, selectors.EVENT_READ)
            while not self._closing:
                self._hire()
                self._feed()
                for key, _ in self._selector.select(self._patience()):
                    self._serve(key.fileobj)
                self._dismiss_the_late()
        except BaseException as error:
            self._broken = error
            raise
        finally:
            self._shut()

    def _serve(self, source: object) -> None:
        if not isinstance(source, WorkerProcess):
            self._woken.recv(64)
            with self._lock:
                arrived, self._arrived = self._arrived, []
            self._queue.extend(arrived)
            return
        try:
            for job, reply in source.replies():
                self._settle(job, reply)
        except EOFError:
            self._replace(source, "crash" if source.ready else "start")
            return
        if source.ready and not self._ready.is_set():
            self._ready.set()
        self._failed_starts = 0

    def _settle(self, job: Job, reply: Reply) -> None:
        """Settle a future; whatever a worker that was taken over may say, this thread survives it."""
        try:
            decoded = self._decoded(job, reply)
        except (RecordError, ValueError) as error:
            known = isinstance(error, RecordError)
            nonsense = RecordError("media", "undecodable", "the decoder answered nonsense")
            job.future.set_exception(error if known else nonsense)
        else:
            job.future.set_result(decoded)

    def _decoded(self, job: Job, reply: Reply) -> DecodedMedia:
        if reply.status != DECODED:
            reason, _, detail = reply.body.decode().partition("\0")
            if reason not in MEDIA_REASONS:
                raise ValueError(reason)
            raise RecordError("media", reason, detail)
        if job.modality == "audio":
            return DecodedMedia([np.frombuffer(reply.body, np.int16)], reply.truncated)
        shape = (reply.rows, self._image.height, self._image.width, 3)
        return DecodedMedia(list(np.frombuffer(reply.body, np.uint8).reshape(shape)), reply.truncated)

    def _feed(self) -> None:
        """Hand out what waits, in order, to the worker with the least to do."""
        while self._queue:
            able = [worker for worker in self._workers if worker.takes(self._queue[0])]
            if not able:
                break
            min(able, key=lambda worker: len(worker.jobs)).feed(self._queue.popleft())
        for worker in self._workers:
            worker.flush()

    def _patience(self) -> float | None:
        """Seconds until something is due."""
        due = [self._deadline(worker) for worker in self._workers]
        if len(self._workers) < self._size:
            due.append(self._next_start)
        first = min(due, default=_NEVER)
        return max(0.0, first - time.monotonic()) if first < _NEVER else None

    def _deadline(self, worker: WorkerProcess) -> float:
        if not worker.ready:
            return worker.since + _START_SECONDS
        return worker.since + self._limits.decode_seconds if worker.jobs else _NEVER

    def _dismiss_the_late(self) -> None:
        now = time.monotonic()
        for worker in [worker for worker in self._workers if self._deadline(worker) <= now]:
            self._replace(worker, "hang" if worker.ready else "start")

    def _replace(self, worker: WorkerProcess, kind: str) -> None:
        """Take a worker out, and decide about each item it had."""
        self._workers.remove(worker)
        self._selector.unregister(worker)
        worker.end(force=True)
        if kind == "start":
            self._failed_starts += 1
            if self._failed_starts == _FIRST_STARTS and not self._ready.is_set():
                raise InternalError(
                    "decode workers die while starting", why=f"exit {worker.process.returncode}"
                )
        self._back_off()
        jobs = worker.jobs
        if kind == "hang":
            seconds = self._limits.decode_seconds
            late = RecordError("media", "decode_timeout", f"over {seconds:g} s")
            jobs.popleft().future.set_exception(late)
        elif jobs and jobs[0].alone:
            jobs.popleft().future.set_exception(
                RecordError("media", "killed_worker", "twice, the second alone")
            )
        elif jobs:
            jobs[0].alone = True
        self._queue.extendleft(reversed(jobs))
        self._on_restart(kind)

    def _hire(self) -> None:
        while len(self._workers) < self._size and time.monotonic() >= self._next_start:
            try:
                worker = WorkerProcess(self._settings, self._layout)
            except OSError:  # no memory or no process left: it may pass
                if not self._ready.is_set():
                    raise
                self._failed_starts += 1
                self._back_off()
                return
            self._workers.append(worker)
            self._selector.register(worker, selectors.EVENT_READ)

    def _back_off(self) -> None:
        """Set when to start the next worker: at once, unless the last ones died while starting."""
        seconds = 0.1 * (1 << min(self._failed_starts, 6)) - 0.1
        self._next_start = time.monotonic() + min(5.0, seconds)

    def _shut(self) -> None:
        with self._lock:
            self._closing = True
            left = [*self._queue, *self._arrived]
        for worker in self._workers:
            left += worker.jobs
            worker.end(force=bool(worker.jobs) or not worker.ready)
        for job in left:
            job.future.set_exception(InternalError("the decode pool is closed"))
        self._selector.close()
        self._woken.close()
        self._wake.close()
        self._ready.set()


def _layout(image: ImageSpec, audio: AudioSpec, limits: Limits) -> Layout:
    """Room for the largest item there and the largest answer back (a page more for what is rounded up)."""
    items = max(RING_BYTES, limits.image_bytes, limits.audio_bytes)
    pixels = image.height * image.width * 3 * min(image.frames, limits.image_frames)
    return Layout(items, -(-max(pixels, 2 * audio.samples + 4096) // 4096) * 4096)


def _settings(image: ImageSpec, audio: AudioSpec, limits: Limits, layout: Layout) -> str:
    """What a worker has to know, as one argument."""
    return json.dumps(
        {
            "image": asdict(image),
            "audio": asdict(audio),
            "image_limits": {
                "pixels": limits.image_pixels,
                "side": limits.image_side,
                "frames": limits.image_frames,
            },
            "audio_limits": {"seconds": limits.audio_seconds},
            "memory": limits.decode_memory,
            "layout": layout,
        }
    )
