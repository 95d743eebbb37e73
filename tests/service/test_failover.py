"""An engine that fails is replaced between two tries of a cycle; nothing is lost, and scores tell."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from engines.errors import EngineError
from engines.sessions.base import Session
from engines.sessions.choose import BACKENDS
from engines.tensorrt import progress
from engines.tensorrt.session import TensorRTSession
from engines.tensorrt.store import PlanStore
from service import failover
from service.cycle import Cycle
from service.errors import InternalError, UnreachableError
from service.failover import Failover, tell_start
from service.kafka.sink import Abandoned
from service.scoring import Scoring
from tests.graphics import backend
from tests.stage import eventually, serving
from tests.standin import installed
from tests.standin import tensorrt as standin

SMALL = {"tokens": 64, "image_rows": 1, "audio_seconds": 2.0}
LARGER = {"tokens": 256, "image_rows": 4, "audio_seconds": 4.0}


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
    with (
        installed() as gpu,
        serving(tiny, backend="tensorrt", precision="fp32", cpu_fallback=True, **SMALL) as stage,
    ):
        assert stage.models(stage.answer()) == ["tensorrt fp32"] * 3
        gpu.lose()
        (name,) = set(stage.models(stage.answer()))
        assert name.split()[0] in ("onnxruntime", "openvino")
        assert f'from="tensorrt fp32",reason="device_lost",to="{name}"}} 1.0' in stage.said


def test_smaller_micro_batches_since_memory_ran_out_are_said_of_readiness(tiny, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with installed(), serving(tiny, backend="tensorrt", precision="fp32", **LARGER) as stage:
        stage.answer()
        assert stage.health.notes() == {}
        monkeypatch.setattr(TensorRTSession, "reduced", True)
        stage.answer()
        assert "smaller" in stage.health.notes()["gpu_memory"]
        assert stage.health.reasons("readyz") == {}


def test_a_gpu_that_is_lost_or_full_at_the_start_is_worth_another_start(tiny, trouble):
    trouble.known["gpu"] = "device_lost"
    with pytest.raises(UnreachableError, match="stumbled"), serving(tiny):
        pass
    trouble.known["gpu"] = "failed"
    with pytest.raises(EngineError, match="stumbled"), serving(tiny):
        pass


@pytest.mark.parametrize(("seconds", "follows"), [(0.0, True), (3600.0, False)])
def test_the_gauge_of_memory_follows_what_serving_takes_and_seldom_asks(
    tiny, monkeypatch, tmp_path, seconds, follows
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(failover, "MEMORY_SECONDS", seconds)
    with installed() as gpu, serving(tiny, backend="tensorrt", precision="fp32", **LARGER) as stage:
        stage.answer()
        before = gpu.held()
        assert stage.memory == before
        stage.answer(words=20)
        assert gpu.held() > before, "texts of such a length came for the first time"
        assert stage.memory == (gpu.held() if follows else before)


def test_a_failover_shows_that_it_lives_however_long_a_step_of_its_build_takes(tiny, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(failover, "PAUSES", (0.01,))
    monkeypatch.setattr(failover, "works_elsewhere", lambda: False)
    monkeypatch.setattr(progress, "AGAIN_SECONDS", 0.02)
    with installed() as gpu, serving(tiny, backend="tensorrt", precision="fp32", **SMALL) as stage:
        step, beats = standin._steps, set()

        def long(*args: object) -> bool:
            eventually(lambda: beats.add(stage.health._beats["infer"]) or len(beats) > 5)
            return step(*args)

        monkeypatch.setattr(standin, "_steps", long)
        (text,) = [entry for entry in PlanStore().list() if entry.key and entry.key.tower == "text"]
        text.path.unlink()
        gpu.lose()
        monkeypatch.setattr(Failover, "pause", property(lambda _: setattr(gpu, "sticky", None) or 0.01))
        assert stage.models(stage.answer()) == ["tensorrt fp32"] * 3
        assert len(beats) > 5
