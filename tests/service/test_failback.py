"""What was given up for want of memory is tried again, and serves again; what serves meanwhile goes on."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest

from engines.bundle import Bundle
from engines.sessions.base import Session, Terms
from engines.sessions.choose import BACKENDS
from service.failover import tell_start
from tests.graphics import Trouble
from tests.stage import Stage, eventually, serving
from tests.standin import installed


def test_where_memory_comes_back_the_better_engine_serves_again(tiny, trouble):
    with serving(tiny, retry_seconds=0.05) as stage:
        trouble.known["tensorrt"] = "out_of_memory"
        before = stage.answer()
        assert stage.models(before) == ["torch fp16"] * 3
        worse = stage.scoring.engine
        assert "again after 0.05 s" in stage.health.notes()["engine_retry"]
        eventually(lambda: stage.answer() and "stumbled" in stage.health.notes()["engine_retry"])
        assert set(stage.models(stage.answer())) == {"torch fp16"}, "what serves goes on until then"
        trouble.known.clear()
        eventually(lambda: stage.models(stage.answer()) == ["tensorrt fp16"] * 3)
        assert stage.models(before) == ["torch fp16"] * 3, "inferred before, written down after"
        assert stage.health.notes() == {}
        assert 'from="torch fp16",reason="returned",to="tensorrt fp16"} 1.0' in stage.said
        assert worse is not stage.scoring.engine
        count = len(trouble.opened)
        time.sleep(0.3)
        assert stage.models(stage.answer()) == ["tensorrt fp16"] * 3
        assert len(trouble.opened) == count, "there is nothing better"


def test_tensorrt_serves_again_with_the_plans_that_there_are(tiny, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    engine = {"backend": "tensorrt", "precision": "fp32", "cpu_fallback": True, "retry_seconds": 0.05}
    engine |= {"tokens": 64, "image_rows": 1, "audio_seconds": 2.0}
    with installed() as gpu, serving(tiny, **engine) as stage:
        assert stage.models(stage.answer()) == ["tensorrt fp32"] * 3
        built = len(gpu.built)
        gpu.fail("cudaGraphLaunch", "cudaErrorMemoryAllocation")
        (worse,) = set(stage.models(stage.answer()))
        assert worse.split()[0] in ("onnxruntime", "openvino")
        eventually(lambda: stage.answer() and "the last time" in stage.health.notes()["engine_retry"])
        gpu.failures.clear()
        eventually(lambda: stage.models(stage.answer()) == ["tensorrt fp32"] * 3)
        assert len(gpu.built) == built
        assert stage.health.notes() == {}
        assert gpu.faults == []


def test_unless_it_is_asked_for_nothing_is_tried_again_before_a_restart(tiny, trouble):
    with serving(tiny) as stage:
        trouble.known["tensorrt"] = "out_of_memory"
        stage.answer()
        trouble.known.clear()
        count = len(trouble.opened)
        time.sleep(0.2)
        assert stage.models(stage.answer()) == ["torch fp16"] * 3
        assert len(trouble.opened) == count
        assert "engine_retry" not in stage.health.notes()


@pytest.mark.parametrize(("name", "kind"), [("gpu", "device_lost"), ("tensorrt fp16", "failed")])
def test_only_memory_comes_back_within_a_process(tiny, trouble, name, kind):
    with serving(tiny, retry_seconds=0.01, cpu_fallback=True) as stage:
        trouble.known[name] = kind
        served = stage.models(stage.answer())
        trouble.known.clear()
        count = len(trouble.opened)
        time.sleep(0.2)
        assert stage.models(stage.answer()) == served
        assert len(trouble.opened) == count
        assert "engine_retry" not in stage.health.notes()


class Slow:
    """TensorRT that opens on a try until it is told to end; as long, torch may lack memory."""

    def __init__(self, trouble: Trouble, monkeypatch: pytest.MonkeyPatch) -> None:
        self.trying, self.over = threading.Event(), threading.Event()
        self._trouble, self._real = trouble, BACKENDS["tensorrt"].open
        monkeypatch.setitem(BACKENDS, "tensorrt", replace(BACKENDS["tensorrt"], open=self._open))

    def _open(self, bundle: Bundle, tower: str, precision: str, terms: Terms) -> Session:
        if self._trouble.known.get("tensorrt"):
            return self._real(bundle, tower, precision, terms)
        self.trying.set()
        try:
            while terms.progress is not None:
                terms.progress("slowly", 0.0)
                time.sleep(0.01)
        finally:
            self.over.set()
            if self._trouble.known.get("torch") == "out_of_memory":
                del self._trouble.known["torch"]
        raise AssertionError

    def begin(self, stage: Stage) -> None:
        """Have torch serve, and a try under way."""
        self._trouble.known["tensorrt"] = "out_of_memory"
        stage.answer()
        del self._trouble.known["tensorrt"]
        eventually(lambda: stage.answer() and self.trying.is_set())
        assert not self.over.is_set()


def test_a_try_ends_when_the_engine_that_serves_is_in_trouble(tiny, trouble, monkeypatch):
    with serving(tiny, retry_seconds=0.05) as stage:
        slow = Slow(trouble, monkeypatch)
        slow.begin(stage)
        trouble.known["torch fp16"] = "failed"
        assert stage.models(stage.answer()) == ["torch fp32"] * 3
        assert slow.over.is_set()


def test_a_try_that_takes_the_memory_does_not_cost_the_engine_that_serves(tiny, trouble, monkeypatch):
    with serving(tiny, retry_seconds=0.05, cpu_fallback=True) as stage:
        slow = Slow(trouble, monkeypatch)
        slow.begin(stage)
        trouble.known["torch"] = "out_of_memory"
        assert stage.models(stage.answer()) == ["torch fp16"] * 3
        assert slow.over.is_set()
        assert stage.health.reasons("readyz") == {}
        assert 'from="torch fp16"' not in stage.said


def test_a_try_is_told_to_end_when_the_daemon_does(tiny, trouble, monkeypatch):
    with serving(tiny, retry_seconds=0.05) as stage:
        slow = Slow(trouble, monkeypatch)
        slow.begin(stage)
    assert slow.over.wait(30)


def test_memory_that_was_short_at_the_start_comes_back_too(tiny, trouble):
    trouble.known["tensorrt"] = "out_of_memory"
    with serving(tiny, retry_seconds=0.05) as stage:
        tell_start(stage.scoring, stage.metrics, stage.health)
        assert "again after 0.05 s" in stage.health.notes()["engine_retry"]
        assert stage.models(stage.answer()) == ["torch fp16"] * 3
        trouble.known.clear()
        eventually(lambda: stage.models(stage.answer()) == ["tensorrt fp16"] * 3)
        assert stage.health.notes() == {}


def test_what_gave_way_to_memory_comes_back_whatever_became_of_its_stand_in(tiny, trouble):
    with serving(tiny, retry_seconds=0.05) as stage:
        trouble.known["tensorrt"] = "out_of_memory"
        assert stage.models(stage.answer()) == ["torch fp16"] * 3
        trouble.known["torch fp16"] = "failed"
        eventually(lambda: stage.models(stage.answer()) == ["torch fp32"] * 3)
        assert "engine_retry" in stage.health.notes()
        assert stage.health.notes()["engine"].startswith("torch fp32 serves in place of tensorrt fp16")
        trouble.known.clear()
        eventually(lambda: stage.models(stage.answer()) == ["tensorrt fp16"] * 3)
        assert stage.health.notes() == {}


def test_a_device_that_is_lost_after_memory_was_short_ends_the_tries(tiny, trouble):
    with serving(tiny, retry_seconds=60, cpu_fallback=True) as stage:
        trouble.known["tensorrt"] = "out_of_memory"
        stage.answer()
        assert "engine_retry" in stage.health.notes()
        trouble.known["gpu"] = "device_lost"
        stage.answer()
        assert "engine_retry" not in stage.health.notes()
