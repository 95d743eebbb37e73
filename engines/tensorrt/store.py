"""Plans on disk: a plan is code that runs on the GPU, so only what this user signed is ever handed out."""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from engines.alive import Alive, unheard
from engines.device import Device
from engines.errors import EngineError
from engines.sessions.host import cache_folder
from engines.tensorrt import signed
from engines.tensorrt.key import PlanKey, differences
from engines.tensorrt.locks import clear, locked
from engines.tensorrt.signed import REASONS, Depth, Refused, Signed, StoreError, sweep, unkept

__all__ = ["Entry", "PlanStore", "StoreError", "Stored", "stale_for"]

Kind = Literal["plan", "timings", "refused"]
_KINDS: Final[tuple[Kind, ...]] = ("plan", "timings", "refused")
_NOTES: Final = ".notes"
_DAY: Final = 86_400.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stored:
    """A verified plan, and JSON facts of it: signature, buckets, seconds, verify results…"""

    key: PlanKey
    plan: bytes
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the store: a plan, a builder's timing cache, or what was refused and put aside.

    `key` is None, and `problem` says why, where it cannot be trusted. `age` is seconds since it was written,
    `idle` since it was last used.
    """

    path: Path
    bytes: int
    age: float
    key: PlanKey | None
    facts: Mapping[str, Any]
    problem: str = ""
    kind: Kind = "plan"
    idle: float = 0.0
    digest: str = ""
    """The SHA-256 of a plan that can be trusted."""


class PlanStore:
    """Plans under their keys' digests, in a folder of the owner's alone, signed with a secret beside them.

    Safe across processes. `say` hears what a person should know: a wait, a plan put aside and why.
    """

    def __init__(self, folder: Path | None = None, say: Callable[[str], None] | None = None) -> None:
        self._folder = folder
        self._say = say or _log.warning

    @property
    def folder(self) -> Path:
        """Where the plans lie; the user's cache where none was named."""
        return self._folder or cache_folder() / "plans"

    def problem(self) -> str | None:
        """Why plans cannot be kept here, None where they can."""
        try:
            with self._opened(create=True) as fd:
                self._secret(fd)
                draft = f".probe.{os.getpid()}.draft"
                os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=fd))
                os.unlink(draft, dir_fd=fd)
        except StoreError as error:
            return str(error)
        except OSError as error:
            return str(unkept(self.folder, error))
        return None

    def get(self, key: PlanKey) -> Stored | None:
        """The plan under a key, verified; what doesn't verify is put aside, and None given.

        Raises StoreError where the folder cannot be trusted at all.
        """
        found = self._get(f"{key.digest}.plan", "a plan")
        if found is None:
            return None
        return Stored(key, found.payload, {**found.header["facts"], **self._noted(found, key)})

    def put(self, key: PlanKey, plan: bytes, facts: Mapping[str, Any]) -> Stored:
        """Keep a plan, atomically, in place of what was under its key; raises StoreError."""
        self._put(f"{key.digest}.plan", key, plan, facts)
        return Stored(key, plan, facts)

    def note(self, key: PlanKey, facts: Mapping[str, Any]) -> None:
        """Add facts to a kept plan, where there is one: what verifying it found, say; raises StoreError.

        They are signed as it is, in a small file beside it, and hold until the plan is another.
        """
        try:
            with self._opened(create=False) as fd:
                secret = self._secret(fd, make=False)
                found = signed.read(fd, f"{key.digest}.plan", secret, "header")
                name, plan = _notes(key), found.header["sha256"]
                known = {**_noted_in(fd, name, secret, plan), **facts}
                signed.write(fd, name, secret, {"facts": known, "plan": plan}, b"")
        except (Refused, FileNotFoundError):
            return
        except OSError as error:
            raise unkept(self.folder, error) from error

    @contextmanager
    def building(self, key: PlanKey, alive: Alive = unheard) -> Iterator[Stored | None]:
        """Hold the right to build a plan, alone among processes, and say so while waiting for it.

        Gives the plan where it is there already, or another process has built it meanwhile. `alive` is called
        many times a minute until then, and what it raises ends the wait. Where nothing can be written, the
        building goes ahead without the right; raises StoreError where the folder cannot be trusted.
        """
        with ExitStack() as held:
            try:
                fd = held.enter_context(self._opened(create=True))
                waiting = partial(self._wait, key)
                held.enter_context(locked(fd, f"{key.digest}.lock", waiting, alive))
                sweep(fd, f".{key.digest}.")  # what a builder that was killed left behind
            except StoreError:
                raise
            except OSError as error:
                self._say(f"{unkept(self.folder, error)}. Building without keeping")
            yield self.get(key)

    def timings(self, key: PlanKey) -> bytes | None:
        """The timing cache of the builder, GPU and driver of a key, verified as a plan is."""
        found = self._get(f"{key.builder}.timings", "a timing cache")
        return None if found is None else found.payload

    def keep_timings(self, key: PlanKey, cache: bytes) -> None:
        """Keep the timing cache for the next plan; raises StoreError."""
        self._put(f"{key.builder}.timings", key, cache, {})

    def why_not(self, key: PlanKey) -> str:
        """Why there is no plan under a key: what differs in the one that comes closest."""
        keys = [entry.key for entry in self._entries("header") if entry.key and entry.kind == "plan"]
        told = [differences(own, key) for own in keys if own.tower == key.tower]
        if not told:
            return f"no {key.tower} plan was built yet"
        closest = min(told, key=len)
        return f"the closest has {', '.join(closest)}" if closest else "there is one"

    def list(self) -> tuple[Entry, ...]:
        """Every plan, and every refused file, newest first, verified in full; raises StoreError."""
        return tuple(entry for entry in self._entries("check") if entry.kind != "timings")

    def digests(self) -> frozenset[str]:
        """The SHA-256 of every plan, by which an engine names those that it runs; raises StoreError."""
        return frozenset(entry.digest for entry in self._entries("header") if entry.kind == "plan")

    def prune(
        self,
        keep_days: float | None = None,
        stale: Callable[[PlanKey], bool] | None = None,
        everything: bool = False,
    ) -> tuple[Entry, ...]:
        """Remove what was not used for `keep_days`, what is `stale`, or all; and all that isn't trusted.

        Gives what went; raises StoreError.
        """
        gone = []
        for entry in self._entries("check"):
            old = keep_days is not None and entry.idle > keep_days * _DAY
            other = stale is not None and entry.key is not None and stale(entry.key)
            if everything or old or other or entry.problem:
                try:
                    with self._opened(create=False) as fd:
                        os.unlink(entry.path.name, dir_fd=fd)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    raise unkept(self.folder, error, "removed") from error
                gone.append(entry)
        with suppress(OSError), self._opened(create=False) as fd:
            sweep(fd, ".", _DAY)
            clear(fd)
            names = {each.name for each in os.scandir(fd)}
            for name in names:
                if name.endswith(_NOTES) and f"{name.removesuffix(_NOTES)}.plan" not in names:
                    os.unlink(name, dir_fd=fd)
        return tuple(gone)

    def _get(self, name: str, what: str) -> Signed | None:
        try:
            with self._opened(create=False) as fd:
                try:
                    found = signed.read(fd, name, self._secret(fd, make=False))
                    if _key(found, name) is None:
                        raise Refused("key")
                except Refused as refused:
                    self._put_aside(fd, name, refused, what)
                    return None
                with suppress(OSError):
                    os.utime(name, dir_fd=fd, follow_symlinks=False)  # used now: `prune` goes by it
                return found
        except OSError as error:
            if error.errno != errno.ENOENT:
                self._say(f"{what} cannot be read, and is built anew: {error.strerror} ({self.folder})")
            return None

    def _noted(self, plan: Signed, key: PlanKey) -> Mapping[str, Any]:
        with suppress(OSError), self._opened(create=False) as fd:
            return _noted_in(fd, _notes(key), self._secret(fd, make=False), plan.header["sha256"])
        return {}

    def _put(self, name: str, key: PlanKey, payload: bytes, facts: Mapping[str, Any]) -> None:
        header = {"key": key.to_dict(), "facts": dict(facts), "written": time.time()}
        try:
            with self._opened(create=True) as fd:
                signed.write(fd, name, self._secret(fd), header, payload)
        except OSError as error:
            raise unkept(self.folder, error) from error

    def _secret(self, fd: int, make: bool = True) -> bytes:
        found = signed.read_secret(fd, self.folder)
        if found is None and make:
            with locked(fd, "secret.lock", lambda *_: None):
                found = signed.read_secret(fd, self.folder) or signed.make_secret(fd)
        return found or b""

    @contextmanager
    def _opened(self, create: bool) -> Iterator[int]:
        fd = signed.open_folder(self.folder, create, self._say)
        try:
            yield fd
        finally:
            os.close(fd)

    def _put_aside(self, fd: int, name: str, refused: Refused, what: str) -> None:
        with suppress(OSError):  # nothing can be renamed: it is refused each time
            if refused.inode in (0, os.stat(name, dir_fd=fd, follow_symlinks=False).st_ino):
                aside = f"{Path(name).stem}.{refused.reason}.{time.time_ns()}.refused"
                os.rename(name, aside, src_dir_fd=fd, dst_dir_fd=fd)
                name = aside
        self._say(f"{what} is not used, and is built anew: {refused} ({self.folder / name})")

    def _entries(self, depth: Depth) -> tuple[Entry, ...]:
        try:
            with self._opened(create=False) as fd:
                secret = self._secret(fd, make=False)
                names = [each.name for each in os.scandir(fd) if each.name.rpartition(".")[2] in _KINDS]
                found = [self._entry(fd, name, secret, depth) for name in names]
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise unkept(self.folder, error, "listed") from error
        return tuple(sorted((entry for entry in found if entry), key=lambda entry: entry.age))

    def _entry(self, fd: int, name: str, secret: bytes, depth: Depth) -> Entry | None:
        try:
            about = os.stat(name, dir_fd=fd, follow_symlinks=False)
        except FileNotFoundError:  # another process has just pruned it
            return None
        kind = next(kind for kind in _KINDS if name.endswith(f".{kind}"))
        now, key, facts, problem, digest = time.time(), None, {}, "", ""
        written = about.st_mtime
        if kind == "refused":
            problem = REASONS.get(name.split(".")[1], "it was put aside")
        else:
            try:
                found = signed.read(fd, name, secret, depth)
                key, facts, written = _key(found, name), found.header["facts"], found.header["written"]
                digest = found.header["sha256"]
                if key is not None and kind == "plan":
                    facts = {**facts, **_noted_in(fd, _notes(key), secret, found.header["sha256"])}
                problem = "" if key else REASONS["key"]
            except Refused as refused:
                problem = str(refused)
            except OSError as error:
                problem = error.strerror or str(error)
        path = self.folder / name
        return Entry(
            path, about.st_size, now - written, key, facts, problem, kind, now - about.st_mtime, digest
        )

    def _wait(self, key: PlanKey, holder: int, seconds: float) -> None:
        who = f"another process ({holder})" if holder else "another process"
        since = f", for {seconds:.0f} s now" if seconds >= 1 else ""
        self._say(f"waiting{since}: {who} builds the plan of {key.describe()}")


def stale_for(tensorrt: str, devices: Sequence[Device]) -> Callable[[PlanKey], bool]:
    """Whether a plan is for another TensorRT, or for no GPU and driver that is here."""
    here = {(own.name, own.capability, own.driver) for own in devices}
    return lambda key: key.tensorrt != tensorrt or (key.device, key.capability, key.driver_major) not in here


def _key(found: Signed, name: str) -> PlanKey | None:
    """The key of a verified file, None where the file has another's name."""
    try:
        key = PlanKey.from_dict(found.header["key"])
    except EngineError:
        return None
    return key if name in (f"{key.digest}.plan", f"{key.builder}.timings") else None


def _notes(key: PlanKey) -> str:
    return f"{key.digest}{_NOTES}"


def _noted_in(fd: int, name: str, secret: bytes, plan: str) -> Mapping[str, Any]:
    """What was noted of a plan by its SHA-256; nothing where that is of another, or not to be trusted."""
    try:
        header = signed.read(fd, name, secret).header
    except (Refused, OSError):
        return {}
    facts: Mapping[str, Any] = header["facts"] if header.get("plan") == plan else {}
    return facts
