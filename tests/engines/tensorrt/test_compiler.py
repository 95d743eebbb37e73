"""The builder keeps within its share of the GPU, and for want of memory it is said, whatever it ends with."""

from __future__ import annotations

import pytest

from engines import cuda
from engines.bundle import Bundle
from engines.errors import EngineError, OutOfMemory
from engines.sessions.base import Terms
from engines.tensorrt.build import Plans, built
from engines.tensorrt.store import PlanStore
from tests.engines.tensorrt.towers import BUDGET
from tests.standin import Gpu, Machine
from tests.standin.tensorrt import IBuilderConfig, IOptimizationProfile


def plans(bundle: Bundle, store: PlanStore, share: float = 0.8) -> Plans:
    terms = Terms(budget=BUDGET, gpu_memory=share)
    return built(bundle, "image", "fp32", terms, cuda.devices()[0], store, fresh=True)


def test_kernels_are_tried_within_the_share_of_the_memory(
    gpu: Machine, bundle: Bundle, store: PlanStore, monkeypatch: pytest.MonkeyPatch
):
    gpu.gpus = [Gpu(memory=16 << 30)]
    for share in (0.5, 0.25):
        plans(bundle, store, share)
    own = 3 << 30  # of a device that shares its memory with the host
    monkeypatch.setattr(IBuilderConfig, "get_memory_pool_limit", lambda self, pool: own)
    plans(bundle, store)
    assert [each.tactics for each in gpu.built] == [8 << 30, 4 << 30, own]


def test_kernels_that_were_left_out_for_want_of_memory_are_the_reason(
    gpu: Machine, bundle: Bundle, store: PlanStore, caplog: pytest.LogCaptureFixture
):
    gpu.gpus, gpu.tactic_bytes = [Gpu(memory=16 << 30)], 9 << 30
    with pytest.raises(OutOfMemory, match=r"request: 9216MB Available: 8192MB.*any implementation") as caught:
        plans(bundle, store, 0.5)
    assert "raise engine.gpu_memory" in caught.value.remedy
    assert "at most half the size" in caplog.text
    plans(bundle, store, 0.6)


def test_shapes_that_the_bindings_refuse_are_an_engine_error(
    gpu: Machine, bundle: Bundle, store: PlanStore, monkeypatch: pytest.MonkeyPatch
):
    def refused(*given: object) -> None:
        raise RuntimeError("Shape provided for min is inconsistent with other shapes.")

    monkeypatch.setattr(IOptimizationProfile, "set_shape", refused)
    with pytest.raises(EngineError, match=r"cannot be planned for.*Shape provided for min"):
        plans(bundle, store)
