"""One process at a time builds a plan; the others wait, show that they live, and find it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from engines import cuda
from engines.bundle import Bundle
from engines.sessions.base import Terms
from engines.tensorrt.build import built
from engines.tensorrt.locks import locked
from engines.tensorrt.store import PlanStore
from tests.engines.tensorrt.stored import KEY, OTHER, PLAN
from tests.standin import Machine

PROCESSES = multiprocessing.get_context("fork")


def test_a_lock_that_is_a_link_is_not_followed(store: PlanStore, tmp_path: Path, said: list[str]):
    store.put(OTHER, PLAN, {})
    (store.folder / f"{KEY.digest}.lock").symlink_to(tmp_path / "victim")
    with store.building(KEY) as found:
        assert found is None
    assert not (tmp_path / "victim").exists()
    assert "Building without keeping" in said[0]


def _build(folder: Path, log: Any, hold: float) -> None:
    def say(text: str) -> None:
        log.put(("said", text))

    store = PlanStore(folder, say)
    with store.building(KEY) as found:
        if found is None:
            log.put(("building", os.getpid()))
            time.sleep(hold)
            store.put(KEY, PLAN, {"by": os.getpid()})
            log.put(("built", os.getpid()))
        else:
            log.put(("found", found.facts["by"]))


def test_of_processes_one_builds_and_the_others_wait_say_so_and_find_it(store: PlanStore):
    log = PROCESSES.Queue()
    processes = [PROCESSES.Process(target=_build, args=(store.folder, log, 0.5)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    events = [log.get(timeout=60) for _ in range(4)]
    kinds = [kind for kind, _ in events]
    builder = next(own for kind, own in events if kind == "built")
    assert kinds.count("building") == kinds.count("built") == 1
    assert ("found", builder) in events
    (told,) = [text for kind, text in events if kind == "said"]
    assert told.startswith(f"waiting: another process ({builder}) builds the plan of text fp16")
    assert not list(store.folder.glob("*.lock"))


def test_a_builder_that_is_killed_leaves_no_lock_and_no_draft(store: PlanStore):
    log = PROCESSES.Queue()
    process = PROCESSES.Process(target=_build, args=(store.folder, log, 600))
    process.start()
    assert log.get(timeout=60)[0] == "building"
    draft = store.folder / f".{KEY.digest}.plan.1.draft"
    draft.touch()
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(60)
    with store.building(KEY) as found:
        assert found is None
        assert not draft.exists()


def test_threads_exclude_each_other_too(store: PlanStore):
    inside, most = [], []

    def build() -> None:
        with store.building(KEY):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.02)
            inside.pop()

    threads = [threading.Thread(target=build) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert most == [1] * 6


def test_two_plans_are_built_side_by_side(store: PlanStore):
    with store.building(KEY) as one, store.building(OTHER) as other:
        assert one is None
        assert other is None


def test_an_error_while_building_gives_the_right_back(store: PlanStore):
    with pytest.raises(OSError, match="mine"), store.building(KEY):
        raise OSError("mine")
    with store.building(KEY) as found:
        assert found is None


def test_who_waits_shows_again_and_again_that_they_live(store: PlanStore):
    signs, done = [], threading.Event()

    def wait() -> None:
        with store.building(KEY, lambda: signs.append(time.monotonic())):
            done.set()

    with store.building(KEY):
        thread = threading.Thread(target=wait)
        thread.start()
        end = time.monotonic() + 30
        while len(signs) < 3:
            assert time.monotonic() < end
            time.sleep(0.01)
        assert not done.is_set()
    thread.join(60)
    assert done.is_set()


def test_a_wait_can_be_ended_and_leaves_nothing_open(store: PlanStore):
    def stop() -> None:
        raise KeyboardInterrupt

    with store.building(KEY):
        before = len(list(Path("/proc/self/fd").iterdir()))
        with pytest.raises(KeyboardInterrupt), store.building(KEY, stop):
            raise AssertionError
        assert len(list(Path("/proc/self/fd").iterdir())) == before
    with store.building(KEY, stop) as found:
        assert found is None, "nobody holds it: there is nothing to wait for"


def test_a_build_that_waits_for_another_process_says_so_as_its_progress(
    gpu: Machine, bundle: Bundle, store: PlanStore
):
    device, heard = cuda.devices()[0], threading.Event()
    made = built(bundle, "head", "fp32", Terms(), device, PlanStore(store.folder.parent / "other"))

    def tell(what: str, share: float) -> None:
        assert (what, share) == ("head fp32: waiting for another process", 0.0)
        heard.set()
        raise KeyboardInterrupt

    with store.building(made.stored[0].key), pytest.raises(KeyboardInterrupt):
        built(bundle, "head", "fp32", Terms(progress=tell), device, store)
    assert heard.is_set()


def test_who_holds_it_is_told_once_they_had_time_to_say_who_they_are(tmp_path: Path):
    folder, told = os.open(tmp_path, os.O_RDONLY), []

    def stop() -> None:
        if told:
            raise KeyboardInterrupt

    with (
        locked(folder, "x.lock", lambda *_: None),
        pytest.raises(KeyboardInterrupt),
        locked(folder, "x.lock", lambda *who: told.append(who), stop),
    ):
        raise AssertionError
    os.close(folder)
    ((holder, seconds),) = told
    assert holder == os.getpid()
    assert seconds > 0.05, "not at the first look"
