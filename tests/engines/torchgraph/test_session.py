"""Sessions on torch: plain on a processor, padded to buckets in lanes, and what can go wrong."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from engines.bundle import Bundle
from engines.errors import DeviceLost, EngineError, NoDevice, OutOfMemory
from engines.sessions import torch as backend
from engines.sessions.base import Terms

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from engines.engine import FusedEngine  # noqa: E402
from engines.golden import bound  # noqa: E402
from engines.planner import Budget  # noqa: E402
from engines.sessions.choose import EngineChoice  # noqa: E402
from engines.tensorrt.buckets import Bucket, buckets_of  # noqa: E402
from engines.tensorrt.signature import Signature  # noqa: E402
from engines.torchgraph.program import Program  # noqa: E402
from engines.torchgraph.session import LanesSession  # noqa: E402
from tests.engines.torchgraph.inputs import error, inputs_of, reference  # noqa: E402
from tests.engines.torchgraph.plain import PlainLane  # noqa: E402

LOST = "CUDA error: unspecified launch failure"
HOST = Terms(devices=())
ROOT = Path(backend.__file__).parents[2]
no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")


class Wrecked(PlainLane):
    """A lane whose every launch fails."""

    def __init__(self, *given, failure: Exception) -> None:
        super().__init__(*given)
        self.failure = failure

    def prepare(self, bucket: Bucket):
        ready = super().prepare(bucket)

        def launch() -> None:
            self.launched.append(bucket)
            raise self.failure

        ready.launch = launch
        return ready


@pytest.fixture(scope="module")
def edge() -> Bundle:
    return Bundle.load(ROOT / "engines" / "bundles" / "edge")


def lanes(bundle: Bundle, tower: str, count: int = 2, budget: Budget | None = None, **options):
    """A session over plain lanes, the lanes, and the graph."""
    graph = bundle.read(bundle.graph_name(tower))
    signature = Signature.of(graph)
    program = Program(graph)
    made = [PlainLane(program, signature, **options) for _ in range(count)]
    buckets = buckets_of(tower, signature, bundle.preprocess, budget or Budget(tokens=256, head_rows=16))
    return LanesSession(made, signature, buckets, f"{tower} here"), made, graph


@pytest.mark.parametrize("tower", ["text", "image", "audio", "head"])
@pytest.mark.parametrize("rows", [1, 7])
def test_padding_to_a_bucket_changes_no_answer(edge: Bundle, tower: str, rows: int):
    session, made, graph = lanes(edge, tower)
    inputs = inputs_of(Signature.of(graph), rows)
    for _ in range(2):  # the second finds what the first left in the staging
        assert error(session.run(inputs), reference(graph, inputs)) < 1e-4
        short = {name: value[:1] for name, value in inputs.items()}
        assert error(session.run(short), reference(graph, short)) < 1e-4
    assert sum(len(lane.launched) for lane in made) >= 4
    session.close()


def test_a_micro_batch_larger_than_every_bucket_is_cut(edge: Bundle):
    session, made, graph = lanes(edge, "head")
    inputs = inputs_of(Signature.of(graph), 41)
    assert error(session.run(inputs), reference(graph, inputs)) < 1e-4
    assert len([bucket for lane in made for bucket in lane.launched]) >= 3


def test_no_rows_launch_nothing(edge: Bundle):
    session, made, graph = lanes(edge, "head")
    answer = session.run({name: value[:0] for name, value in inputs_of(Signature.of(graph), 1).items()})
    assert answer["sentiment"].shape == (0, 3)
    assert not any(lane.launched for lane in made)


def test_an_input_that_nothing_was_planned_for_is_told(edge: Bundle):
    session, _, _ = lanes(edge, "text")
    long = {"words": np.ones((1, 99_999), np.int32), "chars": np.ones((1, 9), np.int32)}
    with pytest.raises(EngineError, match="nothing is planned for so large an input: words 99999"):
        session.run(long)


def test_threads_share_the_lanes(edge: Bundle):
    session, _, graph = lanes(edge, "head")
    batches = [inputs_of(Signature.of(graph), rows) for rows in (1, 5, 9, 13, 2, 16, 3, 11)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(session.run, batches))
    for inputs, answer in zip(batches, answers, strict=True):
        assert error(answer, reference(graph, inputs)) < 1e-4


def test_buckets_that_do_not_fit_the_memory_are_given_up(edge: Bundle, caplog: pytest.LogCaptureFixture):
    def full(bucket: Bucket) -> None:
        if bucket.rows > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")

    session, made, graph = lanes(edge, "head", fails=full)
    assert [bucket.rows for bucket in session.buckets] == [1]
    inputs = inputs_of(Signature.of(graph), 3)
    assert error(session.run(inputs), reference(graph, inputs)) < 1e-4
    assert sum(len(lane.launched) for lane in made) == 3
    assert "no micro-batches of 16 rows" in caplog.text


def test_where_no_bucket_fits_the_memory_the_session_does_not_open(edge: Bundle):
    def full(bucket: Bucket) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(OutOfMemory, match="head here"):
        lanes(edge, "head", fails=full)


def test_memory_that_is_full_beside_torchs_own_gives_a_bucket_up_too(edge: Bundle):
    def full(bucket: Bucket) -> None:
        if bucket.rows > 1:
            status = "CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"
            raise RuntimeError(f"CUDA error: {status}")

    session, _, _ = lanes(edge, "head", fails=full)
    assert [bucket.rows for bucket in session.buckets] == [1]
    assert session.reduced


def test_a_session_says_what_it_holds_of_each_gpu(edge: Bundle):
    graph = edge.read(edge.graph_name("head"))
    signature, program = Signature.of(graph), Program(graph)
    taken = Counter({0: 7 << 20, 1: 3 << 20})  # what other towers hold
    made = [PlainLane(program, signature, device=device, taken=taken) for device in (0, 0, 1)]
    session = LanesSession(made, signature, [Bucket(1), Bucket(4)], "here")
    assert session.memory == {0: program.bytes + (4 << 20), 1: program.bytes + (2 << 20)}
    assert not session.reduced


def test_on_a_processor_nothing_is_held_of_a_gpu(edge: Bundle):
    session, _, _ = lanes(edge, "head")
    assert session.memory == {}


def test_weights_are_counted_at_the_precision_that_they_are_held_at(edge: Bundle):
    graph = edge.read(edge.graph_name("image"))
    whole, low = (Program(graph, precision, "meta").bytes for precision in ("fp32", "bf16"))
    assert whole > 0.9 * len(graph)
    assert low < 0.7 * whole


def test_a_lost_device_ends_the_session(edge: Bundle):
    graph = edge.read(edge.graph_name("head"))
    signature = Signature.of(graph)
    lane = Wrecked(Program(graph), signature, failure=torch.AcceleratorError(LOST))
    session = LanesSession([lane], signature, [Bucket(1)], "here")
    for _ in range(2):
        with pytest.raises(DeviceLost, match=LOST):
            session.run(inputs_of(signature, 1))
    assert len(lane.launched) == 1, "nothing is tried on a device that is lost"


class Held(PlainLane):
    """A lane whose launches wait until they are let go."""

    def __init__(self, *given) -> None:
        super().__init__(*given)
        self.running, self.go = threading.Event(), threading.Event()
        self.failure: Exception | None = None

    def prepare(self, bucket: Bucket):
        ready = super().prepare(bucket)
        launch = ready.launch

        def held() -> None:
            self.running.set()
            self.go.wait(10)
            if self.failure is not None:
                raise self.failure
            launch()

        ready.launch = held
        return ready


@pytest.mark.parametrize("lost", [False, True])
def test_who_waits_for_a_lane_when_the_session_ends_gets_an_error_of_its_own(edge: Bundle, lost: bool):
    graph = edge.read(edge.graph_name("head"))
    signature = Signature.of(graph)
    lane = Held(Program(graph), signature)
    session = LanesSession([lane], signature, [Bucket(1)], "here")
    inputs = inputs_of(signature, 1)
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(session.run, inputs)
        assert lane.running.wait(10)
        waiting = [pool.submit(session.run, inputs) for _ in range(2)]
        if lost:
            lane.failure = torch.AcceleratorError(LOST)
            lane.go.set()
        else:
            session.close()
            assert not lane.closed, "it is still in use"
        errors = [own.exception(10) for own in waiting]
        lane.go.set()
        assert isinstance(first.exception(10), DeviceLost if lost else type(None))
    assert all(isinstance(own, DeviceLost if lost else EngineError) for own in errors)
    assert errors[0] is not errors[1]
    session.close()
    assert lane.closed


def test_a_lane_that_cannot_be_closed_keeps_no_other_open(edge: Bundle):
    session, made, _ = lanes(edge, "head")

    def lost() -> None:
        raise torch.AcceleratorError(LOST)

    made[0].close = lost
    session.close()
    assert made[1].closed


def test_a_graph_that_fails_does_not_end_the_session(edge: Bundle):
    graph = edge.read(edge.graph_name("head"))
    signature = Signature.of(graph)
    lane = Wrecked(Program(graph), signature, failure=RuntimeError("shape mismatch"))
    session = LanesSession([lane], signature, [Bucket(1)], "here")
    for _ in range(2):
        with pytest.raises(EngineError, match="shape mismatch"):
            session.run(inputs_of(signature, 1))
    assert len(lane.launched) == 2


def test_a_closed_session_runs_nothing_and_has_closed_its_lanes(edge: Bundle):
    session, made, graph = lanes(edge, "head")
    session.close()
    assert all(lane.closed for lane in made)
    with pytest.raises(EngineError, match="closed"):
        session.run(inputs_of(Signature.of(graph), 1))


def test_progress_is_told(edge: Bundle):
    graph = edge.read(edge.graph_name("head"))
    signature, heard = Signature.of(graph), []
    lane = PlainLane(Program(graph), signature)
    LanesSession([lane], signature, [Bucket(1), Bucket(4)], "here", heard.append)
    assert heard == [0.5, 1.0]


@pytest.mark.parametrize("tower", ["text", "image", "audio", "head"])
def test_a_processor_runs_a_tower_where_it_is_asked_to(edge: Bundle, tower: str):
    session = backend.BACKEND.open(edge, tower, "fp32", HOST)
    graph = edge.read(edge.graph_name(tower))
    inputs = inputs_of(Signature.of(graph), 5)
    first = session.run(inputs)
    kept = {name: value.copy() for name, value in first.items()}
    session.run(inputs_of(Signature.of(graph), 5))
    assert error(first, kept) == 0
    assert error(first, reference(graph, inputs)) < 1e-4
    session.close()


def test_the_head_stays_exact_at_lower_precisions(edge: Bundle):
    inputs = inputs_of(Signature.of(edge.read(edge.graph_name("head"))), 5)
    exact, low = (backend.BACKEND.open(edge, "head", each, HOST).run(inputs) for each in ("fp32", "bf16"))
    assert error(low, exact) == 0


@no_gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_the_golden_answers_are_given(edge: Bundle, precision: str):
    choice = EngineChoice("torch", precision)
    engine = FusedEngine(edge, choice, threads=1, devices=(), uncalibrated="warn")
    engine._golden = edge.golden
    wrong = engine.golden_error()
    engine.close()
    assert wrong is not None
    assert wrong < bound(precision)


@pytest.mark.parametrize(
    "wrong", [{"ids": np.zeros((2, 3), np.int32)}, {"words": np.zeros((2, 3, 4), np.int32)}]
)
def test_inputs_that_do_not_belong_are_an_engine_error(edge: Bundle, wrong: dict):
    session = backend.BACKEND.open(edge, "text", "fp32", HOST)
    with pytest.raises(EngineError, match="A graph failed"):
        session.run(wrong)


def test_a_graph_that_is_none_is_an_engine_error(folder: Path):
    from tests.tiny_bundle import seal

    (folder / "text.onnx").write_bytes(b"not a graph")
    with pytest.raises(EngineError):
        backend.BACKEND.open(seal(folder), "text", "fp32", HOST)


def test_a_precision_that_needs_graphs_of_its_own_is_refused(edge: Bundle):
    with pytest.raises(EngineError, match="torch runs fp32, bf16, fp16"):
        backend.BACKEND.open(edge, "text", "fp8", HOST)


@no_gpu
def test_without_a_gpu_it_is_missing_and_says_why(edge: Bundle):
    assert "torch sees no CUDA device" in str(backend.BACKEND.missing())
    assert not backend.BACKEND.on_gpu()
    with pytest.raises(NoDevice, match="torch sees no CUDA device"):
        backend.BACKEND.open(edge, "text", "fp32", Terms())


def test_importing_the_backend_and_asking_for_it_imports_no_torch():
    script = (
        "import sys; import engines.sessions.torch as backend\n"
        "assert 'torch' not in sys.modules\n"
        "import ctypes\n"
        "def none(name): raise OSError(name)\n"
        "ctypes.CDLL = none\n"
        "assert 'no CUDA device' in backend.BACKEND.missing()\n"
        "assert 'torch' not in sys.modules and 'onnx' not in sys.modules"
    )
    told = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr
