"""Ctrl-C: raised once, held where it must wait, never during a clean-up."""

from __future__ import annotations

import os
import signal

import pytest

from service.cli.interrupts import SIGNALS, Interrupts


@pytest.mark.parametrize("number", SIGNALS)
def test_each_signal_raises(number):
    with Interrupts(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)


def test_only_the_first_one_raises():
    with Interrupts():
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)


def test_while_held_it_waits_for_the_end():
    reached = []

    def step() -> None:
        with interrupts.held():
            os.kill(os.getpid(), signal.SIGINT)
            reached.append("the end")

    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt):
            step()
        assert reached == ["the end"]


def test_the_handlers_before_it_are_put_back():
    before = [signal.getsignal(number) for number in SIGNALS]
    with Interrupts():
        pass
    assert [signal.getsignal(number) for number in SIGNALS] == before
