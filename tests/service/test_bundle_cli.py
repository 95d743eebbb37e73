"""`tidegate bundle` on small data: what each verb makes, and what it refuses, with which exit code."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from service.cli.main import run
from service.errors import Exit
from tests.labelled import texts, write

needs_optimiser = pytest.mark.skipif(find_spec("modelopt") is None, reason="needs the quantise extra")


@pytest.fixture(scope="module")
def events(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("made") / "events.jsonl", texts(400))


def answer(capsys) -> dict:
    """The one JSON line of a verb."""
    (line,) = capsys.readouterr().out.splitlines()
    return json.loads(line)


@pytest.mark.parametrize("verb", ["synth", "train", "evaluate", "calibrate", "export", "inspect", "import"])
def test_every_verb_shows_examples(verb, capsys):
    assert run(["bundle", verb, "--help"]) == Exit.OK
    assert f"tidegate bundle {verb}" in capsys.readouterr().out


def test_a_misspelt_verb_is_answered_with_the_nearest(capsys):
    assert run(["bundle", "trian"]) == Exit.USAGE
    assert "train" in capsys.readouterr().err


def test_inspect_says_what_the_starter_is(capsys):
    assert run(["bundle", "inspect", "starter"]) == Exit.OK
    shown = capsys.readouterr().out
    assert "SYNTHETIC" in shown
    assert "hate" in shown


def test_inspect_as_json_has_digest_labels_and_precisions(tiny, capsys):
    assert run(["bundle", "inspect", str(tiny), "--json"]) == Exit.OK
    found = answer(capsys)
    assert len(found["manifest"]["digest"]) == 64
    assert found["precisions"] == {"fp32": True}
    assert found["labels"][2]["evidence"] == [["image", "text"]]


def test_inspect_of_no_bundle_is_a_configuration_error(tmp_path, capsys):
    assert run(["bundle", "inspect", str(tmp_path)]) == Exit.CONFIG
    assert "no bundle" in capsys.readouterr().err


def test_synth_writes_events_that_say_they_are_generated(tmp_path, capsys):
    out = tmp_path / "data"
    assert run(["bundle", "synth", str(out), "--events", "300", "--seed", "3", "--json"]) == Exit.OK
    assert answer(capsys)["events"] == 300
    first = json.loads((out / "events.jsonl").open().readline())
    assert first["source"].startswith("generated/")
    assert (out / "labels.yaml").exists()


@pytest.mark.parametrize(
    "verb", [["synth"], ["train", "events.jsonl"], ["calibrate", "starter", "x"], ["import", "map.yaml"]]
)
def test_a_folder_that_exists_is_not_written_over(verb, tmp_path, capsys):
    assert run(["bundle", *verb, str(tmp_path)]) == Exit.CONFIG
    assert "exists already" in capsys.readouterr().err


def test_evaluate_measures_on_held_out_rows_and_writes_a_card(tiny, events, tmp_path, capsys):
    out = tmp_path / "card"
    assert run(["bundle", "evaluate", str(tiny), str(events), "--json", "--out", str(out)]) == Exit.OK
    found = answer(capsys)
    assert found["splits"]["test"]["whole"]["labels"]["harassment"]["rows"] > 50
    assert "tiny 1: model card" in (out / "MODEL_CARD.md").read_text()
    assert (out / "MODEL_CARD.html").exists()


def test_evaluate_prints_tables(tiny, events, capsys):
    assert run(["bundle", "evaluate", str(tiny), str(events)]) == Exit.OK
    assert "harassment" in capsys.readouterr().out


def test_evaluate_without_held_out_rows_says_which_splits_there_are(tiny, tmp_path, capsys):
    rows = [{**row, "split": "ood"} for row in texts(30)]
    path = write(tmp_path / "events.jsonl", rows)
    assert run(["bundle", "evaluate", str(tiny), str(path), "--split", "test"]) == Exit.DATA
    assert "nothing to measure on" in capsys.readouterr().err
    assert run(["bundle", "evaluate", str(tiny), str(path), "--split", "all", "--json"]) == Exit.OK


def test_calibrate_seals_a_new_bundle_with_thresholds(tiny, events, tmp_path, capsys):
    out = tmp_path / "mine"
    verb = ["bundle", "calibrate", str(tiny), str(events), str(out), "--split", "all", "--lenient"]
    assert run([*verb, "--precision", "fp32", "--json"]) == Exit.OK
    made = answer(capsys)
    assert "sentiment" in made["errors"]["fp32"]
    assert run(["bundle", "inspect", str(out), "--json"]) == Exit.OK
    assert answer(capsys)["manifest"]["digest"] == made["digest"]


def test_calibrate_refuses_too_few_positives(tiny, tmp_path, capsys):
    path = write(tmp_path / "events.jsonl", texts(30))
    verb = ["bundle", "calibrate", str(tiny), str(path), str(tmp_path / "out"), "--split", "all"]
    assert run(verb) == Exit.DATA
    told = capsys.readouterr().err
    assert "harassment" in told
    assert not (tmp_path / "out").exists()


@needs_optimiser
@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_export_adds_graphs_that_give_nearly_the_same_answers(precision, tiny, tmp_path, capsys):
    out = tmp_path / "cast"
    assert run(["bundle", "export", str(tiny), str(out), "--precision", precision, "--json"]) == Exit.OK
    assert answer(capsys)["error"] < 0.03
    assert run(["bundle", "inspect", str(out), "--json"]) == Exit.OK
    found = answer(capsys)
    assert found["manifest"]["graphs"]["text"] == {"fp32": "text.onnx", precision: f"text.{precision}.onnx"}
    assert found["precisions"] == {"fp32": True, precision: False}
