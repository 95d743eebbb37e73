"""Settings from command line, environment, file and defaults, with the place of each value kept."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from service.config import Settings


def load(
    path: Path | None, overrides: Sequence[str] = (), environ: Mapping[str, str] = os.environ
) -> Settings:
    """The settings to run with; raises `Refused` (a `ConfigError`) that lists everything wrong."""
    raise NotImplementedError
