"""What the bundle verbs refuse before any work, and how each refusal says what to do instead."""

from __future__ import annotations

import os

import pytest

from engines.training.dataset import SPLITS
from service.cli import bundle_options
from service.cli.main import run
from service.errors import Exit
from tests.labelled import texts, write


@pytest.mark.parametrize("verb", [["evaluate", "tiny", "x"], ["calibrate", "tiny", "x", "out"]])
def test_a_misspelt_split_is_answered_with_all_there_are(verb, capsys):
    assert run(["bundle", *verb, "--split", "tset"]) == Exit.USAGE
    told = capsys.readouterr().err
    assert all(name in told for name in (*SPLITS, "all"))


def test_the_command_line_knows_the_splits_of_data_sets():
    assert bundle_options.SPLITS == SPLITS


def test_calibrate_fits_on_the_split_that_is_named(tiny, tmp_path, capsys):
    rows = [{**row, "split": "ood"} for row in texts(400)]
    path = write(tmp_path / "events.jsonl", rows)
    verb = ["bundle", "calibrate", str(tiny), str(path), str(tmp_path / "out"), "--lenient", "--json"]
    assert run([*verb, "--split", "test"]) == Exit.DATA
    assert "is a bug" not in capsys.readouterr().err
    assert run([*verb, "--precision", "fp32", "--split", "ood"]) == Exit.OK


WRITERS = {
    "synth": ["synth"],
    "train": ["train", "events.jsonl"],
    "evaluate": ["evaluate", "starter", "events.jsonl", "--out"],
    "calibrate": ["calibrate", "starter", "events.jsonl"],
    "export": ["export", "starter", "--precision", "fp16"],
    "import": ["import", "map.yaml"],
}


@pytest.mark.parametrize("verb", WRITERS)
@pytest.mark.parametrize("place", ["file/out", "/proc/nothing/out", "x" * 300])
def test_what_cannot_be_written_is_told_before_the_work(verb, place, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert run(["bundle", *WRITERS[verb], str(tmp_path / place)]) == Exit.CONFIG
    told = capsys.readouterr().err
    assert "cannot be written" in told
    assert all(name in told for name in ("where", "why", "next"))


def test_a_work_folder_that_cannot_be_made_is_told_before_the_work(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    verb = [
        "bundle",
        "train",
        "events.jsonl",
        str(tmp_path / "out"),
        "--work",
        str(tmp_path / "file" / "work"),
    ]
    assert run(verb) == Exit.CONFIG
    assert f"{tmp_path / 'file'} is no folder" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write where bits forbid it")
def test_a_folder_without_the_right_to_write_is_told_before_the_work(tmp_path, capsys):
    (tmp_path / "locked").mkdir(mode=0o555)
    assert run(["bundle", "synth", str(tmp_path / "locked" / "out")]) == Exit.CONFIG
    assert "Permission denied" in capsys.readouterr().err


def test_trying_a_folder_leaves_nothing_behind(tmp_path):
    bundle_options.writable(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


def misspelt() -> list[dict]:
    """Rows of which one names a label that the bundle lacks."""
    rows = [{**row, "split": "calibrate" if k % 2 else "test"} for k, row in enumerate(texts(400))]
    rows[7]["labels"]["moderation"] = {"harasment": 1}
    return rows


@pytest.mark.parametrize("verb", ["evaluate", "calibrate"])
def test_a_label_that_the_bundle_lacks_is_named_with_its_row_and_the_nearest(verb, tiny, tmp_path, capsys):
    path = write(tmp_path / "events.jsonl", misspelt())
    out = [str(tmp_path / "out"), "--lenient", "--precision", "fp32"] if verb == "calibrate" else []
    command = ["bundle", verb, str(tiny), str(path), *out]
    assert run(command) == Exit.DATA
    told = capsys.readouterr().err
    assert "line 8: unknown label harasment; did you mean harassment?" in told
    assert "--without harasment" in told
    assert run([*command, "--without", "harasment"]) == Exit.OK


def test_rows_with_a_label_that_the_bundle_lacks_can_be_skipped_as_other_broken_ones(tiny, tmp_path, capsys):
    path = write(tmp_path / "events.jsonl", misspelt())
    assert run(["bundle", "evaluate", str(tiny), str(path), "--skip-broken"]) == Exit.OK
    assert "1 broken row was left out" in capsys.readouterr().err


def test_labels_that_are_declared_may_be_others_than_the_bundles(tiny, tmp_path, capsys):
    path = write(tmp_path / "events.jsonl", misspelt())
    (tmp_path / "labels.yaml").write_text("labels: [{name: harassment}, {name: harasment}]\n")
    assert run(["bundle", "evaluate", str(tiny), str(path)]) == Exit.OK


def test_labels_of_a_layout_that_names_them_itself_need_not_be_the_bundles(tiny, tmp_path, capsys):
    path = tmp_path / "jigsaw.csv"
    rows = [f"comment {k} of many,{k % 2},{k % 3 % 2}" for k in range(40)]
    path.write_text("\n".join(["comment_text,insult,sexual_explicit", *rows]) + "\n")
    assert run(["bundle", "evaluate", str(tiny), str(path), "--split", "all"]) == Exit.OK


def test_a_misspelt_label_to_leave_out_is_answered_with_the_nearest(tiny, tmp_path, capsys):
    path = write(tmp_path / "events.jsonl", texts(30))
    assert run(["bundle", "evaluate", str(tiny), str(path), "--without", "harasment"]) == Exit.DATA
    assert "Did you mean harassment?" in capsys.readouterr().err


def test_labels_that_cannot_be_read_are_mended_in_their_own_file(tiny, tmp_path, capsys):
    path = write(tmp_path / "events.jsonl", texts(30))
    (tmp_path / "labels.yaml").write_text("labels: [{name: harassment\n")
    assert run(["bundle", "evaluate", str(tiny), str(path)]) == Exit.DATA
    told = capsys.readouterr().err
    assert "it is not YAML at line 2, column 1" in told
    assert "write the bundle anew" not in told


def test_broken_rows_are_listed_without_empty_lines(tiny, tmp_path, capsys):
    path = write(tmp_path / "events.jsonl", [*texts(30), '{"text": 7, "labels": {}}'])
    assert run(["bundle", "evaluate", str(tiny), str(path)]) == Exit.DATA
    told = capsys.readouterr().err
    assert f"  why   {path}, line" in told
    assert "  next  Leave such rows out with --skip-broken" in told


def test_an_engine_that_is_not_here_is_answered_with_what_this_verb_has(tiny, tmp_path, capsys):
    path = write(tmp_path / "events.jsonl", texts(30))
    assert run(["bundle", "evaluate", str(tiny), str(path), "--engine", "tensorrt"]) == Exit.CONFIG
    told = capsys.readouterr().err
    assert "--engine" in told
    assert "cpu_fallback" not in told
