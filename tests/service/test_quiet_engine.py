"""The engines' libraries call nobody and leave nothing in the user's folders."""

from __future__ import annotations

import subprocess
import sys

from tests.harness import ROOT, environment


def test_loading_a_model_writes_nothing_outside_our_own_cache(tiny, tmp_path):
    """ONNX Runtime's usage data begins with a session file and a device id: without them there is none."""
    homes = {name: str(tmp_path) for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_DATA_HOME")}
    command = [sys.executable, "-m", "service.cli.main", "score", "--bundle", str(tiny)]
    env = {**environment(homes), "PYTHONDONTWRITEBYTECODE": "1"}
    env.pop("ORT_DISABLE_TELEMETRY", None)
    subprocess.run(command, cwd=ROOT, env=env, input=b'{"text": "hello"}', check=True, capture_output=True)
    assert {path.name for path in tmp_path.iterdir()} <= {"tidegate"}
