"""Files of the recipe that come by name, and what is said where they don't come."""

from __future__ import annotations

import io
import subprocess
import tarfile

import pytest

from engines.errors import EngineError
from engines.training.text import fetched
from engines.training.text.sources import RATED


def packed(path, files):
    """An archive with these files, by name."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def test_what_was_fetched_is_not_fetched_again(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    jar = tmp_path / "model-1.0.jar"
    jar.write_bytes(b"")
    assert fetched.jar("org.example:model:1.0", tmp_path) == jar
    archive = tmp_path / "words-2.0.tar.gz"
    archive.write_bytes(b"")
    assert fetched.source_archive("words", "2.0", tmp_path) == archive


def test_a_missing_maven_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(EngineError, match="mvn") as caught:
        fetched.jar("org.example:model:1.0", tmp_path)
    assert "apt-get install maven" in str(caught.value)


def test_a_package_that_does_not_come_is_named_with_pip_s_reason(tmp_path, monkeypatch):
    def failing(command, **options):
        return subprocess.CompletedProcess(command, 1, "", "No matching distribution")

    monkeypatch.setattr(subprocess, "run", failing)
    with pytest.raises(EngineError) as caught:
        fetched.source_archive("words", "2.0", tmp_path)
    assert caught.value.where == "words 2.0, source archive"
    assert caught.value.why == "No matching distribution"


def test_the_files_of_an_archive_inside_an_archive(tmp_path):
    inner = packed(tmp_path / "inner.tar.gz", {"set/a.txt": b"one", "set/b.txt": b"two"})
    outer = packed(tmp_path / "outer.tar.gz", {"words-2.0/inner.tar.gz": inner.read_bytes()})
    folder = fetched.unpacked(outer, "words-2.0/inner.tar.gz", ["a.txt"])
    assert [path.name for path in folder.iterdir()] == ["a.txt"]
    assert (folder / "a.txt").read_bytes() == b"one"


def test_a_damaged_archive_is_named(tmp_path):
    broken = tmp_path / "words-2.0.tar.gz"
    broken.write_bytes(b"no archive")
    with pytest.raises(EngineError) as caught:
        fetched.unpacked(broken, "inner.tar.gz", ["a.txt"])
    assert str(broken) in caught.value.where


def test_votes_of_raters_become_shares_of_the_three_classes(tmp_path):
    paths = []
    for k in range(0, len(RATED.files), 2):
        texts, ratings = tmp_path / f"{k}.txt", tmp_path / f"{k}-votes.txt"
        texts.write_text("\ufeff1_1\t0.5\tA fine lens.\n", "utf-8")
        ratings.write_text("\ufeff1_1\t0.5\t1.1\t[2, 1, 0, -1]\n", "utf-8")
        paths += [texts, ratings]
    rows = list(RATED.read(paths))
    assert [row.topic for row in rows] == ["tweets", "products", "films", "editorials"]
    assert {(row.text, row.sentiment) for row in rows} == {("A fine lens.", (0.25, 0.25, 0.5))}
