"""Which device this is, and which software measures it: every part keeps both beside its figures."""

from __future__ import annotations

import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from engines import cuda
from engines.device import Device
from engines.errors import EngineError
from engines.tensorrt import api
from tests.gpu.results import Host

ROOT = Path(__file__).parents[2]
_DRIVER = Path("/proc/driver/nvidia/version")


def host_of(real: bool) -> Host:
    """This one, or of a rehearsal where it is not the `real` thing; raises EngineError without a GPU."""
    if not real:
        return Host("rehearsal", commit=commit())
    device = _device()
    return Host(device.name, _driver(device.driver), _tensorrt(), _torch(), commit())


def commit(root: Path = ROOT) -> str:
    """The checkout's, with a plus where files differ from it; "unknown" without git."""
    told = _git(root, "rev-parse", "--short=12", "HEAD")
    changed = _git(root, "status", "--porcelain", "--untracked-files=no") if told else ""
    return f"{told}{'+' if changed else ''}" if told else "unknown"


def _device() -> Device:
    reason = cuda.missing()
    if reason is not None:
        raise EngineError("There is no GPU to check", why=reason)
    return cuda.devices()[0]


def _driver(major: int) -> str:
    try:
        found = re.search(r"Module\b.*?\s(\d+\.\d[\d.]*)", _DRIVER.read_text("ascii", "replace"))
    except OSError:
        found = None
    return found[1] if found else str(major)


def _tensorrt() -> str:
    try:
        return api.load().version
    except EngineError:
        return "none"


def _torch() -> str:
    try:
        return version("torch")
    except PackageNotFoundError:
        return "none"


def _git(root: Path, *arguments: str) -> str:
    try:
        told = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return told.stdout.strip()
