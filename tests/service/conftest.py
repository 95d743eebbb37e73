"""GPU backends that fail when told to."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.sessions.choose import BACKENDS
from service import failover
from tests.graphics import Trouble, backend


@pytest.fixture
def trouble(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Trouble:
    found = Trouble()
    for name in ("tensorrt", "torch"):
        monkeypatch.setitem(BACKENDS, name, backend(name, found))
    monkeypatch.setattr(failover, "PAUSES", (0.01,))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return found
