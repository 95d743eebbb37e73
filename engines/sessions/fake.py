"""A model made of arithmetic: for tests of other rooms. Never chosen by `auto`."""

from __future__ import annotations

import numpy as np

from engines.batch import Float32
from engines.bundle import Bundle
from engines.sessions.base import Arrays, Backend, Terms


class FakeSession:
    """Answers from the sizes and sums of its inputs: deterministic, and each row by itself."""

    def __init__(self, bundle: Bundle, tower: str, precision: str, terms: Terms) -> None:
        del precision, terms
        self._tower, self._width, self._tokens = tower, bundle.width, bundle.tokens
        self._labels, self._graded = len(bundle.labels), bundle.labels.graded.any()

    def run(self, inputs: Arrays) -> dict[str, Float32]:
        """Outputs by name, shaped like the real graph's."""
        if self._tower == "head":
            return self._head(inputs)
        k = ("text", "image", "audio").index(self._tower)
        rows = next(iter(inputs.values()))
        sums = rows.reshape(len(rows), -1).astype(np.float64).sum(axis=1)
        level = (np.sin(sums) * 2).astype(np.float32)
        return {
            "tokens": np.broadcast_to(level[:, None, None], (len(rows), self._tokens[k], self._width)).copy()
        }

    def close(self) -> None:
        """Nothing to give back."""

    def _head(self, inputs: Arrays) -> dict[str, Float32]:
        here = inputs["presence"] > 0
        levels = np.stack([inputs[m][:, 0, 0] for m in ("text", "image", "audio")], axis=1)
        levels = np.where(here, levels, np.float32(0))
        total = levels.sum(axis=1, keepdims=True)
        unimodal = np.stack([-levels, 0 * levels, levels], axis=2)
        graded = {"severity": np.repeat(total, self._labels, axis=1)} if self._graded else {}
        return graded | {
            "sentiment": np.concatenate([-total, 0 * total, total], axis=1),
            "moderation": total + np.linspace(-2, 1, self._labels, dtype=np.float32),
            "unimodal": unimodal,
            "embedding": np.broadcast_to(total, (len(total), self._width)).copy(),
        }


BACKEND = Backend(
    name="fake",
    missing=lambda: None,
    native=lambda: ("fp32",),
    describe=lambda: "arithmetic, no model",
    open=FakeSession,
)
