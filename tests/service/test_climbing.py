"""When a better engine is tried again, and what becomes of a try."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import wait
from dataclasses import replace
from pathlib import Path

import pytest

from engines.bundle import Bundle
from engines.engine import FusedEngine
from engines.errors import EngineError
from engines.ladder import Ladder, Wanted
from service.climbing import Climb
from service.health import Health
from tests.graphics import Trouble

FULL = EngineError("full")


class Climbing:
    """A `Climb` that fell for want of memory, torch serving, and a clock in the test's hand."""

    def __init__(self, tiny: Path, trouble: Trouble) -> None:
        ladder = Ladder(Bundle.load(tiny), Wanted(threads=1, uncalibrated="warn"))
        engine = ladder.open()
        engine.close()
        self.serving = replace(engine.info, engine="torch", precision="fp16")
        self.now, self.health, self._trouble = 0.0, Health(), trouble
        self.climb = Climb(ladder, self.health, 60.0, lambda: self.now)
        self.climb.fell("out_of_memory")

    def tried(self, after: float) -> bool:
        """Whether a try begins after so many seconds; it is over then."""
        self.now += after
        count = len(self._trouble.opened)
        self.climb.look(self.serving)
        trial = self.climb._trial
        if trial is not None:
            wait([trial], 30)
        return len(self._trouble.opened) > count

    @property
    def note(self) -> str:
        return self.health.notes()["engine_retry"]

    def returns(self) -> None:
        """What was tried serves."""
        better = self.climb.look(self.serving)
        assert better is not None
        better.close()
        self.climb.settled()


@pytest.fixture
def climbing(tiny: Path, trouble: Trouble) -> Iterator[Climbing]:
    found = Climbing(tiny, trouble)
    yield found
    found.climb.close()


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[FusedEngine]:
    """Engines that were closed."""
    found, close = [], FusedEngine.close

    def told(engine: FusedEngine) -> None:
        found.append(engine)
        close(engine)

    monkeypatch.setattr(FusedEngine, "close", told)
    return found


def test_tries_grow_rarer_until_an_engine_that_came_back_has_stayed(climbing, trouble):
    trouble.known["tensorrt"] = "out_of_memory"
    assert not climbing.tried(59)
    assert climbing.tried(1)
    assert climbing.climb.look(climbing.serving) is None
    assert "after 120 s" in climbing.note
    assert not climbing.tried(119)
    assert not climbing.climb.stumbled(lambda: None)
    assert not climbing.tried(119), "trouble puts it off"
    trouble.known.clear()
    assert climbing.tried(1)
    climbing.returns()
    climbing.climb.fell("out_of_memory")
    assert "after 240 s" in climbing.note, "it came back, and did not stay"
    assert climbing.tried(240)
    climbing.returns()
    climbing.now += 1000
    climbing.climb.fell("out_of_memory")
    assert "after 60 s" in climbing.note


def test_a_second_fall_does_not_make_tries_more_frequent(climbing, trouble):
    assert climbing.tried(60)
    climbing.returns()
    climbing.now += 1000
    climbing.climb.fell("out_of_memory")
    trouble.known["tensorrt"] = "out_of_memory"
    assert climbing.tried(60)
    assert climbing.climb.look(climbing.serving) is None
    climbing.climb.fell("out_of_memory")
    assert "after 120 s" in climbing.note


def test_a_try_that_trouble_ended_is_closed_and_the_note_says_when_the_next_is(climbing, closed):
    assert climbing.tried(60)
    assert climbing.climb.stumbled(lambda: None)
    assert len(closed) == 1
    assert "after 120 s" in climbing.note


def test_what_a_try_opened_is_closed_where_nobody_took_it(climbing, closed):
    assert climbing.tried(60)
    assert closed == []
    climbing.climb.close()
    assert len(closed) == 1
    assert not climbing.tried(1000)


def test_a_bug_inside_a_try_is_told_with_its_trace(climbing, caplog):
    with caplog.at_level(logging.WARNING, "service.climbing"):
        climbing.climb.failed(FULL)
        climbing.climb.failed(MemoryError())
    known, bug = caplog.records
    assert not known.exc_info
    assert bug.exc_info
    assert "MemoryError" in climbing.note
