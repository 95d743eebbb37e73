"""Whether a data set is enough to learn from; everything that is missing is said at once."""

from __future__ import annotations

from typing import Final

import numpy as np

from engines.errors import EngineError
from engines.training.dataset import Dataset
from engines.training.leaving import SENTIMENT, options
from engines.training.rows import counted
from engines.training.taxonomy import UNKNOWN

LEAST: Final = 8
"""Events of each class that a label needs to be trained on."""
Lack = tuple[str, str]
"""What is missing, and the label (or sentiment) that training could go without, if it is one's fault."""


def check(data: Dataset, where: str = "", least: int = LEAST) -> None:
    """Raise EngineError that lists empty splits, labels of one class, and labels with too few of one."""
    found = [*_splits(data), *_sentiment(data), *_labels(data, least)]
    if found:
        lacking = [label for _, label in found if label]
        raise EngineError(
            "These labelled events are not enough to train on", where=where,
            why="\n".join(line for line, _ in found),
            remedy="Add such rows" + (f", or leave labels out with {options(lacking)}" if lacking else ""),
        )  # fmt: skip


def _splits(data: Dataset) -> list[Lack]:
    return [
        (f"split `{name}` is empty: {why}", "")
        for name, why in (
            ("train", "nothing to learn from"),
            ("calibrate", "nothing to fit probabilities on"),
        )
        if not len(data.events.of(name))
    ]


def _sentiment(data: Dataset) -> list[Lack]:
    known = data.events.of("train").sentiment
    classes = np.unique(known[known != UNKNOWN])
    if not len(classes) and not len(data.labels):
        return [("no training row has a sentiment or a label", "")]
    return [("sentiment has one class only", SENTIMENT)] if len(classes) == 1 else []


def _labels(data: Dataset, least: int) -> list[Lack]:
    out = []
    events = data.events.of("train")
    for k, name in enumerate(data.labels.names):
        yes, no = (int((events.labels[:, k] == value).sum()) for value in (1, 0))
        counts = f"1 in {counted(yes)}, 0 in {no}"
        if not yes + no:
            out.append((f"label `{name}` is annotated in no training row", name))
        elif not yes or not no:
            out.append((f"label `{name}` has one class only: {counts}", name))
        elif min(yes, no) < least:
            out.append((f"label `{name}` has too few of a class: {counts}, {least} are needed", name))
    return out
