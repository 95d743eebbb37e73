"""Functional tests for hate: each a short text of one kind, hateful or a look-alike.

The kinds follow HateCheck (Röttger et al. 2021), Multilingual HateCheck (Röttger et al. 2022) and
HatemojiCheck (Kirk et al. 2022); every text is our own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.training import metrics
from tests.peers import tables
from tests.peers.figures import Figure, figure
from tests.peers.scorers import Answers

PATH: Final = Path(__file__).parents[1] / "everyday" / "hate.tsv"
COLUMNS: Final = ["lang", "kind", "hateful", "text"]
SUITES: Final = {"en": "English", "emoji": "English with emoji", "zh": "Chinese"}
"""What is measured by itself; the second are the kinds whose name begins so."""


@dataclass(frozen=True, slots=True)
class Case:
    """One text; all of a kind are hateful, or none is."""

    lang: str
    kind: str
    hateful: bool
    text: str

    @property
    def suite(self) -> str:
        """Its key in `SUITES`."""
        return "emoji" if self.kind.startswith("emoji_") else self.lang


@dataclass(frozen=True, slots=True)
class Passed:
    """AUROC of `hate` alone: over a suite, and of each kind against all cases of the other class."""

    whole: Figure
    kinds: dict[str, float]


def read(path: Path = PATH) -> list[Case]:
    """The cases of a table; raises EngineError with the line."""
    remedy = "Write en or zh, a kind, 1 or 0, and the text; tabs between"
    return tables.read(path, COLUMNS, _case, "functional test", remedy)


def measure(cases: Sequence[Case], answers: Answers, resamples: int) -> Passed | None:
    """The figures of one suite; None where the scorer has no such label."""
    hate = (answers.chances or {}).get("hate")
    if hate is None:
        return None
    truth = np.array([case.hateful for case in cases])
    kinds = {}
    for kind in dict.fromkeys(case.kind for case in cases):
        own = np.array([case.kind == kind for case in cases])
        asked: NDArray[Any] = own | (truth != truth[own][0])
        kinds[kind] = metrics.auroc(truth[asked], hate[asked])
    return Passed(figure(metrics.auroc, (truth, hate), resamples), kinds)


def _case(cells: list[str]) -> Case | None:
    lang, kind, hateful, text = cells
    known = lang in ("en", "zh") and hateful in ("0", "1")
    return Case(lang, kind, hateful == "1", text) if known else None
