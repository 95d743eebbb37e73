"""An engine is opened while somebody waits: they hear how far it is, and may leave at once."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from engines.errors import EngineError
from service import starting
from service.health import Health
from service.starting import DaemonStart, Start, Stopped
from tests.harness import ROOT

BUILD = """
import threading, time, signal
from service.daemon import Signals
from service.errors import Exit
from service.health import Health
from service.starting import DaemonStart, Stopped, leave
signals = Signals()
signals.install()
start = DaemonStart(Health(), signals.asked)
def work():
    print("building", flush=True)
    while True:  # a library that hears nothing
        try:
            time.sleep(0.05)
            start.progress("text fp16", 0.5)
        except Stopped:
            if "deaf" not in %r:
                raise
try:
    start.run(work)
except Stopped:
    leave(Exit.OK)
    print("left", flush=True)
"""


def test_in_place_it_is_just_done():
    assert Start().run(lambda: 5) == 5
    Start().progress("text", 0.5)


def test_what_is_made_or_goes_wrong_reaches_who_waits():
    start = DaemonStart(Health(), threading.Event())
    assert start.run(lambda: threading.current_thread().name) == starting.THREAD

    def fail() -> None:
        raise EngineError("no GPU")

    with pytest.raises(EngineError, match="no GPU"):
        start.run(fail)


def test_probes_and_the_log_say_how_far_it_is(caplog):
    health = Health()
    start = DaemonStart(health, threading.Event())

    def work() -> None:
        for step in range(100):
            start.progress("text fp16: tactics", step / 100)
            assert health.reasons("startupz") == {"starting": f"text fp16: tactics, {step}%"}

    with caplog.at_level(logging.INFO):
        start.run(work)
    assert len(caplog.records) == 1, "a line every few seconds"


def test_on_a_terminal_a_bar_says_it_instead(caplog):
    shown = []

    @contextmanager
    def bars():
        yield lambda what, share: shown.append((what, share))

    start = DaemonStart(Health(), threading.Event(), bars)
    with caplog.at_level(logging.INFO):
        start.run(lambda: start.progress("text fp16", 0.5))
        assert (shown, caplog.records) == ([("text fp16", 0.5)], [])
        start.progress("text fp16", 0.6)
    assert len(shown) == 1, "the bars are gone once it runs"
    assert len(caplog.records) == 1


def test_a_wish_to_end_is_heard_at_once_and_by_the_build():
    asked, ended = threading.Event(), threading.Event()
    start = DaemonStart(Health(), asked)

    def work() -> None:
        asked.set()
        try:
            while not ended.wait(0.01):
                start.progress("text", 0.1)
        except Stopped:
            ended.set()
            raise

    with pytest.raises(Stopped):
        start.run(work)
    assert ended.wait(30)


def test_once_it_runs_a_wish_to_end_is_not_the_builds_business():
    asked = threading.Event()
    start = DaemonStart(Health(), asked)
    start.run(lambda: None)
    asked.set()
    start.progress("text", 0.1)


@pytest.mark.parametrize("kind", ["", "deaf"])
def test_sigterm_while_building_ends_with_0(kind):
    process = subprocess.Popen(
        [sys.executable, "-c", BUILD % kind], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "building\n"
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, rest) == (0, "" if kind else "left\n")
