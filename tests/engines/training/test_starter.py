"""The small bundle of generated data, trained from nothing."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

from engines.engine import open_engine
from engines.training import metrics, synth
from engines.training.dataset import Dataset
from engines.training.evaluate import evaluate
from engines.training.inputs import decode
from engines.training.taxonomy import NAMES

UNIMODAL = [name for name in NAMES if name != "hate"]
SMALL = synth.Sizes(texts=7_000, images=700, sounds=350, events=2_500, crossed=200)
needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="needs the training extra (torch)")


@pytest.fixture(scope="module")
def data() -> Dataset:
    return synth.generate(11, SMALL)


@pytest.mark.train
@needs_torch
def test_a_small_bundle_learns_its_labels_from_nothing(data, tmp_path):
    from engines.training import starter

    made = starter.train(data, starter.recipe(quick=True), tmp_path / "bundle", lambda text: None, threads=1)
    engine = open_engine(made, "onnxruntime", "fp32", threads=1, contributions=False)
    labels = evaluate(engine, data, ("test",)).splits["test"].whole.labels
    engine.close()
    assert np.nanmean([labels[name].auroc.value for name in UNIMODAL]) >= 0.8


@pytest.mark.train
@needs_torch
@pytest.mark.parametrize(("shuffled", "low", "high"), [(False, 0.85, 1.0), (True, 0.4, 0.6)])
def test_a_tower_learns_from_labels_and_nothing_from_shuffled_ones(data, shuffled, low, high):
    assert low <= _text_tower_auroc(data, shuffled) <= high


def _text_tower_auroc(data: Dataset, shuffled: bool) -> float:
    """Mean AUROC over the text labels of held-out posts, of a tower trained on true or dealt-out labels."""
    import torch

    from engines.training import arrays, stages, starter
    from engines.training.towers import Plan, tokens_of, train_tower

    here = stages.ground(data, starter.recipe(quick=True))
    texts = Dataset((data.parts[0], [], []), data.events, data.labels)
    column = arrays.columns(texts, decode(texts, here.preprocess), 16_000)[0]
    truth, order = column.labels.numpy(), torch.arange(len(column.inputs))
    if shuffled:
        order = torch.randperm(len(order), generator=torch.Generator().manual_seed(0))
    dealt = replace(column, labels=column.labels[order], sentiment=column.sentiment[order])
    net = train_tower("text", dealt, here.config, Plan(4, rate=4e-3), 1, lambda text: None)
    with torch.inference_mode():
        said = net(tokens_of(net, "text", column))[1].numpy()
    held_out = column.split != "train"
    return float(np.nanmean([_auroc(truth[held_out, k], said[held_out, k]) for k in range(len(NAMES))]))


def _auroc(truth: np.ndarray, said: np.ndarray) -> float:
    known = truth >= 0
    return metrics.auroc(truth[known], said[known])
