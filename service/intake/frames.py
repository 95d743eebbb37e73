"""What passes between the daemon and a decode worker: small headers on a socket, bytes in shared memory."""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from typing import Final, NamedTuple

REQUEST: Final = struct.Struct("<BII")
"""modality (index in `MODALITY`), where the item lies in the arena, its bytes."""

REPLY: Final = struct.Struct("<BBHI")
"""status, truncated, rows, bytes in the reply's slot: uint8 pixels, int16 samples, or `reason NUL detail`."""

MODALITY: Final = ("image", "audio")
DECODED, FAILED, READY = range(3)
SLOTS: Final = 8
"""Replies that may be unread at once, and so the items one worker may have at hand."""


class Layout(NamedTuple):
    """How an arena is divided: `items` bytes for requests, then `SLOTS` replies of `slot` bytes in turn."""

    items: int
    slot: int

    @property
    def size(self) -> int:
        """All of it."""
        return self.items + SLOTS * self.slot

    def at(self, number: int) -> int:
        """Where the reply of that running number lies."""
        return self.items + number % SLOTS * self.slot


def arena_file(layout: Layout) -> int:
    """A file in memory that no worker can shrink under the daemon's feet."""
    fd = os.memfd_create("tidegate-decode", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, layout.size)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return fd


def mapped(fd: int, layout: Layout) -> mmap.mmap:
    """The arena, shared with whoever maps it too; closes `fd`."""
    try:
        return mmap.mmap(fd, layout.size)
    finally:
        os.close(fd)
