"""The ladder on TensorRT, of which only the library and CUDA are stood in for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engines.batch import Batch
from engines.bundle import Bundle
from engines.errors import DeviceLost, EngineError
from engines.ladder import Ladder, Wanted
from engines.planner import Budget
from engines.sessions import tensorrt
from engines.sessions.choose import BACKENDS, GPU
from tests.engines.cards import (
    opened,
    replacement,
    steps,
)
from tests.standin import Machine, installed
from tests.tiny_bundle import examples

SMALL = Budget(tokens=256, image_rows=16, audio_seconds=4.0, head_rows=64)


@pytest.fixture
def gpu(cache: Path) -> Iterator[Machine]:
    """A GPU host, of which only TensorRT and CUDA are stood in for."""
    with installed() as machine:
        yield machine


def test_tensorrt_serves_what_verifies(evaluated: Bundle, gpu: Machine):
    ladder = Ladder(evaluated, Wanted("tensorrt", "fp32", 1, gpu=SMALL))
    engine = ladder.open()
    assert (engine.info.engine, engine.info.precision) == ("tensorrt", "fp32")
    assert "0 of" in engine.info.why
    assert engine.memory[0] > 0
    engine.close()


def test_what_is_not_built_is_passed_over_where_nothing_may_be_built(evaluated: Bundle, gpu: Machine):
    wanted = Wanted("tensorrt", "fp32", 1, gpu=SMALL, build=False)
    with pytest.raises(EngineError, match="tidegate engine build tiny"):
        Ladder(evaluated, wanted).open()
    ladder = Ladder(evaluated, replace(wanted, precision="auto"))
    with pytest.raises(EngineError, match="No GPU engine") as caught:
        ladder.open()
    assert caught.value.remedy == "Build what it lacks: tidegate engine build tiny"
    assert {code for _, code in steps(ladder)} == {"not_built"}
    assert gpu.built == []
    Ladder(evaluated, replace(wanted, build=True)).open().close()
    built = len(gpu.built)
    engine = Ladder(evaluated, replace(wanted, precision="auto")).open()
    assert engine.info.precision == "fp32"
    assert "before it tensorrt fp16: A plan is not built" in engine.info.why
    assert len(gpu.built) == built
    engine.close()
    cpu = replace(wanted, precision="fp16", cpu_fallback=True)
    assert opened(Ladder(evaluated, cpu)).info.engine not in GPU


def test_a_plan_that_computes_no_numbers_is_refused(evaluated: Bundle, gpu: Machine):
    gpu.nan = frozenset({"fp32"})
    ladder = Ladder(evaluated, Wanted("tensorrt", "fp32", 1, gpu=SMALL))
    with pytest.raises(EngineError, match="not finite"):
        ladder.open()
    assert steps(ladder) == [("tensorrt fp32", "unverified")]


def test_a_plan_that_is_off_is_refused(evaluated: Bundle, gpu: Machine):
    gpu.noise = {"fp32": 0.5}
    ladder = Ladder(evaluated, Wanted("tensorrt", "fp32", 1, gpu=SMALL))
    with pytest.raises(EngineError, match="golden"):
        ladder.open()
    assert steps(ladder) == [("tensorrt fp32", "failed")]


def test_when_the_device_is_lost_nothing_on_it_is_next(evaluated: Bundle, gpu: Machine):
    ladder = Ladder(evaluated, Wanted("tensorrt", "fp32", 1, gpu=SMALL))
    engine = ladder.open()
    gpu.lose()
    with pytest.raises(EngineError) as caught:
        engine.infer(Batch.of(examples(20)))
    engine.close()
    assert replacement(ladder, engine, caught.value) is None
    assert steps(ladder) == [("tensorrt fp32", "device_lost")]
    assert not caught.value.events


def test_the_processor_takes_over_from_a_lost_device_where_it_may(evaluated: Bundle, gpu: Machine):
    ladder = Ladder(evaluated, Wanted("tensorrt", "fp32", 1, gpu=SMALL, cpu_fallback=True))
    engine = ladder.open()
    gpu.lose()
    engine.close()
    replaced = replacement(ladder, engine, DeviceLost("gone"))
    assert replaced is not None
    assert len(replaced.infer(Batch.of(examples(20))).sentiment) == 20
    assert replaced.info.engine in ("onnxruntime", "openvino")
    replaced.close()


@pytest.mark.parametrize(
    ("node", "hidden", "status", "broken"),
    [
        ("nvidia0", None, "cudaErrorInsufficientDriver", True),
        ("nvidia0", None, "cudaErrorNoDevice", True),
        ("nvidiactl", None, "cudaErrorNoDevice", False),
        ("nvidia0", "", "cudaErrorNoDevice", False),
        ("nvidia0", "-1", "cudaErrorNoDevice", False),
        ("nvidia0", None, None, False),
    ],
)
def test_a_gpu_is_broken_where_the_driver_shows_it_and_cuda_finds_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, node: str, hidden: str | None, status: str | None,
    broken: bool,
):  # fmt: skip
    monkeypatch.setattr(tensorrt, "NODES", tmp_path)
    (tmp_path / node).touch()
    with installed(absent=status):
        if hidden is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        assert tensorrt.BACKEND.broken() is BACKENDS["tensorrt"].broken() is broken


def test_without_tensorrt_a_gpu_is_not_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tensorrt, "NODES", tmp_path)
    (tmp_path / "nvidia0").touch()
    with installed(absent="cudaErrorInsufficientDriver"):
        monkeypatch.setattr(tensorrt.api, "missing", lambda: "the package tensorrt is not installed")
        assert not tensorrt.BACKEND.broken()
