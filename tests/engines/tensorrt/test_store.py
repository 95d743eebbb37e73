"""A plan is code: what its owner did not sign is never handed out, and what can't be kept is said."""

from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engines.device import Device
from engines.tensorrt import signed
from engines.tensorrt.buckets import Bucket
from engines.tensorrt.key import PlanKey
from engines.tensorrt.profiles import Profile
from engines.tensorrt.store import PlanStore, StoreError, stale_for

GPU = Device("NVIDIA H200", (9, 0), 580, 1)
ONE = Bucket(1, (("length", 16),))
KEY = PlanKey.of(b"graph", "text", "fp16", "10.15.1", GPU, {"level": 3}, [Profile(ONE, ONE, ONE)])
OTHER = replace(KEY, tower="image")
PLAN = bytes(range(256)) * 8
PROCESSES = multiprocessing.get_context("fork")


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def store(tmp_path: Path, said: list[str]) -> PlanStore:
    return PlanStore(tmp_path / "cache/plans", said.append)


def file_of(store: PlanStore, key: PlanKey = KEY) -> Path:
    return store.folder / f"{key.digest}.plan"


def aside(store: PlanStore) -> list[str]:
    return [path.name.split(".")[1] for path in store.folder.glob("*.refused")]


def test_a_plan_comes_back_with_its_facts(store: PlanStore, said: list[str]):
    assert store.get(KEY) is None
    facts = {"seconds": 3.5, "signature": {"inputs": []}, "verified": True}
    assert store.put(KEY, PLAN, facts).plan == PLAN
    found = PlanStore(store.folder).get(KEY)
    assert found is not None
    assert (found.key, found.plan, found.facts) == (KEY, PLAN, facts)
    assert store.get(OTHER) is None
    assert said == []


def test_only_the_owner_has_rights_whatever_the_umask(store: PlanStore):
    before = os.umask(0)
    try:
        store.put(KEY, PLAN, {})
    finally:
        os.umask(before)
    assert store.folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in store.folder.iterdir()} == {0o600}
    assert {path.suffix for path in store.folder.iterdir()} == {".plan", ""}


def test_no_altered_byte_is_handed_out(store: PlanStore, said: list[str]):
    store.put(KEY, PLAN, {"seconds": 1})
    path = file_of(store)
    whole = path.read_bytes()
    head = len(whole) - len(PLAN)
    for at in (*range(60), *range(60, head, 7), head - 1, head, head + 1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
        assert store.get(KEY) is None, at
        assert not path.exists()
    assert set(aside(store)) == {"format", "secret", "truncated", "signature", "content"}
    assert all("is not used, and is built anew" in line for line in said)
    path.write_bytes(whole)
    assert store.get(KEY) is not None


def test_a_truncated_or_longer_file_is_refused(store: PlanStore):
    store.put(KEY, PLAN, {})
    path = file_of(store)
    whole = path.read_bytes()
    for wrong in (b"", whole[:7], whole[:51], whole[:60], whole[: -len(PLAN)], whole[:-1], whole + b"x"):
        path.write_bytes(wrong)
        assert store.get(KEY) is None, len(wrong)
    assert set(aside(store)) == {"truncated"}


def test_a_header_that_claims_to_be_huge_is_not_read(store: PlanStore):
    store.put(KEY, PLAN, {})
    whole = file_of(store).read_bytes()
    file_of(store).write_bytes(whole[:16] + b"\xff\xff\xff\xff" + whole[20:])
    assert store.get(KEY) is None
    assert aside(store) == ["format"]


def test_two_plans_that_were_swapped_are_refused(store: PlanStore):
    store.put(KEY, PLAN, {})
    store.put(OTHER, PLAN[::-1], {})
    one, two = file_of(store), file_of(store, OTHER)
    first = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(first)
    assert store.get(KEY) is None
    assert store.get(OTHER) is None
    assert aside(store) == ["key", "key"]


def test_metadata_that_was_swapped_is_refused(store: PlanStore):
    store.put(KEY, PLAN, {"verified": False})
    before = file_of(store).read_bytes()
    store.put(KEY, PLAN[::-1], {"verified": True})
    after = file_of(store).read_bytes()
    cut = len(PLAN)
    file_of(store).write_bytes(after[:-cut] + before[-cut:])
    assert store.get(KEY) is None
    assert aside(store) == ["content"]


def test_a_timing_cache_is_no_plan(store: PlanStore):
    store.keep_timings(KEY, b"timings")
    shutil.copy(store.folder / f"{KEY.builder}.timings", file_of(store))
    assert store.get(KEY) is None
    assert store.timings(OTHER) == b"timings"
    assert store.timings(replace(KEY, driver_major=570)) is None
    path = store.folder / f"{KEY.builder}.timings"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert store.timings(KEY) is None


def test_a_lost_or_changed_secret_means_new_plans(store: PlanStore):
    store.put(KEY, PLAN, {})
    (store.folder / "secret").unlink()
    assert [entry.problem for entry in store.list()] == [signed.REASONS["secret"]]
    assert store.get(KEY) is None
    store.put(KEY, PLAN, {})
    (store.folder / "secret").write_bytes(os.urandom(32))
    assert store.get(KEY) is None
    store.put(KEY, PLAN, {})
    assert store.get(KEY) is not None
    assert aside(store) == ["secret", "secret"]


@pytest.mark.parametrize("content", [b"", b"\0" * 31, b"\0" * 33])
def test_a_secret_of_another_length_signs_nothing(store: PlanStore, content: bytes):
    store.put(KEY, PLAN, {})
    (store.folder / "secret").write_bytes(content)
    assert store.get(KEY) is None
    store.put(KEY, PLAN, {})
    assert (store.folder / "secret").read_bytes() != content


def test_what_an_empty_secret_signed_is_refused(store: PlanStore):
    store.put(OTHER, PLAN, {})
    (store.folder / "secret").unlink()
    fd = os.open(store.folder, os.O_RDONLY)
    signed.write(fd, f"{KEY.digest}.plan", b"", {"key": KEY.to_dict(), "facts": {}, "written": 0}, PLAN)
    os.close(fd)
    assert store.get(KEY) is None


def test_a_secret_that_others_could_read_is_replaced(store: PlanStore):
    store.put(KEY, PLAN, {})
    secret = store.folder / "secret"
    known = secret.read_bytes()
    secret.chmod(0o644)
    assert store.get(KEY) is None
    store.put(KEY, PLAN, {})
    assert store.get(KEY) is not None
    assert secret.read_bytes() != known
    assert secret.stat().st_mode & 0o777 == 0o600


def test_an_unreadable_secret_is_an_error_with_a_remedy(store: PlanStore, monkeypatch: pytest.MonkeyPatch):
    store.put(KEY, PLAN, {})
    refuse(monkeypatch, "open", "secret", errno.EACCES)
    for use in (lambda: store.get(KEY), lambda: store.put(KEY, PLAN, {}), store.list):
        with pytest.raises(StoreError, match=r"Permission denied.*Remove it"):
            use()
    assert "Permission denied" in str(store.problem())


def test_a_secret_that_is_a_link_or_a_folder_is_an_error(store: PlanStore, tmp_path: Path):
    store.put(KEY, PLAN, {})
    secret = store.folder / "secret"
    secret.rename(tmp_path / "mine")
    secret.symlink_to(tmp_path / "mine")
    with pytest.raises(StoreError, match="it is a link"):
        store.get(KEY)
    secret.unlink()
    secret.mkdir()
    with pytest.raises(StoreError, match="no plain file"):
        store.put(KEY, PLAN, {})


def test_a_plan_that_is_a_link_a_folder_or_a_pipe_is_refused(store: PlanStore, tmp_path: Path):
    store.put(KEY, PLAN, {})
    path = file_of(store)
    path.rename(tmp_path / "mine")
    path.symlink_to(tmp_path / "mine")
    assert store.get(KEY) is None
    path.mkdir()
    assert store.get(KEY) is None
    os.mkfifo(path)
    assert store.get(KEY) is None
    assert aside(store) == ["link"] * 3
    assert (tmp_path / "mine").stat().st_size > len(PLAN)


def test_writing_does_not_follow_a_link(store: PlanStore, tmp_path: Path):
    store.put(OTHER, PLAN, {})
    (tmp_path / "victim").write_bytes(b"precious")
    file_of(store).symlink_to(tmp_path / "victim")
    store.put(KEY, PLAN, {})
    assert (tmp_path / "victim").read_bytes() == b"precious"
    assert not file_of(store).is_symlink()


def test_a_lock_that_is_a_link_is_not_followed(store: PlanStore, tmp_path: Path, said: list[str]):
    store.put(OTHER, PLAN, {})
    (store.folder / f"{KEY.digest}.lock").symlink_to(tmp_path / "victim")
    with store.building(KEY) as found:
        assert found is None
    assert not (tmp_path / "victim").exists()
    assert "Building without keeping" in said[0]


def test_a_folder_that_is_a_link_or_a_file_is_an_error(store: PlanStore, tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    store.folder.parent.mkdir(parents=True)
    for make in (lambda: store.folder.symlink_to(tmp_path / "elsewhere"), store.folder.touch):
        make()
        for use in (lambda: store.get(KEY), lambda: store.put(KEY, PLAN, {}), store.list, store.prune):
            with pytest.raises(StoreError, match="a link, or no folder"):
                use()
        with pytest.raises(StoreError), store.building(KEY):
            raise AssertionError
        assert "a link, or no folder" in str(store.problem())
        store.folder.unlink()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_folder_of_another_user_is_an_error(store: PlanStore, monkeypatch: pytest.MonkeyPatch):
    store.put(KEY, PLAN, {})
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    with pytest.raises(StoreError, match=r"belongs to user.*and this is user 4321"):
        store.get(KEY)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_plan_of_another_user_is_refused(store: PlanStore):
    store.put(KEY, PLAN, {})
    os.chown(file_of(store), 4321, 4321)
    assert store.get(KEY) is None
    assert aside(store) == ["owner"]


def test_rights_of_others_to_the_folder_are_taken_away(store: PlanStore, said: list[str]):
    store.put(KEY, PLAN, {})
    store.folder.chmod(0o777)
    assert store.get(KEY) is not None
    assert store.folder.stat().st_mode & 0o777 == 0o700
    assert said == [f"others had rights to {store.folder}: they are taken away"]


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


def refuse(patch: pytest.MonkeyPatch, name: str, path: str | None, code: int) -> None:
    """Let a call of the system fail, for one path or for all."""
    real: Callable[..., Any] = getattr(os, name)

    def call(first: Any, *rest: Any, **named: Any) -> Any:
        if path is None or str(first) == path:
            raise OSError(code, os.strerror(code))
        return real(first, *rest, **named)

    patch.setattr(os, name, call)
