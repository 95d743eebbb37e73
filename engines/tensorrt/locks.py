"""One process at a time: a lock that ends with the process that holds it, however that ends."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from engines.alive import Alive, unheard

_POLL: Final = 0.1
_REMIND: Final = 60.0


@contextmanager
def locked(
    folder: int, name: str, waiting: Callable[[int, float], None], alive: Alive = unheard
) -> Iterator[None]:
    """Hold the lock file `name` of a folder; raises OSError where it can't be made.

    `waiting` hears now and then who holds it (a process id, 0 where unknown) and for how many seconds it was
    waited; `alive` is called at each look, and what it raises ends the wait.
    """
    fd = _acquired(folder, name, waiting, alive)
    try:
        yield
    finally:
        with suppress(OSError):
            os.unlink(name, dir_fd=folder)  # before it is let go: who waits sees that it is gone
        os.close(fd)


def clear(folder: int) -> None:
    """Remove lock files that nobody holds: processes that were killed leave them."""
    for entry in os.scandir(folder):
        if entry.name.endswith(".lock"):
            with suppress(OSError):
                fd = os.open(entry.name, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if _is(folder, entry.name, fd):
                        os.unlink(entry.name, dir_fd=folder)
                finally:
                    os.close(fd)


def _acquired(folder: int, name: str, waiting: Callable[[int, float], None], alive: Alive) -> int:
    begun = time.monotonic()
    told = _POLL - _REMIND  # not at the first look: who has just taken it has yet to write their number
    while True:
        fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
        try:
            if not _free(fd):
                waited = time.monotonic() - begun
                if waited - told >= _REMIND:
                    waiting(_holder(fd), waited)
                    told = waited
                alive()
                time.sleep(_POLL)
            elif _is(folder, name, fd):
                os.pwrite(fd, f"{os.getpid():<20}".encode(), 0)
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def _free(fd: int) -> bool:
    """Whether nobody held the open file's lock: it is ours now."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is(folder: int, name: str, fd: int) -> bool:
    """Whether the name still stands for the open file."""
    try:
        about = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return about.st_ino == os.fstat(fd).st_ino


def _holder(fd: int) -> int:
    try:
        return int(os.pread(fd, 20, 0) or b"0")
    except ValueError:
        return 0
