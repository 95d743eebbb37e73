"""Text encoders may give several arrays for a text: each becomes an input of the text graph."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load_file

from engines import golden
from engines.batch import Batch, Example
from engines.errors import BundleError
from engines.planner import Budget
from engines.towers import Towers

CHANNELS = ("words", "chars")


def ids(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


TEXTS = [
    (ids(5, 6, 7), ids(1, 2, 3, 4, 5)),
    (ids(8), ids()),
    (ids(9, 4), ids(3)),
]


class Recorded:
    """A text graph that adds up what it sees of each channel, and remembers what it was given."""

    def __init__(self) -> None:
        self.seen: list[dict[str, np.ndarray]] = []

    def run(self, inputs):
        self.seen.append(dict(inputs))
        sums = [inputs[name].sum(axis=1) for name in CHANNELS]
        return {"tokens": np.stack(sums, axis=1)[:, None].astype(np.float32)}

    def close(self) -> None: ...


def run(budget: int) -> tuple[Recorded, np.ndarray]:
    session = Recorded()
    towers = Towers([session, session, session], [(1, 2)] * 3, Budget(tokens=budget), None, CHANNELS)
    return session, towers.run(Batch.of([Example(text) for text in TEXTS]))[0]


@pytest.mark.parametrize("budget", [1, 4, 100])
def test_every_channel_of_a_text_reaches_its_own_row_whatever_the_micro_batches_are(budget):
    _, tokens = run(budget)
    assert tokens[:, 0].tolist() == [[18, 15], [8, 0], [13, 3]]


def test_each_channel_is_padded_with_zeros_to_its_own_longest_row():
    session, _ = run(100)
    (inputs,) = session.seen
    assert inputs["words"].shape == (3, 3)
    assert inputs["chars"].shape == (3, 5)
    assert inputs["chars"][0].tolist() == [0] * 5  # the shortest text comes first


def test_a_channel_that_is_empty_for_all_rows_still_has_a_column():
    session, tokens = run(1)
    assert session.seen[0]["chars"].shape == (1, 1)
    assert np.isfinite(tokens).all()


def test_golden_vectors_keep_every_channel(tmp_path):
    examples = [Example(text) for text in TEXTS] + [Example(images=[np.zeros((2, 2, 3), np.uint8)])]
    expected = {
        "sentiment": np.zeros((4, 3)), "moderation": np.zeros((4, 2)), "unimodal": np.zeros((4, 3, 3)),
    }  # fmt: skip
    golden.write_golden(tmp_path / "golden.safetensors", examples, expected, CHANNELS)
    stored = load_file(tmp_path / "golden.safetensors")
    found = golden.batch_of(stored, CHANNELS)
    assert [[c.tolist() for c in text] for text in found.text] == [[c.tolist() for c in t] for t in TEXTS]
    with pytest.raises(BundleError, match="golden"):
        golden.batch_of(stored, ("ids",))
