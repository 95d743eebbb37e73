"""Plans are kept with their facts, listed and pruned; and what cannot be kept is said."""

from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from engines.tensorrt import signed
from engines.tensorrt.store import PlanStore, StoreError, stale_for
from tests.engines.tensorrt.stored import GPU, KEY, OTHER, PLAN, file_of, refuse

PROCESSES = multiprocessing.get_context("fork")


def test_a_plan_comes_back_with_its_facts(store: PlanStore, said: list[str]):
    assert store.get(KEY) is None
    facts = {"seconds": 3.5, "signature": {"inputs": []}, "verified": True}
    assert store.put(KEY, PLAN, facts).plan == PLAN
    found = PlanStore(store.folder).get(KEY)
    assert found is not None
    assert (found.key, found.plan, found.facts) == (KEY, PLAN, facts)
    assert store.get(OTHER) is None
    assert said == []


def test_a_timing_cache_is_no_plan(store: PlanStore):
    store.keep_timings(KEY, b"timings")
    shutil.copy(store.folder / f"{KEY.builder}.timings", file_of(store))
    assert store.get(KEY) is None
    assert store.timings(OTHER) == b"timings"
    assert store.timings(replace(KEY, driver_major=570)) is None
    path = store.folder / f"{KEY.builder}.timings"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert store.timings(KEY) is None


@pytest.mark.parametrize(
    ("code", "remedy"), [(errno.ENOSPC, "Free space"), (errno.EROFS, "Set XDG_CACHE_HOME")]
)
def test_a_full_or_read_only_disk_is_told_and_nothing_half_written_stays(
    store: PlanStore, monkeypatch: pytest.MonkeyPatch, said: list[str], code: int, remedy: str
):
    store.put(KEY, PLAN, {})
    with monkeypatch.context() as patch:
        refuse(patch, "fsync", None, code)
        with pytest.raises(StoreError, match=remedy):
            store.put(KEY, PLAN[::-1], {})
    found = store.get(KEY)
    assert found is not None
    assert found.plan == PLAN
    assert not list(store.folder.glob(".*"))
    assert said == []


def test_in_a_home_that_cannot_be_written_to_plans_are_built_but_not_kept(tmp_path: Path, said: list[str]):
    (tmp_path / "file").touch()
    store = PlanStore(tmp_path / "file/plans", said.append)
    assert store.get(KEY) is None
    with store.building(KEY) as found:
        assert found is None
    assert any("Building without keeping" in line for line in said)
    with pytest.raises(StoreError, match="Plans cannot be kept"):
        store.put(KEY, PLAN, {})
    assert "Plans cannot be kept" in str(store.problem())


def test_facts_can_be_added(store: PlanStore):
    store.put(KEY, PLAN, {"seconds": 1})
    store.note(KEY, {"flipped": 0})
    found = store.get(KEY)
    assert found is not None
    assert found.facts == {"seconds": 1, "flipped": 0}
    store.note(OTHER, {"flipped": 0})
    assert store.get(OTHER) is None
    assert not list(store.folder.glob(f"{OTHER.digest}*"))


def test_facts_are_added_without_writing_the_plan_again(store: PlanStore):
    store.put(KEY, PLAN, {"seconds": 1})
    about = file_of(store).stat()
    store.note(KEY, {"verified": "yes"})
    store.note(KEY, {"bundle": "tiny"})
    assert (file_of(store).stat().st_ino, file_of(store).stat().st_size) == (about.st_ino, about.st_size)
    (notes,) = store.folder.glob("*.notes")
    assert notes.stat().st_mode & 0o777 == 0o600
    (entry,) = store.list()
    assert entry.facts == {"seconds": 1, "verified": "yes", "bundle": "tiny"}
    notes.write_bytes(notes.read_bytes().replace(b"yes", b"sic"))
    (entry,) = store.list()
    assert entry.facts == {"seconds": 1}, "nobody signed that"


def test_facts_that_were_added_hold_for_that_plan_alone_and_go_with_it(store: PlanStore):
    store.put(KEY, PLAN, {})
    store.note(KEY, {"verified": "yes"})
    store.put(KEY, PLAN[::-1], {"seconds": 2})
    found = store.get(KEY)
    assert found is not None
    assert found.facts == {"seconds": 2}
    store.note(KEY, {"verified": "again"})
    store.prune(everything=True)
    assert not list(store.folder.glob(f"{KEY.digest}*"))


def test_the_list_tells_keys_sizes_ages_and_problems(store: PlanStore):
    assert store.list() == ()
    store.put(KEY, PLAN, {"seconds": 1})
    store.put(OTHER, PLAN, {})
    store.keep_timings(KEY, b"timings")
    path = file_of(store, OTHER)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    found = {entry.path.name: entry for entry in store.list()}
    good = found[f"{KEY.digest}.plan"]
    assert (good.key, good.facts, good.problem, good.kind) == (KEY, {"seconds": 1}, "", "plan")
    assert good.bytes > len(PLAN)
    assert 0 <= good.age < 600
    bad = found[f"{OTHER.digest}.plan"]
    assert (bad.key, bad.problem) == (None, signed.REASONS["content"])
    assert f"{KEY.builder}.timings" not in found, "a timing cache is no plan"
    assert path.exists(), "listing moves nothing"
    store.get(OTHER)
    assert [entry.kind for entry in store.list() if entry.problem] == ["refused"]


def test_pruning_takes_what_is_old_stale_or_refused_and_says_so(store: PlanStore):
    keys = [KEY, OTHER, replace(KEY, driver_major=570), replace(KEY, tensorrt="10.6.0")]
    for key in keys:
        store.put(key, PLAN, {})
    assert store.prune() == ()
    stale = store.prune(stale=stale_for("10.15.1", [GPU]))
    assert {entry.key for entry in stale} == set(keys[2:])
    old = time.time() - 3 * 86_400
    os.utime(file_of(store, OTHER), (old, old))
    assert store.prune(keep_days=4) == ()
    assert [entry.key for entry in store.prune(keep_days=2)] == [OTHER]
    file_of(store).write_bytes(b"junk")
    store.get(KEY)
    assert [entry.kind for entry in store.prune()] == ["refused"]
    store.put(KEY, PLAN, {})
    store.keep_timings(KEY, b"timings")
    gone = store.prune(everything=True)
    assert {(entry.key, entry.kind) for entry in gone} == {(KEY, "plan"), (KEY, "timings")}
    assert store.list() == ()
    assert store.timings(KEY) is None


def test_pruning_removes_locks_and_drafts_that_nobody_holds(store: PlanStore):
    store.put(KEY, PLAN, {})
    left = [store.folder / name for name in ("dead.lock", ".dead.plan.1.draft", ".new.plan.1.draft")]
    for path in left:
        path.touch()
    old = time.time() - 2 * 86_400
    os.utime(left[1], (old, old))
    with store.building(OTHER):
        assert store.prune() == ()
        assert (store.folder / f"{OTHER.digest}.lock").exists()
    assert [path.exists() for path in left] == [False, False, True]


def test_a_plan_that_is_used_does_not_grow_old(store: PlanStore):
    store.put(KEY, PLAN, {})
    old = time.time() - 3 * 86_400
    os.utime(file_of(store), (old, old))
    assert store.get(KEY) is not None
    assert store.prune(keep_days=2) == ()


def test_why_there_is_no_plan_is_told(store: PlanStore):
    assert store.why_not(KEY) == "no text plan was built yet"
    store.put(replace(KEY, driver_major=570), PLAN, {})
    store.put(replace(KEY, driver_major=570, precision="bf16"), PLAN, {})
    assert store.why_not(KEY) == "the closest has driver 570 instead of 580"
    store.put(KEY, PLAN, {})
    assert store.why_not(KEY) == "there is one"


def _put(folder: Path, byte: int) -> None:
    store = PlanStore(folder)
    for _ in range(6):
        store.put(KEY, bytes([byte]) * 100_000, {"byte": byte})


def test_readers_of_a_plan_that_is_written_again_get_one_or_the_other(store: PlanStore, said: list[str]):
    processes = [PROCESSES.Process(target=_put, args=(store.folder, byte)) for byte in (1, 2)]
    for process in processes:
        process.start()
    while any(process.is_alive() for process in processes):
        found = store.get(KEY)
        if found is not None:
            assert found.plan == bytes([found.facts["byte"]]) * 100_000
        time.sleep(0.005)
    assert store.get(KEY) is not None
    assert said == []
