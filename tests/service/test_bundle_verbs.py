"""`tidegate bundle`: what each verb prints, and what it refuses."""

from __future__ import annotations

import json

import pytest

from service.cli.main import run
from service.errors import Exit


def test_inspect_says_what_the_starter_is(capsys):
    assert run(["bundle", "inspect", "starter"]) == Exit.OK
    shown = capsys.readouterr().out
    assert "SYNTHETIC" in shown
    assert "hate" in shown


def test_inspect_as_json_is_one_line_with_the_digest(capsys):
    assert run(["bundle", "inspect", "starter", "--json"]) == Exit.OK
    (line,) = capsys.readouterr().out.splitlines()
    assert len(json.loads(line)["manifest"]["digest"]) == 64


def test_inspect_of_no_bundle_is_a_configuration_error(tmp_path, capsys):
    assert run(["bundle", "inspect", str(tmp_path)]) == Exit.CONFIG
    assert "no bundle" in capsys.readouterr().err


def test_a_folder_that_exists_is_not_written_over(tmp_path, capsys):
    assert run(["bundle", "synth", "--size", "tiny", "--out", str(tmp_path)]) == Exit.CONFIG
    assert "exists already" in capsys.readouterr().err


@pytest.fixture(scope="module")
def events(tmp_path_factory):
    """A small data set, as `synth` writes it."""
    from engines.training import synth

    folder = tmp_path_factory.mktemp("made") / "data"
    synth.generate(3, synth.Sizes(texts=3_000, images=500, sounds=120, events=700, crossed=300)).save(folder)
    return folder


def test_evaluate_measures_a_bundle_on_labelled_events(events, capsys):
    assert run(["bundle", "evaluate", "starter", "--data", str(events), "--json"]) == Exit.OK
    measured = json.loads(capsys.readouterr().out)["splits"]["test"]
    assert measured["crossed"]["both"] > 0.9


def test_calibrate_seals_a_new_bundle_that_loads(events, tmp_path, capsys):
    out = tmp_path / "mine"
    assert run(["bundle", "calibrate", "starter", "--data", str(events), "--out", str(out)]) == Exit.OK
    assert run(["bundle", "inspect", str(out), "--json"]) == Exit.OK
    digest = json.loads(capsys.readouterr().out)["manifest"]["digest"]
    run(["bundle", "inspect", "starter", "--json"])
    assert digest != json.loads(capsys.readouterr().out)["manifest"]["digest"]
