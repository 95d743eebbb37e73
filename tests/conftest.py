"""What tests share: a bundle that loads in no time, and worlds for the real daemon."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.harness import Daemon, World


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small bundle; copy it before changing it."""
    from tests.tiny_bundle import build

    return build(tmp_path_factory.mktemp("bundle") / "tiny")


@pytest.fixture(scope="session")
def cluster(broker: Any) -> Iterator[Cluster]:
    """An independent client of the session's broker."""
    found = Cluster(broker.bootstrap)
    yield found
    found.close()


@pytest.fixture
def world(cluster: Cluster, tiny: Path, tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Makes worlds on the session's broker."""
    made: list[World] = []

    def make(**settings: Any) -> World:
        made.append(World(cluster, tmp_path, tiny, **settings))
        return made[-1]

    yield make
    for each in made:
        each.close()


SMALL_RECORD, SMALL_LETTER = 400_000, 200_000


@pytest.fixture(scope="session")
def serving(
    cluster: Cluster, tiny: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[World, Daemon]]:
    """One daemon for all tests that only feed it: small limits, no fuse, workers that can be made to fail."""
    limits = {"record_bytes": SMALL_RECORD, "decode_seconds": 2.0, "decode_memory": 256 << 20}
    world = World(
        cluster,
        tmp_path_factory.mktemp("serving"),
        tiny,
        settings={"limits": limits, "deadletter": {"fuse": False}},
        deadletter_configs={"max.message.bytes": str(SMALL_LETTER)},
    )
    with world.daemon(env={"TIDEGATE_FAIL_DECODE": "crash,hang,oom,exit"}) as daemon:
        daemon.wait_ready()
        yield world, daemon
        assert daemon.stop() == 0, daemon.log[-4000:]
    assert world.verdict().problems(duplicates=0) == []
    world.close()
