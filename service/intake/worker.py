"""A decode worker: a small process that may crash, hang or run out of memory in the daemon's stead.

Started as `python -m service.intake.worker SOCKET_FD ARENA_FD PARENT_PID JSON`. It answers requests in
order and ends with its parent. It imports only the decoders, so that it starts in a fraction of a second.

Fail points for tests: `TIDEGATE_FAIL_DECODE=crash,hang,oom,exit` (any of them) makes an item whose bytes hold
`fail-decode-crash` and so on do what it says. Without the variable nothing of this exists.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import resource
import signal
import socket
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from PIL import Image

from engines.errors import MediaError
from engines.preprocess.audio import AudioLimits, decode_audio
from engines.preprocess.image import ImageLimits, decode_image
from engines.preprocess.spec import AudioSpec, ImageSpec
from service.intake.frames import DECODED, FAILED, MODALITY, READY, REPLY, REQUEST, Layout, mapped

_PR_SET_PDEATHSIG: Final = 1
Rows = tuple[list[Any], bool]
Decode = Callable[[bytes], Rows]


def main() -> None:
    """Serve until the parent closes the socket."""
    fd, arena_fd, parent = (int(text) for text in sys.argv[1:4])
    settings = json.loads(sys.argv[4])
    _end_with(parent)
    _confine(settings["memory"])
    decoders = _decoders(settings)
    fail = _fail_points(os.environ.get("TIDEGATE_FAIL_DECODE", ""))
    layout = Layout(*settings["layout"])
    arena = mapped(arena_fd, layout)
    with socket.socket(fileno=fd) as link, link.makefile("rb") as requests:
        link.sendall(REPLY.pack(READY, 0, 0, 0))
        for number in itertools.count():
            header = requests.read(REQUEST.size)
            if len(header) < REQUEST.size:  # the parent is gone
                return
            modality, at, size = REQUEST.unpack(header)
            slot = memoryview(arena)[layout.at(number) :][: layout.slot]
            link.sendall(_answer(decoders[modality], fail, arena[at : at + size], slot))


def _answer(decode: Decode, fail: Callable[[bytes], None], payload: bytes, slot: memoryview) -> bytes:
    """The header of the reply; what it announces lies in the slot."""
    try:
        fail(payload)
        rows, truncated = decode(payload)
    except MediaError as error:
        body = f"{error.reason}\0{error.detail}".encode()[: len(slot)]
    except MemoryError:
        body = b"out_of_memory\0more memory than a decoder may hold"
    else:
        size = 0
        for row in rows:
            slot[size : size + row.nbytes] = row.data.cast("B")
            size += row.nbytes
        return REPLY.pack(DECODED, truncated, len(rows), size)
    slot[: len(body)] = body
    return REPLY.pack(FAILED, 0, 0, len(body))


def _decoders(settings: dict[str, Any]) -> list[Decode]:
    """The functions that decode, in the order of `MODALITY`."""
    image, audio = ImageSpec(**settings["image"]), AudioSpec(**settings["audio"])
    image_limits, audio_limits = (
        ImageLimits(**settings["image_limits"]),
        AudioLimits(**settings["audio_limits"]),
    )

    def decode_sound(data: bytes) -> Rows:
        samples, truncated = decode_audio(data, audio, audio_limits)
        return [samples], truncated

    def decode_picture(data: bytes) -> Rows:
        return decode_image(data, image, image_limits), False

    table = {"image": decode_picture, "audio": decode_sound}
    Image.MAX_IMAGE_PIXELS = image_limits.pixels
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    return [table[name] for name in MODALITY]


def _end_with(parent: int) -> None:
    """Die with the parent, and leave it alone to handle signals meant for the whole group."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if sys.platform == "linux":
        libc: Any = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:
        sys.exit(0)


def _confine(memory: int) -> None:
    """Hold at most `memory` bytes more than now, dump no core, be the kernel's first victim, be silent."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text("ascii")
        held = int(status.split("VmData:")[1].split()[0]) * 1024
        resource.setrlimit(resource.RLIMIT_DATA, (held + memory, held + memory))
        Path("/proc/self/oom_score_adj").write_text("500", "ascii")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # decoders print what they think of bad bytes


def _fail_points(names: str) -> Callable[[bytes], None]:
    """What to do with an item before it is decoded."""
    acts: dict[str, Callable[[], object]] = {
        "crash": _crash,
        "hang": lambda: time.sleep(3600),
        "oom": _eat,
        "exit": lambda: os._exit(3),
    }
    wanted = {f"fail-decode-{name}".encode(): acts[name] for name in names.split(",") if name}

    def fail(payload: bytes) -> None:
        for marker, act in wanted.items():
            if marker in payload:
                act()

    return fail


def _crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _eat() -> None:
    held = []
    while True:
        held.append(bytes(16 << 20))


if __name__ == "__main__":
    main()
