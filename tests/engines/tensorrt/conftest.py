"""A GPU host for every test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.bundle import Bundle
from engines.tensorrt.store import PlanStore
from tests.engines.tensorrt.towers import Opener, opening
from tests.standin import Machine, installed


@pytest.fixture
def gpu() -> Iterator[Machine]:
    """The stand-in's machine, one GPU as good as new; at the end nothing may have been misused."""
    with installed() as machine:
        yield machine
        assert machine.faults == []


@pytest.fixture
def said() -> list[str]:
    """What `store` told a person."""
    return []


@pytest.fixture
def store(tmp_path: Path, said: list[str]) -> PlanStore:
    """Plans in a folder that is not there yet."""
    return PlanStore(tmp_path / "cache/plans", said.append)


@pytest.fixture
def opened(gpu: Machine, bundle: Bundle, store: PlanStore) -> Iterator[Opener]:
    """Opens towers; at the end each gives everything back."""
    with opening(gpu, bundle, store) as open_:
        yield open_
