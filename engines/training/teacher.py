"""A bigger bundle as the teacher of a smaller one: its calibrated chances for every part and event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.batch import Batch, Example, Outputs
from engines.bundle import Bundle
from engines.engine import FusedEngine, open_engine
from engines.training.dataset import Dataset
from engines.training.inputs import Inputs, decode, example
from engines.training.watch import Watch
from engines.training.work import Arrays, Work, load, save

_ROWS = 256


def lessons(bundle: Bundle, data: Dataset, work: Work, told: Sequence[object], watch: Watch) -> Arrays:
    """Float32 arrays, NaN where the teacher has nothing to say: ``sentiment.k`` [n, 3] and ``labels.k``
    [n, labels of the data] for the parts of modality k, and for the events under k = 3.
    """
    path = work.place("teacher", bundle.digest, *told)
    if (known := load(path)) is not None:
        watch("the teacher's answers: kept from an earlier run")
        return known
    engine = open_engine(bundle, "onnxruntime", contributions=False)
    inputs = decode(data, bundle.preprocess)
    out: Arrays = {}
    for k in range(4):
        count = len(data.parts[k]) if k < 3 else len(data.events)
        rows = _alone(count, k) if k < 3 else data.events.rows
        answers = [_ask(engine, inputs, chunk) for chunk in _chunks(rows, watch, k)]
        said = _columns(bundle, data, answers)
        out[f"sentiment.{k}"], out[f"labels.{k}"] = said
    engine.close()
    save(path, out)
    return out


def _alone(count: int, m: int) -> NDArray[np.int32]:
    rows = np.full((count, 3), -1, np.int32)
    rows[:, m] = np.arange(count)
    return rows


def _chunks(rows: NDArray[np.int32], watch: Watch, k: int) -> Any:
    starts = range(0, len(rows), _ROWS)
    chunks = [rows[start : start + _ROWS] for start in starts]
    return watch.over(chunks, f"teacher on {('texts', 'images', 'sounds', 'events')[k]}", len(chunks))


def _ask(engine: FusedEngine, inputs: Inputs, rows: NDArray[np.int32]) -> Outputs:
    examples: list[Example] = [example(inputs, row) for row in rows]
    return engine.infer(Batch.of(examples))


def _columns(bundle: Bundle, data: Dataset, answers: list[Outputs]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The teacher's answers in the order of the data's labels."""
    sentiment = np.concatenate([np.empty((0, 3), np.float32), *(a.sentiment for a in answers)])
    labels = np.full((len(sentiment), len(data.labels)), np.nan, np.float32)
    for k, name in enumerate(data.labels.names):
        if name in bundle.labels.names:
            own = bundle.labels.names.index(name)
            labels[:, k] = np.concatenate([np.empty(0, np.float32), *(a.moderation[:, own] for a in answers)])
    return sentiment, labels
