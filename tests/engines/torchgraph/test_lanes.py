"""Lanes on a GPU as far as a stand-in for torch.cuda can show them."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

import engines
from engines.bundle import Bundle

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from engines.tensorrt.buckets import Bucket  # noqa: E402
from engines.tensorrt.signature import Signature  # noqa: E402
from engines.torchgraph.cuda import CudaLane  # noqa: E402
from engines.torchgraph.program import Program  # noqa: E402

RESERVED = {0: 5 << 20, 1: 7 << 20}


class Event:
    """Says whether who waits for it sleeps."""

    made: list[Event] = []  # noqa: RUF012 (of the test that is running)

    def __init__(self, blocking: bool = False) -> None:
        self.blocking, self.waited = blocking, 0
        self.made.append(self)

    def record(self) -> None:
        assert not self.waited

    def synchronize(self) -> None:
        self.waited += 1


@pytest.fixture
def lane(monkeypatch: pytest.MonkeyPatch) -> CudaLane:
    """A lane on GPU 1: what is captured there is computed at once."""

    def entered(*given: object, **more: object) -> nullcontext[None]:
        return nullcontext()

    for name in ("device", "stream", "graph"):
        monkeypatch.setattr(torch.cuda, name, entered)
    monkeypatch.setattr(torch.cuda, "Stream", lambda: SimpleNamespace(synchronize=lambda: None))
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: SimpleNamespace(replay=lambda: None))
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", object)
    monkeypatch.setattr(torch.cuda, "memory_reserved", RESERVED.get)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self)
    Event.made.clear()
    found = Bundle.load(Path(engines.__file__).parent / "bundles" / "edge")
    graph = found.read(found.graph_name("head"))
    return CudaLane(Program(graph), Signature.of(graph), 1)


def test_a_thread_that_waits_for_a_gpu_sleeps(lane: CudaLane):
    lane.prepare(Bucket(4)).launch()
    assert [(event.blocking, event.waited) for event in Event.made] == [(True, 1)]


def test_a_lane_says_what_is_held_on_its_gpu(lane: CudaLane):
    assert (lane.device, lane.held()) == (1, 7 << 20)
    assert lane.weights > 0
