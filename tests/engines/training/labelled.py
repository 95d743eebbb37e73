"""Labelled events for the tiny bundle, whose answers follow its own logits: what was fitted can be told."""

from __future__ import annotations

import numpy as np

from engines.calibration import sigmoid
from engines.engine import FusedEngine
from engines.training.calibrate import run
from engines.training.dataset import Dataset, gather
from engines.training.inputs import Inputs
from engines.training.taxonomy import Part
from tests.tiny_bundle import LABELS, VOCABULARY, image, sound

SCALE, BIAS = 1.7, -0.6
"""The truth of every label: a coin that falls by the logit times SCALE plus BIAS."""


def made(engine: FusedEngine, count: int, seed: int = 0) -> tuple[Dataset, Inputs]:
    """So many events of every presence pattern in turn, half to calibrate, half to test."""
    rng = np.random.default_rng(seed)
    texts = [(rng.integers(1, VOCABULARY, rng.integers(1, 40), dtype=np.int32),) for _ in range(200)]
    images, sounds = [image(rng) for _ in range(60)], [sound(rng) for _ in range(60)]
    inputs: Inputs = (texts, images, sounds)
    pools = [len(own) for own in inputs]
    shown = np.arange(count) % 7 + 1
    rows = [[int(rng.integers(pools[m])) if p >> m & 1 else -1 for m in range(3)] for p in shown]
    parts = tuple(
        [Part(f"{name}{k}", "x") for k in range(size)] for name, size in zip("tia", pools, strict=True)
    )
    blank = gather(rows, [0] * count, [[0] * len(LABELS)] * count, [0] * count, [False] * count)
    logits = run(engine, inputs, blank)
    chance = sigmoid(SCALE * logits.moderation + BIAS)
    marks = (rng.random(chance.shape) < chance).astype(int)
    marks[~LABELS.evaluable(blank.presence)] = -1
    heat = np.exp(logits.sentiment / 2)
    drawn = (rng.random((count, 1)) > (heat / heat.sum(1, keepdims=True)).cumsum(1)).sum(1).clip(0, 2)
    events = gather(
        rows, drawn.tolist(), marks.tolist(), [1 + k // 7 % 2 for k in range(count)], [False] * count,
        lang=[("en", "zh")[k % 2] for k in range(count)], source=["forum"] * count,
        group=[f"g{k // 3}" for k in range(count)], polarity=(drawn - 1.0).tolist(),
    )  # fmt: skip
    return Dataset(parts, events, LABELS), inputs
