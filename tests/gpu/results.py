"""What a check found, and how parts are kept so that a cut run goes on."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

Verdict = Literal["pass", "fail", "not measured", "noted"]


@dataclass(frozen=True)
class Check:
    """One line of the table; `reason` says why it failed or was not measured, or what the figure is of."""

    check: str
    figure: str = ""
    bar: str = ""
    verdict: Verdict = "noted"
    reason: str = ""


def at_least(check: str, value: float, bar: float, reason: str = "", unit: str = "") -> Check:
    """Passes from a bar upwards."""
    good = value >= bar
    return Check(check, f"{value:.2f}{unit}", f"≥ {bar:g}{unit}", "pass" if good else "fail", reason)


def at_most(check: str, value: float, bar: float, reason: str = "", spell: str = "{:.2g}") -> Check:
    """Passes up to a bar."""
    good = value <= bar
    return Check(check, spell.format(value), f"≤ {spell.format(bar)}", "pass" if good else "fail", reason)


def holds(check: str, good: bool, reason: str = "") -> Check:
    """Passes where it holds."""
    return Check(check, "yes" if good else "no", "yes", "pass" if good else "fail", reason)


def not_measured(check: str, reason: str, bar: str = "") -> Check:
    """Says why there is no figure."""
    return Check(check, "", bar, "not measured", " ".join(reason.split())[:400])


@dataclass(frozen=True)
class Host:
    """What a figure is of besides the part: the device, and what it was measured with."""

    device: str
    driver: str = ""
    tensorrt: str = ""
    torch: str = ""
    commit: str = ""

    def __str__(self) -> str:
        known = {"driver": self.driver, "TensorRT": self.tensorrt, "torch": self.torch, "commit": self.commit}
        return ", ".join([self.device, *(f"{what} {value}" for what, value in known.items() if value)])

    @property
    def slug(self) -> str:
        """Device and TensorRT, as a folder's name spells them."""
        parts = [self.device, *["trt", self.tensorrt] * bool(self.tensorrt)]
        return re.sub(r"[^a-z0-9]+", "-", " ".join(parts).lower()).strip("-")


NOBODY = Host("")


@dataclass(frozen=True)
class Part:
    """A part's result: how it ended ("done", "crashed", "out of time"), and everything it found."""

    name: str
    ended: str
    seconds: float
    checks: tuple[Check, ...]
    when: str = ""
    host: Host = NOBODY
    tries: int = 1


class Results:
    """A folder with one JSON file for each part that ended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def draft(self, name: str) -> Path:
        """Where a running part writes its checks, line by line."""
        return self.folder / f"{name}.running.jsonl"

    def has(self, name: str) -> bool:
        """Whether a part has a result."""
        return self._path(name).is_file()

    def finished(self, name: str) -> bool:
        """Whether a part need not run again: one that ran out of time is tried once more, with what others
        have finished by then; a plan that it was building is begun anew.
        """
        found = self.read([name])
        return bool(found) and (found[0].ended != "out of time" or found[0].tries > 1)

    def tries(self, name: str) -> int:
        """How often a part has ended so far."""
        return sum(part.tries for part in self.read([name]))

    def close(self, name: str, ended: str, seconds: float, host: Host = NOBODY, tries: int = 1) -> Part:
        """Seal what a part wrote: a part that crashed keeps what it had found, and says so."""
        found = []
        if self.draft(name).is_file():
            for line in self.draft(name).read_text("utf-8").splitlines():
                try:
                    found.append(Check(**json.loads(line)))
                except (ValueError, TypeError):  # the line that it was writing when it ended
                    continue
        if ended != "done":
            found.append(Check(name, "", "", "fail", f"the part ended before its end: {ended}"))
        when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        part = Part(name, ended, round(seconds, 1), tuple(found), when, host, tries)
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._path(name)
        path.with_suffix(".draft").write_text(
            json.dumps(asdict(part), indent=1, ensure_ascii=False), encoding="utf-8"
        )
        path.with_suffix(".draft").replace(path)
        self.draft(name).unlink(missing_ok=True)
        return part

    def forget(self, name: str) -> None:
        """Drop a part's result and draft."""
        self._path(name).unlink(missing_ok=True)
        self.draft(name).unlink(missing_ok=True)

    def read(self, names: Sequence[str]) -> list[Part]:
        """Results of those parts that have one, in this order."""
        found = []
        for name in names:
            if self.has(name):
                tree = json.loads(self._path(name).read_text("utf-8"))
                checks = tuple(Check(**one) for one in tree.pop("checks"))
                found.append(Part(checks=checks, host=Host(**tree.pop("host")), **tree))
        return found

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"


class Writer:
    """Appends checks to a part's draft at once, so that none is lost when the process is."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        self._path = path

    def __call__(self, check: Check) -> None:
        """Write one, and show it."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(check), ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        print(f"  {check.verdict:<12} {check.check}: {check.figure} {check.reason}".rstrip(), flush=True)


def folder_for(root: Path, host: Host, names: Iterable[str], today: str) -> Path:
    """The newest folder of this device and TensorRT that still lacks a part, else a new one of today."""
    wanted = list(names)
    for folder in sorted(root.glob(f"????-??-??-{host.slug}"), reverse=True):
        if not all(Results(folder).finished(name) for name in wanted):
            return folder
    return root / f"{today}-{host.slug}"
