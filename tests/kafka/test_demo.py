"""`tidegate demo`: what it prints, and that it leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from service.errors import Exit
from tests.harness import ROOT, environment

pytestmark = pytest.mark.kafka


@pytest.fixture
def demo(tiny, tmp_path):
    """Starts the demo with a temporary folder of its own, by which everything it leaves can be told."""

    def start(*args):
        command = [sys.executable, "-m", "service.cli.main", "demo", "--bundle", str(tiny), *args]
        env = environment({"TMPDIR": str(tmp_path)})
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, cwd=ROOT, env=env, start_new_session=True, **pipes)

    yield start
    for pid in relatives(tmp_path):
        os.kill(pid, signal.SIGKILL)


def relatives(folder):
    """Processes that have this folder as their TMPDIR."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"TMPDIR={folder}\0".encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue  # it ended, or is not ours
    return found


def nothing_left(folder):
    deadline = time.monotonic() + 5
    while (relatives(folder) or list(folder.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.1)  # the watchdogs end a moment after what they watch
    return relatives(folder) == [] and list(folder.iterdir()) == []


def test_it_prints_one_json_line_an_event_then_a_summary_and_exits_0(demo, tmp_path):
    running = demo("--events", "40", "--rate", "20", "--json")
    out, err = running.communicate(timeout=120)
    assert running.returncode == 0, err
    *lines, summary = [json.loads(line) for line in out.splitlines()]
    assert summary == {
        "schema": "tidegate.summary/1",
        "events": 40,
        "scored": sum(line["schema"] == "tidegate.score/1" for line in lines),
        "dead_lettered": sum(line["schema"] == "tidegate.deadletter/1" for line in lines),
        "dropped": 0,
    }
    assert len(lines) == 40
    assert summary["dead_lettered"] >= 4
    assert "/metrics" in err
    assert nothing_left(tmp_path)


@pytest.mark.parametrize("moment", ["Kafka", "on 127", "loading", "ready", "metrics"])
def test_an_interrupt_at_any_moment_ends_everything_with_exit_0(demo, tmp_path, moment):
    running = demo("--json")
    for line in running.stderr:
        if moment in line:
            break
    if moment == "metrics":
        running.stdout.readline()
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    assert "Traceback" not in err
    assert "roducer" not in err
    assert nothing_left(tmp_path)


def test_a_second_interrupt_does_not_cut_the_clean_up_short(demo, tmp_path):
    running = demo("--json")
    running.stdout.readline()
    for _ in range(3):
        running.send_signal(signal.SIGINT)
        time.sleep(0.1)
    assert running.wait(60) == 0
    assert nothing_left(tmp_path)


def test_even_when_it_is_killed_nothing_stays(demo, tmp_path):
    running = demo("--json")
    running.stdout.readline()
    running.kill()
    running.wait(10)
    deadline = time.monotonic() + 15
    while not nothing_left(tmp_path) and time.monotonic() < deadline:
        pass
    assert nothing_left(tmp_path)


def test_a_daemon_that_cannot_start_ends_the_demo_with_its_reason(demo, tmp_path, tiny):
    running = demo("--bundle", str(tmp_path / "nothing"), "--json")
    out, err = running.communicate(timeout=90)
    assert running.returncode == Exit.CONFIG
    assert "nothing" in err
    assert out == ""
    assert nothing_left(tmp_path)
