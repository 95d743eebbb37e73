"""A tiny bundle with real graphs, built once, with events to judge by; paper GPUs; a cache of our own."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engines import calibration
from engines.bundle import EVALUATION, Bundle
from engines.evaluation import write_evaluation
from engines.sessions.choose import BACKENDS, GPU
from engines.thresholds import Thresholds
from tests.engines.cards import Card
from tests.tiny_bundle import LABELS, build, examples, seal

EVENTS = 420


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


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch, cache: Path) -> dict[str, Card]:
    made = {name: Card(name) for name in GPU}
    for name, card in made.items():
        monkeypatch.setitem(BACKENDS, name, card.backend())
    return made


@pytest.fixture(scope="session")
def with_events(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle with an evaluation set, and thresholds at fp32."""
    folder = Path(shutil.copytree(built, tmp_path_factory.mktemp("judged") / "tiny"))
    blank = np.full((EVENTS, len(LABELS)), -1, np.int8)
    write_evaluation(folder / EVALUATION, examples(EVENTS, 3), blank[:, 0], blank, ("ids",))
    fits = dict(seal(folder).calibration)
    levels = {LABELS.names[0]: Thresholds(review=0.3, block=0.7)}
    calibration.dump(folder / "calibration.json", fits | {"fp32": replace(fits["fp32"], thresholds=levels)})
    seal(folder)
    return folder


@pytest.fixture
def evaluated(with_events: Path) -> Bundle:
    return Bundle.load(with_events)
