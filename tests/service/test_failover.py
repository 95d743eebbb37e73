"""An engine that fails is replaced between two tries of a cycle; nothing is lost, and scores tell."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.exposition import generate_latest

from engines.bundle import Bundle
from engines.errors import EngineError
from engines.sessions.base import Session, Terms
from engines.sessions.choose import BACKENDS
from engines.tensorrt.session import TensorRTSession
from service import failover
from service.assembly import open_scoring
from service.buffer import Pace
from service.config import Settings
from service.cycle import Cycle
from service.errors import InternalError, UnreachableError
from service.failover import Failover, tell_start
from service.failpoint import FailPoints
from service.health import Health
from service.inference import Inference
from service.kafka.checkpoint import Checkpoint
from service.kafka.sink import Abandoned
from service.metrics import Metrics
from service.record import Partition, Run, Stored
from service.score import Timings
from service.scoring import Scoring
from tests.graphics import Trouble, backend
from tests.standin import installed

P = Partition("in", 0)
TIMINGS = Timings(0, 0, 0, 0)


@pytest.fixture
def trouble(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Trouble:
    found = Trouble()
    for name in ("tensorrt", "torch"):
        monkeypatch.setitem(BACKENDS, name, backend(name, found))
    monkeypatch.setattr(failover, "PAUSES", (0.01,))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return found


class Stage:
    """The infer stage over a real `Scoring`, one cycle of a few texts at a time."""

    def __init__(self, scoring: Scoring) -> None:
        self.ending = threading.Event()
        self.scoring, self.metrics, self.health = scoring, Metrics(), Health()
        self.health.started()
        self._checkpoint = Checkpoint()
        self._checkpoint.opened({P: 0})
        self._stage = Inference(
            scoring, self._checkpoint, Pace(), self.metrics, self.health, FailPoints(), self.ending
        )
        self._offset = 0

    def cycle(self) -> Cycle:
        records = [Stored("in", 0, self._offset + k, 1, None, b'{"text": "hello"}') for k in range(3)]
        self._offset += len(records)
        cycle = Cycle(1, [Run(P, self._checkpoint.epoch(P), records)], 100, time.monotonic())
        self._checkpoint.begin(cycle.positions)
        cycle.preparation = self.scoring.prepare(records)
        return cycle

    def answer(self, give_up: threading.Event | None = None) -> Cycle:
        (part,) = self._stage.answer(self.cycle(), give_up or threading.Event())
        return part

    def models(self, part: Cycle) -> list[str]:
        assert part.inferred is not None
        made = [self.scoring.encode(r, part.inferred, k, TIMINGS) for k, r in enumerate(part.records)]
        return [
            f"{model['engine']} {model['precision']}"
            for model in (json.loads(m.value)["model"] for m in made)
        ]

    @property
    def said(self) -> str:
        return generate_latest(self.metrics.registry).decode()


@contextmanager
def serving(tiny: Path, **engine: object) -> Iterator[Stage]:
    settings = Settings.model_validate(
        {
            "bundle": str(tiny),
            "engine": {"precision": "auto", "threads": 1, "uncalibrated": "warn"} | engine,
            "limits": {"decode_workers": 1},
        }
    )
    with open_scoring(settings) as scoring:
        yield Stage(scoring)


def eventually(holds: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_lost_device_is_replaced_by_the_processor_where_that_is_allowed(tiny, trouble):
    with serving(tiny, cpu_fallback=True) as stage:
        before = stage.answer()
        assert stage.models(before) == ["tensorrt fp16"] * 3
        assert stage.health.notes() == {}
        trouble.known["gpu"] = "device_lost"
        after = stage.answer()
        (name,) = set(stage.models(after))
        assert name.split()[0] in ("onnxruntime", "openvino")
        assert stage.models(before) == ["tensorrt fp16"] * 3, "inferred before, written down after"
        assert stage.health.reasons("readyz") == {}
        note = stage.health.notes()["engine"]
        assert name in note
        assert "tensorrt fp16" in note
        assert "Look at it" in note
        assert (
            f'engine_fallbacks_total{{from="tensorrt fp16",reason="device_lost",to="{name}"}} 1.0'
            in stage.said
        )
        (info,) = [line for line in stage.said.splitlines() if line.startswith("tidegate_engine_info{")]
        assert f'engine="{name.split()[0]}"' in info
        assert "engine_memory_bytes{" not in stage.said


def test_without_leave_it_is_not_ready_and_goes_on_once_the_device_is_back(tiny, trouble, monkeypatch):
    monkeypatch.setattr(failover, "works_elsewhere", lambda: False)
    with serving(tiny) as stage:
        trouble.known["gpu"] = "device_lost"
        parts: list[Cycle] = []
        thread = threading.Thread(target=lambda: parts.append(stage.answer()), daemon=True)
        thread.start()
        eventually(lambda: len(trouble.opened) >= 5)
        assert "stumbled" in stage.health.reasons("readyz")["engine"]
        assert stage.health.reasons("livez") == {}
        assert parts == []
        trouble.known.clear()
        thread.join(30)
        assert stage.models(parts[0]) == ["tensorrt fp16"] * 3
        assert set(trouble.opened) == {"tensorrt fp16"}, "no other one on a device that is lost"
        assert stage.health.reasons("readyz") == {}
        assert stage.health.notes() == {}
        assert "engine_fallbacks_total{" not in stage.said


def test_a_stop_is_heard_while_nothing_serves(tiny, trouble, monkeypatch):
    monkeypatch.setattr(failover, "works_elsewhere", lambda: False)
    with serving(tiny) as stage:
        trouble.known["gpu"] = "device_lost"
        give_up = threading.Event()
        threading.Timer(0.2, give_up.set).start()
        with pytest.raises(Abandoned):
            stage.answer(give_up)


def test_a_stop_is_heard_while_a_build_hears_nothing(tiny, trouble, monkeypatch):
    ended, opening = threading.Event(), BACKENDS["torch"].open

    def deaf(*args: object) -> Session:
        stage.ending.set()
        ended.wait(30)
        return opening(*args)

    monkeypatch.setitem(BACKENDS, "torch", replace(BACKENDS["torch"], open=deaf))
    with serving(tiny) as stage:
        trouble.known["tensorrt"] = "out_of_memory"
        try:
            with pytest.raises(Abandoned):
                stage.answer()
            assert not ended.is_set()
        finally:
            ended.set()


def test_a_stop_while_an_engine_stumbles_waits_for_the_answer(tiny, trouble, monkeypatch):
    infer = Scoring.infer

    def stumbles(*args: object, **more: object) -> object:
        monkeypatch.setattr(Scoring, "infer", infer)
        raise EngineError("once")

    with serving(tiny) as stage:
        stage.ending.set()
        monkeypatch.setattr(Scoring, "infer", stumbles)
        assert stage.models(stage.answer()) == ["tensorrt fp16"] * 3


def test_a_device_that_only_another_process_can_use_ends_this_one(tiny, trouble, monkeypatch):
    monkeypatch.setattr(failover, "works_elsewhere", lambda: True)
    with serving(tiny) as stage:
        trouble.known["gpu"] = "device_lost"
        with pytest.raises(InternalError, match="not in this process"):
            stage.answer()


def test_out_of_memory_goes_to_another_backend(tiny, trouble):
    with serving(tiny) as stage:
        trouble.known["tensorrt"] = "out_of_memory"
        assert stage.models(stage.answer()) == ["torch fp16"] * 3
        assert 'from="tensorrt fp16",reason="out_of_memory",to="torch fp16"' in stage.said
        assert 'engine_memory_bytes{device="0"}' in stage.said


def test_a_failure_that_stays_costs_three_tries_and_then_a_precision(tiny, trouble):
    with serving(tiny) as stage:
        trouble.known["tensorrt fp16"] = "failed"
        assert stage.models(stage.answer()) == ["tensorrt fp32"] * 3
        errors = 'errors_total{stage="infer",type="EngineError"} 3.0'
        assert errors in stage.said


def test_what_cannot_be_opened_is_passed_over_and_each_step_is_counted(tiny, trouble):
    with serving(tiny) as stage:
        trouble.known |= {"tensorrt fp16": "failed", "tensorrt fp32": "out_of_memory"}
        assert stage.models(stage.answer()) == ["torch fp16"] * 3
        assert 'from="tensorrt fp16",reason="failed",to="tensorrt fp32"} 1.0' in stage.said
        assert 'from="tensorrt fp32",reason="out_of_memory",to="torch fp16"} 1.0' in stage.said


def test_an_engine_on_the_processor_is_never_replaced(tiny, trouble, monkeypatch):
    with serving(tiny, backend="onnxruntime", precision="fp32") as stage:
        replacing = Failover(stage.scoring, stage.metrics, stage.health)
        engine = stage.scoring.engine
        assert not any(replacing.failed(EngineError("no"), lambda: None) for _ in range(5))
        replacing.ensure(lambda: None)
        assert stage.scoring.engine is engine
        assert trouble.opened == []


def test_what_is_passed_over_at_the_start_is_said_too(tiny, trouble):
    trouble.known["tensorrt fp16"] = "out_of_memory"
    with serving(tiny) as stage:
        tell_start(stage.scoring, stage.metrics, stage.health)
        assert 'from="tensorrt fp16",reason="out_of_memory",to="tensorrt fp32"} 1.0' in stage.said
        note = stage.health.notes()["engine"]
        assert note.startswith("tensorrt fp32 serves in place of tensorrt fp16: ")
        trouble.known["tensorrt"] = "out_of_memory"
        stage.answer()
        assert stage.health.notes()["engine"].startswith("torch fp16 serves in place of tensorrt fp16")


def test_the_processor_in_place_of_a_pinned_gpu_is_said(tiny, trouble, monkeypatch):
    gone = replace(backend("tensorrt", trouble), missing=lambda: "there is no GPU")
    monkeypatch.setitem(BACKENDS, "tensorrt", gone)
    with pytest.raises(EngineError, match="there is no GPU"), serving(tiny, backend="tensorrt"):
        pass
    with serving(tiny, backend="tensorrt", cpu_fallback=True) as stage:
        tell_start(stage.scoring, stage.metrics, stage.health)
        assert "tensorrt: there is no GPU" in stage.health.notes()["engine"]


def test_a_processor_that_was_asked_for_is_no_news(tiny, trouble):
    with serving(tiny, backend="onnxruntime", precision="fp32") as stage:
        tell_start(stage.scoring, stage.metrics, stage.health)
        assert stage.health.notes() == {}


def test_a_gpu_that_falls_off_the_bus_costs_tensorrt_and_no_event(tiny, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    small = {"tokens": 64, "image_rows": 1, "audio_seconds": 2.0}
    with (
        installed() as gpu,
        serving(tiny, backend="tensorrt", precision="fp32", cpu_fallback=True, **small) as stage,
    ):
        assert stage.models(stage.answer()) == ["tensorrt fp32"] * 3
        gpu.lose()
        (name,) = set(stage.models(stage.answer()))
        assert name.split()[0] in ("onnxruntime", "openvino")
        assert f'from="tensorrt fp32",reason="device_lost",to="{name}"}} 1.0' in stage.said


def test_smaller_micro_batches_since_memory_ran_out_are_said_of_readiness(tiny, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    small = {"tokens": 256, "image_rows": 4, "audio_seconds": 4.0}
    with installed(), serving(tiny, backend="tensorrt", precision="fp32", **small) as stage:
        stage.answer()
        assert stage.health.notes() == {}
        monkeypatch.setattr(TensorRTSession, "reduced", True)
        stage.answer()
        assert "smaller" in stage.health.notes()["gpu_memory"]
        assert stage.health.reasons("readyz") == {}


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


def test_a_gpu_that_is_lost_or_full_at_the_start_is_worth_another_start(tiny, trouble):
    trouble.known["gpu"] = "device_lost"
    with pytest.raises(UnreachableError, match="stumbled"), serving(tiny):
        pass
    trouble.known["gpu"] = "failed"
    with pytest.raises(EngineError, match="stumbled"), serving(tiny):
        pass
