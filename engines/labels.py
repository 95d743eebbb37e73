"""What a bundle can say, and what must be there for it to be said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from engines.batch import MODALITIES, UInt8
from engines.errors import BundleError
from engines.mistakes import yaml_mistake

Evidence = tuple[frozenset[str], ...]
"""Any one of these sets of modalities, complete, is enough."""

ANY: Evidence = tuple(frozenset({m}) for m in MODALITIES)
"""One modality, whichever, is enough."""


@dataclass(frozen=True, slots=True)
class Label:
    """One moderation label: a `/`-path, what evidence it needs, whether the bundle grades its severity."""

    name: str
    evidence: Evidence = ANY
    severity: bool = False
    description: str = ""


@dataclass(frozen=True)
class Labels:
    """The labels of a bundle in the order of its moderation columns; none where it tells sentiment alone."""

    labels: tuple[Label, ...]
    sentiment_evidence: Evidence = ANY

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names in column order."""
        return tuple(label.name for label in self.labels)

    @cached_property
    def _table(self) -> NDArray[np.bool_]:
        """Bool [8 presence patterns, labels + 1]; the last column is sentiment."""
        rules = [label.evidence for label in self.labels] + [self.sentiment_evidence]
        return np.array([[enough(rule, p) for rule in rules] for p in range(8)], dtype=np.bool_)

    @cached_property
    def graded(self) -> NDArray[np.bool_]:
        """Bool [labels]: whose severity the bundle grades."""
        return np.array([label.severity for label in self.labels], dtype=np.bool_)

    def evaluable(self, presence: UInt8) -> NDArray[np.bool_]:
        """Bool [events, labels]: which labels have their evidence; `presence` uint8 [events]."""
        table = self._table[:, :-1]
        return table[presence]

    def sentiment_evaluable(self, presence: UInt8) -> NDArray[np.bool_]:
        """Bool [events]: which events have evidence for sentiment; `presence` uint8 [events]."""
        column: NDArray[np.bool_] = self._table[presence, -1]
        return column

    @classmethod
    def load(cls, path: Path) -> Labels:
        """Read labels.yaml; raises BundleError."""
        return cls.parse(path.read_bytes(), where=str(path))

    @classmethod
    def parse(cls, data: bytes, where: str = "labels.yaml") -> Labels:
        """Read the bytes of a labels.yaml; raises BundleError."""
        try:
            tree = yaml.safe_load(data)
        except yaml.YAMLError as error:
            raise _bad(where, yaml_mistake(error)) from error
        if not isinstance(tree, dict) or not isinstance(tree.get("labels"), list):
            raise _bad(where, "it must be a mapping with a list `labels`, which may be empty")
        labels = tuple(_label(entry, where) for entry in tree["labels"])
        names = [label.name for label in labels]
        if len(set(names)) < len(names):
            raise _bad(where, "a label's name stands there twice")
        sentiment = tree.get("sentiment", {})
        if not isinstance(sentiment, dict):
            raise _bad(where, "`sentiment` must be a mapping with `evidence`")
        if sentiment.get("evidence") == []:  # no evidence is enough: the bundle learnt no sentiment
            if not labels:
                raise _bad(where, "it has neither a label nor evidence for sentiment: nothing could be said")
            return cls(labels, ())
        return cls(labels, _evidence(sentiment.get("evidence"), "sentiment", where))

    def dump(self, path: Path) -> None:
        """Write labels.yaml, so that `load` gives the same labels back."""
        tree = {
            "sentiment": {"evidence": _plain(self.sentiment_evidence)},
            "labels": [
                {"name": x.name, "evidence": _plain(x.evidence)}
                | ({"severity": True} if x.severity else {})
                | ({"description": x.description} if x.description else {})
                for x in self.labels
            ],
        }
        path.write_text(
            yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=110), encoding="utf-8"
        )


def enough(evidence: Evidence, presence: int) -> bool:
    """Whether the modalities of the bitmask `presence` satisfy `evidence`."""
    here = {m for k, m in enumerate(MODALITIES) if presence >> k & 1}
    return any(needed <= here for needed in evidence)


def _label(entry: object, where: str) -> Label:
    if (
        not isinstance(entry, Mapping)
        or not isinstance(entry.get("name"), str)
        or not entry["name"].strip("/")
    ):
        raise _bad(where, f"each label needs a `name`, this one has none: {entry!r:.80}")
    unknown = set(entry) - {"name", "evidence", "severity", "description"}
    if unknown:
        raise _bad(where, f"label {entry['name']} has unknown keys {sorted(map(str, unknown))}")
    return Label(
        entry["name"],
        _evidence(entry.get("evidence"), entry["name"], where),
        bool(entry.get("severity", False)),
        str(entry.get("description", "")),
    )


def _evidence(value: Any, name: str, where: str) -> Evidence:
    if value is None:
        return ANY
    sets = value if isinstance(value, list) else []
    if not sets or not all(isinstance(s, list) and s and set(map(str, s)) <= set(MODALITIES) for s in sets):
        raise _bad(where, f"evidence of {name} must be lists of {', '.join(MODALITIES)}, not {value!r:.80}")
    return tuple(frozenset(s) for s in sets)


def _plain(evidence: Iterable[frozenset[str]]) -> list[list[str]]:
    return [sorted(s, key=MODALITIES.index) for s in evidence]


def _bad(where: str, why: str) -> BundleError:
    return BundleError(
        "The labels cannot be read", where=where, why=why, remedy="Mend it and write the bundle anew"
    )
