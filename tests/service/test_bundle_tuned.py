"""What `tidegate bundle` says of labels without calibration, of splits, and of rows that tell nothing."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

from engines import calibration
from engines.bundle import Bundle
from service.cli.main import run
from service.errors import Exit
from tests.tiny_bundle import seal


def test_inspect_names_labels_that_are_not_calibrated(tiny, tmp_path, capsys):
    folder = shutil.copytree(tiny, tmp_path / "part")
    fit = replace(Bundle.load(tiny).calibration["fp32"], uncalibrated=("hate", "spam/ads"))
    calibration.dump(folder / "calibration.json", {"fp32": fit})
    seal(folder)
    assert run(["bundle", "inspect", str(folder)]) == Exit.OK
    assert "NOT CALIBRATED at fp32: hate, spam/ads" in capsys.readouterr().out
    assert run(["bundle", "inspect", str(folder), "--json"]) == Exit.OK
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["uncalibrated"] == {"fp32": ["hate", "spam/ads"]}
