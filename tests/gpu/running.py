"""Parts one after the other, each in a process of its own, within the time that there is."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.gpu.parts import MOST, Part
from tests.gpu.results import Host, Results

ROOT = Path(__file__).parents[2]
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Plan:
    """What to run: `limit` seconds in all (None: no limit), each part at most `most`."""

    results: Results
    work: Path
    cuda: bool
    small: bool
    host: Host
    limit: float | None = None
    most: float = MOST


Start = Callable[[Part, Plan, float], str]
"""Run a part for so many seconds at most: how it ended."""


def run_all(wanted: Sequence[Part], plan: Plan, start: Start | None = None, again: bool = False) -> list[str]:
    """Run the parts that are not finished (with `again` all of them); the names of those that are left."""
    start, begun, left = start or process, time.monotonic(), []
    for part in wanted:
        if plan.results.finished(part.name) and not again:
            continue
        rest = float("inf") if plan.limit is None else plan.limit - (time.monotonic() - begun)
        if rest < min(part.seconds, plan.most):
            left.append(part.name)
            print(f"{part.name}: {rest:.0f} s are left, it may need {part.seconds}", flush=True)
            continue
        print(f"{part.name}", flush=True)
        tries = 0 if again else plan.results.tries(part.name)
        plan.results.forget(part.name)
        at = time.monotonic()
        ended = start(part, plan, min(plan.most, rest))
        if ended == "out of time" and rest < plan.most:  # the limit's doing, not the part's: it runs again
            plan.results.forget(part.name)
            left.append(part.name)
            continue
        plan.results.close(part.name, ended, time.monotonic() - at, plan.host, tries + 1)
    return left


def process(part: Part, plan: Plan, seconds: float) -> str:
    """A part in a process of its own: "done", "out of time", or how it crashed."""
    command = [
        sys.executable, "-m", "tests.gpu", "--run", part.name, "--results", str(plan.results.folder),
        "--work", str(plan.work), "--device", "cuda" if plan.cuda else "cpu",
    ]  # fmt: skip
    if plan.small:
        command.append("--small")
    child = subprocess.Popen(command, cwd=ROOT, env=_environment(plan), start_new_session=True)
    try:
        code = child.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)  # with what it started: compilers, casting
        child.wait()
        return "out of time"
    return "done" if code == 0 else f"exit {code}" if code > 0 else f"signal {signal.Signals(-code).name}"


def with_parent() -> None:
    """End as soon as the process that started this one does, however it ends: else a call that is cut leaves
    a part behind, which holds the GPU while the next call measures.
    """
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _environment(plan: Plan) -> dict[str, str]:
    environment = {**os.environ, "XDG_CACHE_HOME": str(plan.work / "cache"), "HF_HUB_OFFLINE": "1"}
    if not plan.cuda:
        from tests import standin

        environment |= standin.environment()
    else:
        paths = [str(ROOT), *filter(None, [environment.get("PYTHONPATH")])]
        environment["PYTHONPATH"] = os.pathsep.join(paths)
    return environment
