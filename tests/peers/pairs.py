"""Minimal pairs: two texts that differ in little, and what must hold between their scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.training.text.rows import LABELS
from tests.peers import tables
from tests.peers.scorers import Answers

PATH: Final = Path(__file__).parents[1] / "everyday" / "pairs.tsv"
COLUMNS: Final = ["lang", "kind", "first", "second", "holds"]
SENTIMENT, SAME, LABEL, ABOVE = "sentiment A>B", "same", "label:", " A>B"
APART: Final = 0.1
"""Labels whose probabilities are less than this apart may change places in another spelling."""


@dataclass(frozen=True, slots=True)
class Pair:
    """``holds`` is "sentiment A>B", "label:NAME A>B" or "same"."""

    lang: str
    kind: str
    first: str
    second: str
    holds: str

    @property
    def label(self) -> str | None:
        """The label that must be likelier for the first text, where the pair is about one."""
        return self.holds[len(LABEL) : -len(ABOVE)] if self.holds.startswith(LABEL) else None


def read(path: Path = PATH) -> list[Pair]:
    """The pairs of a table; raises EngineError with the line."""
    remedy = f"Write en or zh, a kind, two texts, and {SENTIMENT!r}, 'label:NAME A>B' or 'same'; tabs between"
    return tables.read(path, COLUMNS, _pair, "minimal pair", remedy)


def judge(pairs: Sequence[Pair], first: Answers, second: Answers) -> NDArray[Any]:
    """Float [pairs]: 1 where it holds, 0 where not, NaN where the scorer has no such answer."""
    return np.array([_judged(pair, k, first, second) for k, pair in enumerate(pairs)], np.float64)


def _judged(pair: Pair, k: int, first: Answers, second: Answers) -> float:
    if pair.holds == SAME:
        if first.classes is None or second.classes is None:
            return float("nan")
        return float(first.classes[k] == second.classes[k] and _ranked_alike(k, first, second))
    above, below = (_asked(pair, answers) for answers in (first, second))
    return float("nan") if above is None or below is None else float(above[k] > below[k])


def _asked(pair: Pair, answers: Answers) -> NDArray[Any] | None:
    return answers.polarity if pair.label is None else (answers.chances or {}).get(pair.label)


def _ranked_alike(k: int, first: Answers, second: Answers) -> bool:
    """Labels that stand apart for either text stand in the same order for the other."""
    one, two = (np.array([c[k] for c in (each.chances or {}).values()]) for each in (first, second))
    here, there = one[:, None] - one, two[:, None] - two
    return not (((here > APART) & (there <= 0)) | ((there > APART) & (here <= 0))).any()


def _pair(cells: list[str]) -> Pair | None:
    pair = Pair(*cells)
    known = pair.holds in (SENTIMENT, SAME) or (pair.holds.endswith(ABOVE) and pair.label in LABELS)
    return pair if known and pair.lang in ("en", "zh") else None
