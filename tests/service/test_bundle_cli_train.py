"""`tidegate bundle train`: from labelled events to a bundle; a run that was killed goes on; bad input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from engines.batch import Batch, Example
from engines.bundle import Bundle
from engines.engine import open_engine
from service.cli.main import INTERRUPTED, run
from service.errors import Exit
from tests.labelled import texts, write
from tests.tiny_checkpoints import save

pytestmark = pytest.mark.train
FAST = ("--epochs", "3", "--threads", "1", "--seed", "4")
GRAPHS = ("text.onnx", "head.onnx")


@pytest.fixture(scope="module")
def events(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("made") / "events.jsonl", texts(700))


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def trained(events, work, tmp_path_factory) -> Path:
    """A bundle of texts alone; its graphs are kept in `work`."""
    out = tmp_path_factory.mktemp("trained") / "mine"
    assert (
        run(["bundle", "train", str(events), str(out), "--name", "small", "--work", str(work), *FAST])
        == Exit.OK
    )
    return out


def digests(folder: Path) -> list[str]:
    files = Bundle.load(folder).manifest["files"]
    return [files[name]["sha256"] for name in GRAPHS]


def test_texts_alone_make_a_bundle_that_promises_nothing_of_images_and_sounds(trained):
    bundle = Bundle.load(trained)
    assert bundle.name == "small"
    assert bundle.labels.sentiment_evidence == (frozenset({"text"}),)
    assert bundle.calibrated
    assert bundle.synthetic == ()
    engine = open_engine(bundle, "onnxruntime", "fp32", threads=1)
    image = np.zeros((64, 64, 3), np.uint8)
    text = (np.array([5, 6, 7], np.int32),)
    alone, both, only = (
        engine.infer(Batch.of([example]))
        for example in (Example(None, [image]), Example(text, [image]), Example(text))
    )
    engine.close()
    assert np.isnan(alone.sentiment).all()
    assert np.isnan(alone.moderation).all()
    assert np.isnan(both.unimodal[0, 1]).all()
    assert np.allclose(both.patterns[0, 3], only.patterns[0, 1], atol=1e-5)


def test_the_bundle_learnt_something_and_says_so_in_its_card(trained, events, capsys):
    assert "small 1.0.0: model card" in (trained / "MODEL_CARD.md").read_text()
    assert run(["bundle", "evaluate", str(trained), str(events), "--json"]) == Exit.OK
    whole = json.loads(capsys.readouterr().out)["splits"]["test"]["whole"]
    assert whole["labels"]["harassment"]["auroc"]["value"] > 0.7


def test_a_killed_run_goes_on_where_it_was_and_ends_the_same(trained, events, tmp_path):
    kept, out = tmp_path / "work", tmp_path / "mine"
    command = [sys.executable, "-m", "service.cli.main", "bundle", "train", str(events), str(out), *FAST]
    command += ["--name", "small", "--work", str(kept)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    first = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    assert first.stderr is not None
    for line in first.stderr:
        if "text tower: epoch 1" in line:
            break
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert not out.exists()
    again = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert again.returncode == Exit.OK, again.stderr
    assert "inputs: kept from an earlier run" in again.stderr
    assert "text tower: goes on after epoch" in again.stderr
    assert digests(out) == digests(trained)


def test_the_same_command_again_trains_nothing(trained, events, work, tmp_path, capsys):
    start = time.monotonic()
    verb = ["bundle", "train", str(events), str(tmp_path / "again"), "--work", str(work), *FAST]
    assert run([*verb, "--name", "small"]) == Exit.OK
    told = capsys.readouterr().err
    assert "text tower: kept from an earlier run" in told
    assert "epoch" not in told
    assert time.monotonic() - start < 60


def test_a_bag_learns_from_a_bigger_bundle(trained, events, tmp_path, capsys):
    out = tmp_path / "edge"
    verb = ["bundle", "train", str(events), str(out), "--text", "bag", "--distil-from", str(trained), *FAST]
    assert run([*verb, "--json"]) == Exit.OK
    assert json.loads(capsys.readouterr().out)["folder"] == str(out)
    made = Bundle.load(out)
    assert made.name == "edge", "where --name is not given, the folder's"
    assert made.preprocess.text.kind == "bag"
    assert made.manifest["provenance"]["distilled from"].startswith("small 1.0.0@")


@pytest.mark.parametrize(("option", "rate"), [("--finetune", 5e-5), ("--lora", 5e-4), ("--freeze", 3e-3)])
def test_a_checkpoint_learns_at_the_rate_that_its_tuning_needs(option, rate, tmp_path):
    tower, out = save("bert", tmp_path / "tiny"), tmp_path / "mine"
    events = write(tmp_path / "events.jsonl", texts(240))
    verb = ["bundle", "train", str(events), str(out), "--text", str(tower), option]
    assert run([*verb, "--epochs", "1", "--threads", "1"]) == Exit.OK
    told = Bundle.load(out).manifest["provenance"]["recipe"]
    assert told["text"]["rate"] == rate
    assert told["image"]["rate"] == 2e-3, "a tower of our own has its own, whatever the tuning"


def broken(rows: list) -> list:
    return [*rows, "{not json", {"text": "x", "labels": {"sentiment": "great"}}]


def media(rows: list) -> list:
    return [*rows, {"text": "x", "image": "nowhere.png", "labels": {"sentiment": "neutral"}}]


def unknown(rows: list) -> list:
    return [*rows, {"text": "x", "labels": {"moderation": {"harasment": 1}}}]


def one_class(rows: list) -> list:
    for row in rows:
        row["labels"]["moderation"] = {"harassment": 0}
    return rows


def one_mood(rows: list) -> list:
    for row in rows:
        row["labels"]["sentiment"] = "neutral"
    return rows


def held_out(rows: list) -> list:
    return [{**row, "split": "test"} for row in rows]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (broken, ("2 rows cannot be read", "line", "--skip-broken")),
        (media, ("nowhere.png", "line")),
        (unknown, ("unknown label harasment; did you mean harassment", "labels.yaml")),
        (one_class, ("harassment", "one class only")),
        (one_mood, ("sentiment has one class only",)),
        (held_out, ("split `train` is empty",)),
    ],
)
def test_bad_data_is_named_and_ends_with_65(spoil, told, tmp_path, capsys):
    path = write(tmp_path / "events.jsonl", spoil(texts(120)))
    (tmp_path / "labels.yaml").write_text("labels: [{name: harassment, evidence: [[text]]}]\n")
    assert run(["bundle", "train", str(path), str(tmp_path / "out")]) == Exit.DATA
    shown = capsys.readouterr().err
    assert all(word in shown for word in told), shown
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("spoil", "label"), [(one_class, "harassment"), (one_mood, "sentiment")], ids=["label", "sentiment"]
)
def test_what_has_one_class_only_can_be_left_out_as_the_error_says(spoil, label, tmp_path, capsys):
    path = write(tmp_path / "events.jsonl", spoil(texts(240)))
    verb = ["bundle", "train", str(path), str(tmp_path / "out"), "--epochs", "1", "--threads", "1"]
    assert run(verb) == Exit.DATA
    assert f"leave labels out with --without {label}" in capsys.readouterr().err
    assert run([*verb, "--without", label]) == Exit.OK
    made = Bundle.load(tmp_path / "out").labels
    assert made.names == (() if label == "harassment" else ("harassment",))
    assert bool(made.sentiment_evidence) == (label != "sentiment")


def test_a_train_that_is_interrupted_says_how_it_goes_on(events, tmp_path, capsys, monkeypatch):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("engines.training.making.make", interrupted)
    assert run(["bundle", "train", str(events), str(tmp_path / "out")]) == INTERRUPTED
    assert "Stopped; the same command goes on where it was." in capsys.readouterr().err


def test_a_medium_that_cannot_be_decoded_is_named_with_its_row(tmp_path, capsys):
    (tmp_path / "bad.png").write_bytes(b"\x89PNG nothing")
    row = {"text": "x", "image": "bad.png", "split": "train", "labels": {"sentiment": "neutral"}}
    path = write(tmp_path / "events.jsonl", [*texts(120), row])
    assert run(["bundle", "train", str(path), str(tmp_path / "out")]) == Exit.DATA
    shown = capsys.readouterr().err
    assert "bad.png" in shown
    assert "line" in shown


def checkpoint(folder: Path, kind: str, weights: str = "model.safetensors") -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": kind}))
    (folder / weights).write_bytes(b"\x80\x04nothing")
    return folder


def test_what_is_no_tower_is_a_configuration_error(events, tmp_path, capsys):
    verb = ["bundle", "train", str(events), str(tmp_path / "out"), "--text"]
    assert run([*verb, "bagg"]) == Exit.CONFIG
    assert "Did you mean bag?" in capsys.readouterr().err
    assert run([*verb, str(checkpoint(tmp_path / "strange", "gpt9"))]) == Exit.CONFIG
    assert "gpt9" in capsys.readouterr().err


def test_a_pickle_is_refused(events, tmp_path, capsys):
    folder = checkpoint(tmp_path / "pickled", "bert", "pytorch_model.bin")
    verb = ["bundle", "train", str(events), str(tmp_path / "out"), "--text", str(folder)]
    assert run(verb) == Exit.CONFIG
    shown = capsys.readouterr().err
    assert "pytorch_model.bin" in shown
    assert "safetensors" in shown


def test_an_unknown_key_in_a_recipe_is_a_configuration_error(events, tmp_path, capsys):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("sed: 3\n")
    verb = ["bundle", "train", str(events), str(tmp_path / "out"), "--config", str(recipe)]
    assert run(verb) == Exit.CONFIG
    assert "Did you mean seed?" in capsys.readouterr().err
