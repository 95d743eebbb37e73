"""The small model on the engines that serve: exact, alike in any company, silent without evidence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engines import golden
from engines.batch import Batch, UInt8
from engines.engine import FusedEngine, open_engine
from engines.head import Logits
from engines.training.calibrate import run
from engines.training.dataset import Events
from engines.training.gates import Gate
from engines.training.gates.small import Small
from engines.training.inputs import example
from engines.training.invariance import invariance

BACKENDS = ("onnxruntime", "openvino")
EVENTS = 15
"""Events of each presence pattern that backends are compared on."""


def serving(model: Small, of: str, folder: Path) -> list[Gate]:
    """Gates of a model that is exported to the new ``folder``."""
    model.export(folder)
    held = model.held()
    found: list[Gate] = []
    for backend in BACKENDS:
        engine = open_engine(folder, backend, "fp32", contributions=False)
        try:
            found += _on(engine, model, held, f"{of}, {backend}")
        finally:
            engine.close()
    return found


def exactly(model: Small, events: Events) -> Logits:
    """What torch answers to events from their inputs: the tokens that training keeps may be of rounded
    features.
    """
    tokens = []
    for m, kept in enumerate(model.tokens):
        own, tower = kept.clone(), model.nets[m][0].tower
        for row in np.unique(events.rows[:, m]):
            if row >= 0:
                with torch.inference_mode():
                    own[row] = tower(*_inputs(m, model.stock.inputs[m][row]))[0]
        tokens.append(own)
    return replace(model, tokens=(tokens[0], tokens[1], tokens[2])).logits(events.rows)


def _inputs(m: int, own: Any) -> tuple[torch.Tensor, ...]:
    """One part as its tower takes it."""
    if m == 0:
        return tuple(torch.from_numpy(ids)[None] for ids in own)
    if m == 1:
        return (torch.from_numpy(own)[None],)
    return torch.from_numpy(own.astype(np.float32))[None], torch.tensor([len(own)], dtype=torch.int32)


def difference(one: Logits, other: Logits, presence: UInt8) -> float:
    """The largest difference of two answers, relative to 1 + their size; absent modalities don't count."""
    seen = (presence[:, None] >> np.arange(3) & 1).astype(bool)
    pairs = [
        (one.sentiment, other.sentiment),
        (one.moderation, other.moderation),
        (one.unimodal[seen], other.unimodal[seen]),
    ]
    return max(golden.relative(a, b) for a, b in pairs)


def _on(engine: FusedEngine, model: Small, held: Events, of: str) -> list[Gate]:
    inputs, presence = model.stock.inputs, held.presence
    picked = np.concatenate([np.flatnonzero(presence == p)[:EVENTS] for p in range(1, 8)])
    events = held.where(np.isin(np.arange(len(held)), picked))
    error = difference(run(engine, inputs, events), exactly(model, events), events.presence)
    company = invariance(engine, inputs, events)
    return [
        Gate("logits off from torch's, relative", of, error, high=1e-4),
        Gate("alone, in a batch, in any order: difference", of, company.largest, high=1e-3),
        Gate("answers without evidence, or none with it", of, _mistaken(engine, model, events), high=0.0),
    ]


def _mistaken(engine: FusedEngine, model: Small, events: Events) -> int:
    """Labels answered without their evidence, or not with it, whatever is shown of the events."""
    wrong = 0
    for bits in range(1, 8):
        rows = [
            example(model.stock.inputs, row, bits) for row in events.rows if (row >= 0) @ [1, 2, 4] & bits
        ]
        batch = Batch.of(rows)
        silent = np.isnan(engine.infer(batch).moderation)
        wrong += int((silent == engine.labels.evaluable(batch.presence)).sum())
    return wrong
