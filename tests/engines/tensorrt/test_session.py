"""A tower on plans answers as on ONNX Runtime, from any number of threads, within its memory; or says why."""

from __future__ import annotations

import hashlib
import logging
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from engines import cuda
from engines.bundle import GRAPHS, Bundle
from engines.errors import DeviceLost, EngineError, NoDevice
from engines.sessions.base import Arrays, Terms
from engines.tensorrt import api
from engines.tensorrt.buckets import pieces
from engines.tensorrt.build import built
from engines.tensorrt.session import TensorRTSession
from engines.tensorrt.store import PlanStore
from tests.engines.tensorrt.towers import BUDGET, Opener, agree, inputs
from tests.standin import Gpu, Machine
from tests.standin.running import IExecutionContext, _Run
from tests.tiny_bundle import TOKENS, WIDTH


@pytest.mark.parametrize("tower", GRAPHS)
def test_any_number_of_rows_is_answered_as_on_onnx_runtime(opened: Opener, bundle: Bundle, tower: str):
    session = opened(tower)
    for seed, rows in enumerate((1, 7, 2, 64, 3, 5, 64, 1)):  # small after large: nothing of it may be left
        given = inputs(tower, rows, seed)
        agree(bundle, tower, given, session.run(given))


@pytest.mark.parametrize("version", ["10.6.0", "10.15.1", "11.4.0"])
def test_every_release_serves_every_bucket(opened: Opener, gpu: Machine, bundle: Bundle, version: str):
    gpu.tensorrt = version
    session = opened("text")
    for rows, length in ((1, 1), (1, 64), (9, 16), (16, 16), (4, 64), (8, 32)):
        given = {"ids": np.random.default_rng(rows).integers(1, 500, (rows, length), dtype=np.int32)}
        agree(bundle, "text", given, session.run(given))


def test_the_outputs_of_a_micro_batch_are_one_array(opened: Opener):
    answer = opened("head").run(inputs("head", 9))
    first = answer["sentiment"].base
    assert first is not None
    assert all(value.base is first for value in answer.values())


def test_an_answer_is_not_overwritten_by_the_next(opened: Opener):
    session = opened("head")
    first = session.run(inputs("head", 4))["sentiment"]
    kept = first.copy()
    for seed in range(1, 9):
        session.run(inputs("head", 4, seed))
    np.testing.assert_array_equal(first, kept)


def test_no_rows_launch_nothing(opened: Opener, gpu: Machine):
    session = opened("image")
    answer = session.run(inputs("image", 0))
    assert answer["tokens"].shape == (0, TOKENS["image"], WIDTH)
    assert gpu.calls["enqueue"] == gpu.calls["cudaGraphLaunch"] == session.slots == 0


def test_a_graph_is_captured_once_for_a_slot_and_replayed(opened: Opener, gpu: Machine):
    session = opened("image")
    for seed in range(20):
        session.run(inputs("image", 3, seed))
    assert session.slots == 1
    assert gpu.calls["cudaStreamBeginCapture"] == gpu.calls["cudaGraphInstantiate"] == 1
    assert gpu.calls["cudaGraphLaunch"] == 20


def test_without_graphs_every_run_is_launched(opened: Opener, gpu: Machine, bundle: Bundle):
    session = opened("image", graphs=False)
    agree(bundle, "image", inputs("image", 3), session.run(inputs("image", 3)))
    assert gpu.calls["cudaStreamBeginCapture"] == gpu.calls["cudaGraphLaunch"] == 0


def test_where_capturing_fails_it_is_said_once_and_served_without(
    opened: Opener, gpu: Machine, bundle: Bundle, caplog: pytest.LogCaptureFixture
):
    gpu.fail("cudaStreamEndCapture", "cudaErrorStreamCaptureInvalidated")
    session = opened("image")
    with caplog.at_level(logging.WARNING):
        for rows in (1, 3, 16, 2):
            agree(bundle, "image", inputs("image", rows), session.run(inputs("image", rows)))
    assert gpu.calls["cudaStreamBeginCapture"] > 1
    assert [r.message.split(",")[0] for r in caplog.records] == ["served without CUDA graphs"]


def test_a_capture_that_another_thread_spoilt_is_tried_again(
    opened: Opener, gpu: Machine, bundle: Bundle, caplog: pytest.LogCaptureFixture
):
    gpu.fail("cudaStreamEndCapture", "cudaErrorStreamCaptureInvalidated", times=1)
    session = opened("image")
    agree(bundle, "image", inputs("image", 3), session.run(inputs("image", 3)))
    assert gpu.calls["cudaGraphLaunch"] == 1
    assert "without CUDA graphs" not in caplog.text


@pytest.mark.parametrize("tower", GRAPHS)
def test_eight_threads_at_once_get_their_own_answers(opened: Opener, bundle: Bundle, tower: str):
    session = opened(tower)
    work = [inputs(tower, rows, seed) for seed in range(12) for rows in (1, 2, 5, 16)]
    with ThreadPoolExecutor(8) as pool:
        for given, answer in zip(work, pool.map(session.run, work), strict=True):
            agree(bundle, tower, given, answer)


def test_micro_batches_overlap_and_a_bucket_has_no_more_slots_than_lanes(opened: Opener, gpu: Machine):
    gpu.run_seconds = 0.01
    session = opened("image")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(session.run, [inputs("image", 16, seed) for seed in range(24)]))
    assert session.slots == 3
    assert 1 < gpu.most_at_once <= 3


def test_waiting_lets_go_of_the_interpreter(opened: Opener, gpu: Machine):
    session = opened("image")
    session.run(inputs("image", 1))
    gpu.run_seconds = 0.2
    running = threading.Thread(target=session.run, args=(inputs("image", 1),))
    running.start()
    steps = 0
    while running.is_alive():
        steps += 1
    running.join()
    assert steps > 100


def test_shapes_that_are_impossible_are_an_engine_error(
    opened: Opener, gpu: Machine, monkeypatch: pytest.MonkeyPatch
):
    def impossible(self: IExecutionContext) -> list[str]:
        raise RuntimeError("infer_shapes error code: -1")

    monkeypatch.setattr(IExecutionContext, "infer_shapes", impossible)
    with pytest.raises(EngineError, match="infer_shapes error code"):
        opened("image").run(inputs("image", 2))


def test_a_profile_that_cannot_be_set_is_an_engine_error(opened: Opener, gpu: Machine, bundle: Bundle):
    session = opened("text")
    given = {"ids": np.ones((1, 64), np.int32)}
    gpu.fail("enqueue", "cudaErrorInvalidValue", times=1)  # it is what the binding enqueues first
    with pytest.raises(EngineError, match="Error in set optimization profile async"):
        session.run(given)
    agree(bundle, "text", given, session.run(given))


def test_a_plan_is_not_kept_once_it_is_loaded(gpu: Machine, bundle: Bundle, store: PlanStore):
    plans = built(bundle, "image", "fp32", Terms(budget=BUDGET), cuda.devices()[0], store)
    plan = plans.stored[0].plan
    session = TensorRTSession(api.load(), {0: plans}, 0.8, "here")
    del plans
    assert sys.getrefcount(plan) == 2, "this name, and the question"
    assert session.plans == (hashlib.sha256(plan).hexdigest(),)
    session.close()


def test_larger_than_the_largest_bucket_is_cut(opened: Opener, bundle: Bundle):
    session = opened("image")
    given = inputs("image", 3 * BUDGET.image_rows + 5)
    assert len(pieces(session._buckets, len(given["pixels"]), {})) > 3
    agree(bundle, "image", given, session.run(given))


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (
            {"ids": np.zeros((2, 3, 4), np.int32)},
            r"ids is int32 \[2, 3, 4\] instead of int32 \[rows, length\]",
        ),
        ({"ids": np.zeros((2, 3), np.float32)}, "ids is float32"),
        ({"words": np.zeros((2, 3), np.int32)}, "ids is missing"),
        ({"ids": np.ones((2, 4096), np.int32)}, "so large an input: length 4096"),
    ],
)
def test_what_the_graph_does_not_take_is_an_engine_error(opened: Opener, given: Arrays, why: str):
    with pytest.raises(EngineError, match=why):
        opened("text").run(given)


def test_inputs_of_unequal_rows_are_refused(opened: Opener):
    given = inputs("head", 3) | {"presence": np.ones((2, 3), np.float32)}
    with pytest.raises(EngineError, match="as many rows"):
        opened("head").run(given)


def test_several_gpus_take_turns(opened: Opener, gpu: Machine, bundle: Bundle):
    gpu.gpus = [Gpu(), Gpu(uuid=bytes(16))]
    session = opened("image", devices=(0, 1))
    for seed in range(6):
        agree(bundle, "image", inputs("image", 4, seed), session.run(inputs("image", 4, seed)))
    assert len(gpu.built) == 1  # of one model: one plan serves both
    assert set(session.memory) == {0, 1}
    assert session.slots == 2
    assert {piece.device for piece in gpu.pieces.values() if piece.kind == "device"} == {0, 1}


def test_gpus_of_two_models_have_plans_of_their_own(opened: Opener, gpu: Machine, bundle: Bundle):
    gpu.gpus = [Gpu(), Gpu("NVIDIA L4", (8, 9), 24 << 30)]
    session = opened("image", devices=(0, 1))
    assert len(gpu.built) == 2
    for seed in range(4):
        agree(bundle, "image", inputs("image", 4, seed), session.run(inputs("image", 4, seed)))


def test_a_gpu_that_is_not_there_is_refused(opened: Opener):
    with pytest.raises(NoDevice, match="device 3"):
        opened("image", devices=(0, 3))


def test_a_lost_gpu_ends_the_session_for_everybody(opened: Opener, gpu: Machine):
    session = opened("image")
    session.run(inputs("image", 16))
    gpu.run_seconds = 0.02
    gpu.fail("cudaGraphLaunch", "cudaErrorLaunchFailure", after=3)

    def run(seed: int) -> str:
        try:
            session.run(inputs("image", 16, seed))
        except DeviceLost as error:
            gpu.lose()
            return error.what
        return ""

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(run, range(16)))
    assert 8 < sum(map(bool, answers)) < 16
    gpu.failures.clear()
    calls = gpu.calls.copy()
    with pytest.raises(DeviceLost):
        session.run(inputs("image", 16))
    assert gpu.calls == calls  # not even tried


def test_a_lost_gpu_keeps_no_memory_of_the_host(opened: Opener, gpu: Machine):
    session = opened("image")
    session.run(inputs("image", 16))
    assert gpu.held("pinned") > 0
    gpu.lose()
    session.close()
    assert gpu.held("pinned") == 0
    assert not +gpu.live


def test_a_run_that_fails_half_way_is_over_before_its_context_goes(
    opened: Opener, gpu: Machine, monkeypatch: pytest.MonkeyPatch
):
    session = opened("image", graphs=False)
    session.run(inputs("image", 2))
    order: list[str] = []
    compute = _Run._compute

    def computed(run: _Run) -> None:
        compute(run)
        order.append("computed")

    monkeypatch.setattr(_Run, "_compute", computed)
    monkeypatch.setattr(IExecutionContext, "__del__", lambda _: order.append("gone"), raising=False)
    gpu.run_seconds = 0.2
    gpu.fail("cudaEventRecord", "cudaErrorInvalidValue", times=1)
    with pytest.raises(EngineError, match="cudaEventRecord"):
        session.run(inputs("image", 2))
    assert order == ["computed", "gone"]
    assert session.slots == 0


def test_a_gpu_that_falls_off_the_bus_is_lost(opened: Opener, gpu: Machine):
    session = opened("image")
    session.run(inputs("image", 2))
    gpu.lose("cudaErrorECCUncorrectable")
    with pytest.raises(DeviceLost):
        session.run(inputs("image", 2))
    with pytest.raises(DeviceLost):
        session.run(inputs("image", 2))


def test_a_run_that_tensorrt_refuses_says_why(opened: Opener, gpu: Machine, bundle: Bundle):
    session = opened("image", graphs=False)
    session.run(inputs("image", 2))
    gpu.run_error = "Error Code 1: Myelin (no kernel)"
    with pytest.raises(EngineError, match="no kernel"):
        session.run(inputs("image", 2))
    gpu.run_error = None
    agree(bundle, "image", inputs("image", 2), session.run(inputs("image", 2)))


def test_a_closed_session_runs_no_more(opened: Opener):
    session = opened("image")
    session.run(inputs("image", 2))
    session.close()
    with pytest.raises(EngineError, match="closed"):
        session.run(inputs("image", 2))


def test_nothing_leaks_over_a_thousand_micro_batches(opened: Opener, gpu: Machine):
    session = opened("text")
    random = np.random.default_rng(0)
    shapes = [(int(random.integers(1, 33)), int(random.integers(1, 65))) for _ in range(40)]
    work = [{"ids": np.ones(shape, np.int32)} for shape in shapes]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(25):
            list(pool.map(session.run, work))
    slots = session.slots
    assert 0 < slots <= 3 * len(session._buckets)
    assert +gpu.live == {"engines": 1, "streams": slots, "events": slots, "graphs": slots}
    assert gpu.calls["cudaStreamBeginCapture"] == slots
    assert session.memory == {0: gpu.held()}
