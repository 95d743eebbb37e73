"""A GPU host for every test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.standin import Machine, installed


@pytest.fixture
def gpu() -> Iterator[Machine]:
    """The stand-in's machine, one GPU as good as new; at the end nothing may have been misused."""
    with installed() as machine:
        yield machine
        assert machine.faults == []
