"""What `tidegate bundle` says of labels without calibration, of splits, and of rows that tell nothing."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from engines import calibration
from engines.bundle import Bundle
from service.cli.main import run
from service.errors import Exit
from tests.labelled import texts, write
from tests.tiny_bundle import seal


def test_inspect_names_labels_that_are_not_calibrated(tiny, tmp_path, capsys):
    folder = shutil.copytree(tiny, tmp_path / "part")
    fit = replace(Bundle.load(tiny).calibration["fp32"], uncalibrated=("hate", "spam/ads"))
    calibration.dump(folder / "calibration.json", {"fp32": fit})
    seal(folder)
    assert run(["bundle", "inspect", str(folder)]) == Exit.OK
    told = capsys.readouterr().out
    assert "NOT CALIBRATED at fp32: hate, spam/ads" in told
    assert "last fit's engine" in told, "labels that it left alone may be of an earlier one"
    assert run(["bundle", "inspect", str(folder), "--json"]) == Exit.OK
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["uncalibrated"] == {"fp32": ["hate", "spam/ads"]}


@pytest.mark.parametrize("verb", ["evaluate", "calibrate"])
def test_rows_that_say_they_are_for_training_are_not_taken_for_held_out(verb, tiny, tmp_path, capsys):
    path = write(tmp_path / "rows.jsonl", [{**row, "split": "train"} for row in texts(60)])
    out = [str(tmp_path / "out")] if verb == "calibrate" else []
    assert run(["bundle", verb, str(tiny), str(path), *out]) == Exit.DATA
    told = capsys.readouterr().err
    count = len(path.read_text().splitlines())
    assert f"{count} in train, 0 in calibrate, 0 in test, 0 in ood" in told
    assert "--split" in told
    assert "taken from" not in told


def test_all_rows_are_measured_on_without_a_note(tiny, tmp_path, capsys):
    path = write(tmp_path / "rows.jsonl", [{**row, "split": "train"} for row in texts(60)])
    assert run(["bundle", "evaluate", str(tiny), str(path), "--split", "all", "--json"]) == Exit.OK
    told = capsys.readouterr()
    assert "note:" not in told.err
    assert json.loads(told.out)["splits"]["test"]["whole"]["events"] == len(path.read_text().splitlines())


def test_calibrate_tells_of_labels_that_it_left_alone(tiny, tmp_path, capsys):
    path = write(tmp_path / "rows.jsonl", texts(400))
    verb = ["bundle", "calibrate", str(tiny), str(path), str(tmp_path / "out"), "--split", "all"]
    assert run([*verb, "--precision", "fp32"]) == Exit.OK
    told = capsys.readouterr()
    assert "note: hate: no event is annotated; its calibration stays as it was" in told.err
    assert "nan" not in told.out
    (row,) = [line for line in told.out.splitlines() if line.startswith("hate")]
    assert row.split() == ["hate", "–"]
