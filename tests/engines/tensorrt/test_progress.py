"""A build tells how far it is; a step that takes long is told again, until it must be hung."""

from __future__ import annotations

import threading
import time

import pytest

from engines import cuda
from engines.bundle import Bundle
from engines.sessions.base import Terms
from engines.tensorrt import progress as module
from engines.tensorrt.build import built
from engines.tensorrt.progress import Progress
from engines.tensorrt.store import PlanStore
from tests.standin import Machine


def test_a_step_of_the_builder_that_takes_long_is_told_again(
    gpu: Machine, bundle: Bundle, store: PlanStore, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.05)
    gpu.build_seconds, gpu.build_steps = 1.0, 1
    told: list[tuple[float, str]] = []
    terms = Terms(progress=lambda what, share: told.append((time.monotonic(), what)))
    built(bundle, "head", "fp32", terms, cuda.devices()[0], store)
    inside = [at for at, what in told if what == "head fp32: Tactic Selection"]
    assert len(inside) > 5
    count = len(told)
    time.sleep(0.2)
    assert len(told) == count, "the build is over"


def test_a_step_that_lasts_beyond_all_measure_is_told_no_more(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.02)
    monkeypatch.setattr(module, "STEP_SECONDS", 0.3)
    told: list[str] = []
    progress = Progress("x", lambda what, share: told.append(what))
    with progress.ticking():
        time.sleep(0.8)
        count = len(told)
        assert count > 0
        time.sleep(0.3)
        assert len(told) == count
        progress.phase_start("next", None, 1)
        time.sleep(0.25)
        assert len(told) > count + 1, "a new step is told again"


def test_who_hears_of_a_step_that_takes_long_can_end_the_build():
    stopped = threading.Event()

    def tell(what: str, share: float) -> None:
        stopped.set()
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "AGAIN_SECONDS", 0.02)
        progress = Progress("x", tell)
        with progress.ticking():
            assert stopped.wait(30)
    assert isinstance(progress.error, KeyboardInterrupt)
    assert not progress.step_complete("any", 0)
