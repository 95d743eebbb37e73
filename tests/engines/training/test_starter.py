"""The starter: a small one trained from nothing passes its gates, and the one that ships is what it says."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

from engines.bundle import Bundle
from engines.engine import open_engine
from engines.training import synth
from engines.training.dataset import Dataset
from engines.training.evaluate import crossed, evaluate
from engines.training.inputs import decode
from engines.training.taxonomy import NAMES

UNIMODAL = [name for name in NAMES if name != "hate"]
SMALL = synth.Sizes(texts=3_500, images=700, sounds=350, events=2_500, crossed=300)
needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="needs the training extra (torch)")


def _trained(data: Dataset, folder):
    from engines.training import starter

    return starter.train(data, starter.recipe(quick=True), folder / "bundle", lambda text: None)


def _mean_auroc(bundle: Bundle, data: Dataset) -> float:
    engine = open_engine(bundle, "onnxruntime", "fp32", contributions=False)
    labels = evaluate(engine, data, ("test",))["test"]["labels"]
    engine.close()
    return float(np.nanmean([labels[name]["AUROC"] for name in UNIMODAL]))


def _shuffled(data: Dataset) -> Dataset:
    """The same parts and events with everybody's labels dealt out anew, in training and calibration."""
    rng = np.random.default_rng(0)
    parts = []
    for own in data.parts:
        said = [(p.sentiment, p.labels, p.factor) for p in own]
        order = rng.permutation(len(own))
        parts.append([
            replace(p, sentiment=said[k][0], labels=said[k][1], factor=said[k][2])
            for p, k in zip(own, order, strict=True)
        ])  # fmt: skip
    order = rng.permutation(len(data.events))
    events = replace(data.events, labels=data.events.labels[order], sentiment=data.events.sentiment[order])
    return Dataset((parts[0], parts[1], parts[2]), events)


@pytest.mark.train
@needs_torch
def test_a_small_bundle_learns_and_a_shuffled_one_does_not(tmp_path):
    data = synth.generate(11, SMALL)
    assert _mean_auroc(_trained(data, tmp_path / "real"), data) >= 0.8
    assert abs(_mean_auroc(_trained(_shuffled(data), tmp_path / "shuffled"), data) - 0.5) <= 0.1


@pytest.fixture(scope="module")
def fresh() -> Dataset:
    return synth.generate(99, synth.Sizes(texts=4_000, images=800, sounds=250, events=1_500, crossed=4_000))


@pytest.fixture(scope="module")
def starter():
    engine = open_engine("starter", "onnxruntime", "fp32", contributions=False)
    yield engine
    engine.close()


def test_the_shipped_starter_needs_text_and_image_for_hate(starter, fresh):
    events = fresh.events.of("test")
    found = crossed(starter, decode(fresh, starter.preprocess), events.where(events.crossed))
    assert found["both"] >= 0.9
    assert 0.42 <= found["text alone"] <= 0.58
    assert 0.42 <= found["image alone"] <= 0.58


def test_the_shipped_starter_knows_its_labels_on_events_of_another_seed(starter, fresh):
    measured = evaluate(starter, fresh, ("test",))["test"]
    assert all(measured["labels"][name]["AUROC"] >= 0.95 for name in UNIMODAL)
    assert measured["sentiment"]["macro recall"] >= 0.85


def test_the_shipped_starter_says_that_it_is_synthetic():
    bundle = Bundle.load("starter")
    assert bundle.synthetic == ("text", "image", "audio")
    card = bundle.read("MODEL_CARD.md").decode()
    assert "Trained only on generated data" in card
    assert "no validity on real posts" in card


def test_the_shipped_starter_is_small():
    bundle = Bundle.load("starter")
    assert sum(entry["bytes"] for entry in bundle.manifest["files"].values()) <= 9_000_000


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_the_shipped_starter_gives_its_golden_answers_on(backend):
    engine = open_engine("starter", backend, "fp32", contributions=False)
    error = engine.golden_error()
    engine.close()
    assert error is not None
    assert error <= 1e-3
