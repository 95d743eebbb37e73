"""What a data set can teach: evidence that rows bear out, judges that share no group with what is learnt."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import numpy as np
import pytest

from engines.errors import EngineError
from engines.labels import Label, Labels
from engines.training.dataset import Dataset, made
from engines.training.learnable import around, generated, judges, narrowed
from engines.training.rows import Row
from engines.training.taxonomy import UNKNOWN

TEXT, IMAGE, BOTH = frozenset({"text"}), frozenset({"image"}), frozenset({"text", "image"})
ALL = frozenset({"text", "image", "audio"})


def row(k: int, *modalities: str, **more: Any) -> Row:
    content = {"text": sha256(b"%d" % k).hexdigest()[:30], "image": b"\x89PNG %d" % k}
    return Row(f"row {k}", {m: content[m] for m in modalities}, split=more.pop("split", "train"), **more)


def data(rows: list[Row], labels: Labels | None = None) -> Dataset:
    """The rows, with two held out, so that none of them is."""
    return made(
        [*rows, *(row(1000 + k, "text", sentiment=0, split=s) for k, s in enumerate(("test", "calibrate")))],
        labels,
    )


def memes(count: int = 8, **more: Any) -> list[Row]:
    return [
        row(k, "text", "image", moderation={"hate": k % 2}, sentiment=k % 3, **more) for k in range(count)
    ]


def test_a_label_keeps_only_the_evidence_that_rows_bear_out():
    labels = Labels((Label("rude", (TEXT, IMAGE)),))
    rows = [row(k, "text", moderation={"rude": k % 2}) for k in range(4)] + [
        row(9, "image", moderation={"rude": 0})
    ]
    found = narrowed(data(rows, labels), ALL)
    assert found.labels.labels[0].evidence == (TEXT,)


def test_a_label_declared_for_any_modality_but_seen_only_on_both_needs_both():
    found = narrowed(data(memes(), Labels((Label("hate"),))), ALL)
    assert found.labels.labels[0].evidence == (BOTH,)
    assert found.labels.sentiment_evidence == (BOTH,)


def test_without_any_sentiment_none_is_promised():
    rows = [row(k, "text", moderation={"rude": k % 2}) for k in range(4)]
    assert narrowed(data(rows), ALL).labels.sentiment_evidence == ()


def test_a_label_whose_modality_is_not_learnt_is_named():
    with pytest.raises(EngineError, match="Some labels cannot be learnt"):
        narrowed(data(memes(), Labels((Label("hate", (BOTH,)),))), frozenset({"text"}))


def test_judges_share_no_group_with_what_is_learnt():
    rows = [row(k, "text", sentiment=k % 3, group=f"g{k // 3}") for k in range(300)]
    found = data(rows)
    (texts, _, _), events = judges(found, 0.2, 1)
    assert 0.1 < events.mean() < 0.3
    assert not set(found.events.group[events]) & set(found.events.group[~events])
    assert np.array_equal(texts[found.events.rows[:, 0]], events)


def test_few_rows_are_all_learnt_from():
    assert not judges(data(memes()), 0.2, 1)[1].any()


def test_events_tell_of_parts_that_nobody_annotated_alone():
    told = around(data(memes()), 0)
    assert told is not None
    assert told[1][:8, 0].tolist() == [0, 1] * 4
    assert around(data([row(1, "text", sentiment=0)]), 0) is None


def test_what_a_part_says_alone_is_not_told_again_by_its_event():
    rows = memes(2)
    found = data(rows)
    parts = found.parts[0]
    parts[0].sentiment = 2
    told = around(Dataset((parts, *found.parts[1:]), found.events, found.labels), 0)  # type: ignore[arg-type]
    assert told is not None
    assert told[0][0] == UNKNOWN


def test_a_modality_is_synthetic_only_where_all_its_rows_were_generated():
    rows = [*memes(4, source="generated/1"), row(7, "text", sentiment=1)]
    assert generated(data(rows)) == ("image",)
