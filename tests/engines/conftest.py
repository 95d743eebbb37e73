"""A tiny bundle with real graphs, built once; and a cache of our own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engines.bundle import Bundle
from tests.tiny_bundle import build


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny bundle, calibrated for fp32 and bf16: never write to it."""
    return build(tmp_path_factory.mktemp("bundle") / "tiny", ("fp32", "bf16"))


@pytest.fixture(scope="session")
def bundle(built: Path) -> Bundle:
    """The tiny bundle, loaded."""
    return Bundle.load(built)


@pytest.fixture
def folder(built: Path, tmp_path: Path) -> Path:
    """A copy of the tiny bundle's folder, to spoil."""
    return Path(shutil.copytree(built, tmp_path / "tiny"))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder in the place of the user's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"
