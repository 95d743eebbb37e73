"""Files that only their owner can have written: in a folder of the owner's alone, signed, swapped in whole.

A file is a magic, eight bytes of who signed, the header's length, an HMAC-SHA256 of all that and the header,
the header as JSON, which holds the length and SHA-256 of the payload, and the payload.
"""

from __future__ import annotations

import errno
import hashlib
import hmac
import json
import os
import secrets
import stat
import struct
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from engines.errors import EngineError

REASONS: Final = {
    "link": "it is a link, or no plain file",
    "owner": "it belongs to another user",
    "format": "it is nothing that this version wrote",
    "secret": "it was signed with a secret that is lost, was changed, or that others could read",
    "signature": "its signature does not match: it was altered",
    "truncated": "it is not as long as it was written",
    "content": "its content is not what was signed",
    "key": "it was made for something else",
}
"""Why a file is not used, by the word that its name gets when it is put aside."""

Depth = Literal["header", "check", "payload"]

_MAGIC: Final = b"TIDEGPL1"
_HEAD: Final = struct.Struct(">8s8sI32s")
_HEADER: Final = 16 << 20  # no header is longer: nothing is read into memory because a file claims to be long
_SECRET: Final = Path("secret")
_SECRET_BYTES: Final = 32
_PLAIN: Final = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class StoreError(EngineError):
    """Plans cannot be kept or trusted here. What was built can still be served, without being kept."""


class Refused(Exception):  # noqa: N818 - a verdict, not a failure
    """A file that is not used; `reason` is one of `REASONS`."""

    def __init__(self, reason: str, inode: int = 0) -> None:
        super().__init__(REASONS[reason])
        self.reason, self.inode = reason, inode


class Signed(NamedTuple):
    """A verified header, and the payload where it was asked for."""

    header: dict[str, Any]
    payload: bytes


def open_folder(folder: Path, create: bool, say: Callable[[str], None]) -> int:
    """A descriptor of the folder, of its owner alone; raises StoreError, or OSError where there is none."""
    if create and not os.path.lexists(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR) and os.path.lexists(folder):
            raise untrusted(folder, "it is a link, or no folder", "Remove it") from error
        raise
    try:
        _own(folder, fd, say)
    except BaseException:
        os.close(fd)
        raise
    return fd


def read(folder: int, name: str, secret: bytes | None, depth: Depth = "payload") -> Signed:
    """A file's header and payload, verified first; raises Refused, or OSError where there is none.

    Not so deep: the header alone, or the payload checked but not given, so that it takes no memory.
    """
    try:
        fd = os.open(name, os.O_RDONLY | _PLAIN, dir_fd=folder)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Refused("link") from error
        raise
    try:
        about = os.fstat(fd)
        try:
            found = _verified(fd, about, secret, depth)
            if found.header["name"] != name:
                raise Refused("key")
            return found
        except Refused as refused:
            refused.inode = about.st_ino
            raise
    finally:
        os.close(fd)


def write(folder: int, name: str, secret: bytes, header: Mapping[str, Any], payload: bytes) -> None:
    """Write a signed file in place of what had its name, whole or not at all; raises OSError."""
    facts = {**header, "name": name, "bytes": len(payload), "sha256": hashlib.sha256(payload).hexdigest()}
    text = json.dumps(facts, sort_keys=True).encode()
    head = _HEAD.pack(_MAGIC, _signer(secret), len(text), _tag(secret, text))
    _replace(folder, name, (head, text, payload))


def read_secret(folder: int, where: Path) -> bytes | None:
    """The secret, None where there is none that was the owner's alone; raises StoreError."""
    try:
        fd = os.open(_SECRET, os.O_RDONLY | _PLAIN, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        why = "it is a link" if error.errno == errno.ELOOP else str(error.strerror)
        raise untrusted(where / _SECRET, why, "Remove it: plans are then built anew") from error
    try:
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode) or about.st_uid != os.geteuid():
            why = "it is no plain file, or belongs to another user"
            raise untrusted(where / _SECRET, why, "Remove it: plans are then built anew")
        found = os.read(fd, _SECRET_BYTES + 1)
        known = bool(about.st_mode & 0o077)  # others could read it, and sign what they like
        return None if known or len(found) != _SECRET_BYTES else found
    finally:
        os.close(fd)


def make_secret(folder: int) -> bytes:
    """A new secret, in place of any other: what the old one signed is refused from now on; raises OSError."""
    found = secrets.token_bytes(_SECRET_BYTES)
    _replace(folder, _SECRET.name, (found,))
    return found


def untrusted(where: Path, why: str, remedy: str) -> StoreError:
    """What is said of a folder or secret that somebody else may have made."""
    return StoreError("The plans kept here cannot be trusted", where=str(where), why=why, remedy=remedy)


def unkept(folder: Path, error: OSError, what: str = "kept") -> StoreError:
    """What is said where the system refuses."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    remedy = "Free space there, or set XDG_CACHE_HOME to a folder with space"
    if not full:
        remedy = "Set XDG_CACHE_HOME to a folder that can be written to"
    why = error.strerror or str(error)
    return StoreError(f"Plans cannot be {what}", where=str(folder), why=why, remedy=remedy)


def sweep(folder: int, prefix: str, older: float = 0.0) -> None:
    """Remove drafts that nobody finished, so many seconds old."""
    for entry in os.scandir(folder):
        if entry.name.startswith(prefix) and entry.name.endswith(".draft"):
            with suppress(OSError):
                if time.time() - entry.stat(follow_symlinks=False).st_mtime >= older:
                    os.unlink(entry.name, dir_fd=folder)


def _own(folder: Path, fd: int, say: Callable[[str], None]) -> None:
    about = os.fstat(fd)
    if about.st_uid != os.geteuid():
        why = f"it belongs to user {about.st_uid}, and this is user {os.geteuid()}"
        raise untrusted(folder, why, "Run as its owner, or set XDG_CACHE_HOME to a folder of your own")
    if about.st_mode & 0o077:
        try:
            os.fchmod(fd, 0o700)
        except OSError as error:
            why = f"others have rights to it, which cannot be taken: {error.strerror}"
            raise untrusted(folder, why, f"chmod 700 {folder}") from error
        say(f"others had rights to {folder}: they are taken away")


def _verified(fd: int, about: os.stat_result, secret: bytes | None, depth: Depth) -> Signed:
    if not stat.S_ISREG(about.st_mode):
        raise Refused("link")
    if about.st_uid != os.geteuid():
        raise Refused("owner")
    head = os.read(fd, _HEAD.size)
    if len(head) < _HEAD.size:
        raise Refused("truncated")
    magic, signer, length, tag = _HEAD.unpack(head)
    if magic != _MAGIC or length > _HEADER:
        raise Refused("format")
    if not secret or signer != _signer(secret):
        raise Refused("secret")
    text = os.read(fd, length)
    if len(text) != length:
        raise Refused("truncated")
    if not hmac.compare_digest(tag, _tag(secret, text)):
        raise Refused("signature")
    header = json.loads(text)
    if about.st_size != _HEAD.size + length + header["bytes"]:
        raise Refused("truncated")
    found = b""
    if depth != "header":
        with open(fd, "rb", buffering=0, closefd=False) as file:
            found = file.readall() if depth == "payload" else b""
            digest = hashlib.sha256(found) if depth == "payload" else hashlib.file_digest(file, "sha256")
        if digest.hexdigest() != header["sha256"]:
            raise Refused("content")
    return Signed(header, found)


def _replace(folder: int, name: str, parts: tuple[bytes, ...]) -> None:
    draft = f".{name}.{os.getpid()}.{secrets.token_hex(4)}.draft"
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _PLAIN, 0o600, dir_fd=folder)
    try:
        with open(fd, "wb") as file:  # noqa: PTH123 - a descriptor has no path
            os.fchmod(fd, 0o600)  # whatever the umask
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(fd)
        os.replace(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(draft, dir_fd=folder)
        raise
    with suppress(OSError):  # not every file system can
        os.fsync(folder)


def _tag(secret: bytes, text: bytes) -> bytes:
    signed = _MAGIC + _signer(secret) + len(text).to_bytes(4, "big") + text
    return hmac.digest(secret, signed, "sha256")


def _signer(secret: bytes) -> bytes:
    return hmac.digest(secret, b"tidegate: who signed", "sha256")[:8]
