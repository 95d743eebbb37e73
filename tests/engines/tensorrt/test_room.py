"""Towers share a GPU's memory: what nobody uses makes room, whosever it is, before micro-batches shrink."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from engines.bundle import GRAPHS, Bundle
from engines.errors import OutOfMemory
from engines.tensorrt.loaded import Loaded
from engines.tensorrt.pool import MOST, ROOMS, Room
from engines.tensorrt.session import TensorRTSession
from engines.tensorrt.slots import Slot
from tests.engines.tensorrt.towers import Opener, agree, inputs
from tests.standin import Machine


def full(gpu: Machine, share: float = 0.8, more: int = 0) -> None:
    """What is held, and so many bytes more, is the share of the GPU that may be filled."""
    gpu.gpus[0].memory = int((gpu.held() + more) / share) + 1


def test_whatever_may_wait_for_the_gpu_is_done_one_at_a_time(
    opened: Opener, gpu: Machine, monkeypatch: pytest.MonkeyPatch
):
    """While another thread captures a graph, nothing is loaded, made or given back."""
    doing, most = [0], [0]

    def watched(kind: type, name: str) -> None:
        own = getattr(kind, name)

        def call(*given: object) -> object:
            doing[0] += 1
            most[0] = max(most[0], doing[0])
            time.sleep(0.02)
            doing[0] -= 1
            return own(*given)

        monkeypatch.setattr(kind, name, call)

    monkeypatch.setitem(ROOMS, 0, Room(3))
    for kind, name in ((Loaded, "_load"), (Loaded, "context"), (Loaded, "_forget"), (Slot, "close")):
        watched(kind, name)

    def serve(tower: str) -> TensorRTSession:
        session = opened(tower)
        for rows in (1, 4, 16):
            session.run(inputs(tower, rows))
        session.close()
        return session

    with ThreadPoolExecutor(4) as pool:
        sessions = list(pool.map(serve, GRAPHS))
    assert most == [1]
    assert not any(session.slots for session in sessions)


def test_what_another_tower_does_not_use_goes_before_micro_batches_shrink(
    opened: Opener, gpu: Machine, bundle: Bundle
):
    audio, image = opened("audio"), opened("image")
    for rows in (1, 4):
        audio.run(inputs("audio", rows))
    idle = audio.slots
    full(gpu)
    agree(bundle, "image", inputs("image", 16), image.run(inputs("image", 16)))
    assert 0 <= audio.slots < idle
    assert max(bucket.rows for bucket in image._buckets) == 16
    assert not image.reduced
    agree(bundle, "audio", inputs("audio", 4), audio.run(inputs("audio", 4)))
    assert not audio.reduced


def test_what_another_tower_uses_is_waited_for_before_micro_batches_shrink(
    opened: Opener, gpu: Machine, bundle: Bundle
):
    audio, image = opened("audio"), opened("image")
    audio.run(inputs("audio", 4))
    full(gpu)
    gpu.run_seconds = 0.3
    running = threading.Thread(target=audio.run, args=(inputs("audio", 4),))
    running.start()
    time.sleep(0.1)
    agree(bundle, "image", inputs("image", 16), image.run(inputs("image", 16)))
    running.join()
    assert not image.reduced


def test_a_second_slot_takes_nothing_from_other_towers(opened: Opener, gpu: Machine):
    audio, image = opened("audio"), opened("image")
    audio.run(inputs("audio", 4))
    image.run(inputs("image", 4))
    full(gpu)
    gpu.run_seconds = 0.05
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(image.run, [inputs("image", 4, seed) for seed in range(4)]))
    assert (audio.slots, image.slots) == (1, 1)


def test_towers_that_all_need_more_than_there_is_are_all_served(opened: Opener, gpu: Machine, bundle: Bundle):
    sessions = {tower: opened(tower) for tower in ("text", "image", "audio")}
    sessions["image"].run(inputs("image", 16))
    full(gpu, more=3 << 20)  # a sound takes two thirds of that
    gpu.run_seconds = 0.002
    sizes = [(tower, rows, seed) for seed in range(4) for tower in sessions for rows in (1, 4, 16)]
    work = [(tower, inputs(tower, rows, seed)) for tower, rows, seed in sizes]

    def run(own: tuple[str, dict[str, object]]) -> object:
        return sessions[own[0]].run(own[1])  # type: ignore[arg-type]

    with ThreadPoolExecutor(9) as pool:
        for (tower, given), answer in zip(work, pool.map(run, work), strict=True):
            agree(bundle, tower, given, answer)  # type: ignore[arg-type]
    assert gpu.held() <= 0.8 * gpu.gpus[0].memory


def test_weights_that_would_pass_the_share_are_not_loaded(opened: Opener, gpu: Machine):
    opened("image")
    held = gpu.held()
    full(gpu)
    with pytest.raises(OutOfMemory, match="would pass 80%"):
        opened("audio")
    assert gpu.held() == held
    assert gpu.live["engines"] == 1


def test_where_slots_are_many_those_of_other_towers_make_room(
    opened: Opener, gpu: Machine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(ROOMS, 0, Room(2))
    audio, image = opened("audio"), opened("image")
    audio.run(inputs("audio", 1))
    for rows in (1, 16):
        image.run(inputs("image", rows))
    assert (audio.slots, image.slots) == (0, 2)


def test_memory_is_what_is_held(opened: Opener, gpu: Machine):
    session = opened("image")
    for rows in (1, 16):
        session.run(inputs("image", rows))
        assert session.memory == {0: gpu.held()}


def test_memory_stays_within_its_share(opened: Opener, gpu: Machine, bundle: Bundle):
    session = opened("image", gpu_memory=0.5)
    session.run(inputs("image", 1))
    gpu.gpus[0].memory = int(gpu.held() * 2.6)  # room for little more than there is
    gpu.run_seconds = 0.005
    work = [inputs("image", rows, seed) for seed in range(8) for rows in (1, 4)]
    with ThreadPoolExecutor(4) as pool:
        for given, answer in zip(work, pool.map(session.run, work), strict=True):
            agree(bundle, "image", given, answer)
    assert gpu.held() <= gpu.gpus[0].memory / 2


def test_slots_of_seldom_buckets_make_room(
    opened: Opener, gpu: Machine, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(ROOMS, 0, Room(2))
    session = opened("text")
    for seed in range(30):
        given = inputs("text", 1 + seed % 8, seed)
        agree(bundle, "text", given, session.run(given))
    assert session.slots == 2


def test_every_tower_gets_a_slot_however_many_others_have(monkeypatch: pytest.MonkeyPatch):
    room = Room()
    assert all(room.take(k) for k in range(MOST))
    assert not room.take(5)
    assert room.take(0)


def test_out_of_memory_halves_the_batch(
    opened: Opener, gpu: Machine, bundle: Bundle, caplog: pytest.LogCaptureFixture
):
    session = opened("image")
    given = inputs("image", 16)
    gpu.fail("cudaMalloc", "cudaErrorMemoryAllocation", times=1)
    agree(bundle, "image", given, session.run(given))
    assert max(bucket.rows for bucket in session._buckets) <= 8
    for seed in range(3):
        session.run(inputs("image", 16, seed))
    assert caplog.text.count("smaller micro-batches") == 1, "said once"
    assert session.reduced


def test_out_of_memory_gives_slots_back_first(opened: Opener, gpu: Machine, bundle: Bundle):
    session = opened("image")
    session.run(inputs("image", 1))
    gpu.fail("cudaMalloc", "cudaErrorMemoryAllocation", times=1)
    agree(bundle, "image", inputs("image", 16), session.run(inputs("image", 16)))
    assert session.slots == 1
    assert max(bucket.rows for bucket in session._buckets) == 16


def test_out_of_memory_to_the_end_is_raised(opened: Opener, gpu: Machine):
    session = opened("image")
    gpu.fail("cudaMalloc", "cudaErrorMemoryAllocation")
    with pytest.raises(OutOfMemory) as caught:
        session.run(inputs("image", 16))
    assert "engine.gpu_memory" in caught.value.remedy
    gpu.failures.clear()
    session.run(inputs("image", 16))  # memory came back: it serves again


def test_memory_that_runs_out_again_halves_again(opened: Opener, gpu: Machine, bundle: Bundle):
    session = opened("image")
    session.run(inputs("image", 1))
    full(gpu, more=128)
    agree(bundle, "image", inputs("image", 16), session.run(inputs("image", 16)))
    assert {bucket.rows for bucket in session._buckets} == {1}
