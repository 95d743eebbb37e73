"""What `tidegate[gpu]` installs is what the code knows."""

from __future__ import annotations

import tomllib

from engines.tensorrt.api import NEWEST, OLDEST
from tests.standin import ROOT


def test_the_extra_asks_for_the_releases_of_tensorrt_that_are_known():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = f"tensorrt>={'.'.join(map(str, OLDEST))},<{NEWEST + 1}"
    assert wanted in project["optional-dependencies"]["gpu"]
