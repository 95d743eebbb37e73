"""What tests share: a bundle that loads in no time, and worlds for the real daemon."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness import World


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small bundle; copy it before changing it."""
    from tests.tiny_bundle import build

    return build(tmp_path_factory.mktemp("bundle") / "tiny")


@pytest.fixture(scope="session")
def cluster(broker: Any) -> Iterator[Any]:
    """An independent client of the session's broker."""
    from tests.cluster import Cluster

    found = Cluster(broker.bootstrap)
    yield found
    found.close()


@pytest.fixture
def world(cluster: Any, tiny: Path, tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Makes worlds on the session's broker."""
    made: list[World] = []

    def make(**settings: Any) -> World:
        made.append(World(cluster, tmp_path, tiny, **settings))
        return made[-1]

    yield make
    for each in made:
        each.close()
