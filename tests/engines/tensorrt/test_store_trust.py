"""A plan is code: what its owner did not sign is never handed out."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from engines.tensorrt import signed
from engines.tensorrt.store import PlanStore, StoreError
from tests.engines.tensorrt.stored import KEY, OTHER, PLAN, aside, file_of, refuse


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
