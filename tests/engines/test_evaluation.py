"""The evaluation set: what is written is read back, what is malformed is refused, what it holds is varied."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from engines.batch import Batch
from engines.bundle import EVALUATION, Bundle
from engines.errors import BundleError
from engines.evaluation import events_of, samples, write_evaluation
from engines.golden import batch_of
from engines.training import dataset
from engines.training.telling import telling, write_telling
from tests.tiny_bundle import LABELS, SIDE, VOCABULARY, examples, seal

COUNT = 21


def made(folder: Path, shared: bool = False) -> Bundle:
    rows = examples(COUNT)
    if shared:
        rows[8].images = rows[1].images
    random = np.random.default_rng(1)
    sentiment = random.integers(-1, 3, COUNT).astype(np.int8)
    labels = random.integers(-1, 2, (COUNT, len(LABELS))).astype(np.int8)
    write_evaluation(folder / EVALUATION, rows, sentiment, labels, ("ids",))
    return seal(folder)


def same(one: Batch, other: Batch) -> None:
    for name in ("presence", "text_event", "image_event", "audio_event"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for mine, theirs in zip(one.text, other.text, strict=True):
        np.testing.assert_array_equal(mine[0], theirs[0])
    for name in ("images", "audio"):
        for mine, theirs in zip(getattr(one, name), getattr(other, name), strict=True):
            np.testing.assert_array_equal(mine, theirs)
            assert mine.dtype == theirs.dtype


def test_events_are_read_back_as_they_were(folder: Path):
    bundle = made(folder)
    assert EVALUATION in bundle.manifest["files"]
    assert bundle.evaluation is not None
    same(bundle.evaluation, Batch.of(examples(COUNT)))
    assert bundle.evaluation.sentiment.shape == (COUNT,)
    assert bundle.evaluation.labels.shape == (COUNT, len(LABELS))


def test_an_input_that_events_share_is_written_once(folder: Path):
    alone = made(folder).evaluation
    count = len(load_file(folder / EVALUATION)["pixels"])
    shared = made(folder, shared=True).evaluation
    assert alone is not None
    assert shared is not None
    assert len(load_file(folder / EVALUATION)["pixels"]) == count - 1
    assert len(shared.images) == len(alone.images)
    np.testing.assert_array_equal(shared.images[4], shared.images[0])


def test_a_bundle_without_one_is_as_good_as_before(bundle: Bundle):
    assert bundle.evaluation is None


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("rows", None, "missing"),
        ("ids", np.zeros(3, np.int64), "wrong type"),
        ("ids.lengths", np.array([1, 2], np.int32), "add up"),
        ("samples.lengths", np.array([-5], np.int32), "add up"),
        ("rows", np.full((COUNT, 3), 999, np.int32), "that is there"),
        ("rows", np.full((COUNT, 3), -1, np.int32), "that is there"),
        ("rows", np.zeros((COUNT, 2), np.int32), "same events"),
        ("sentiment", np.zeros(3, np.int8), "same events"),
        ("sentiment", np.full(COUNT, 3, np.int8), "sentiment"),
        ("labels", np.zeros((COUNT, 1), np.int8), "same events"),
        ("labels", np.full((COUNT, len(LABELS)), 2, np.int8), "label"),
        ("pixels", np.zeros((12, SIDE, SIDE + 1, 3), np.uint8), "pixels"),
    ],
)
def test_what_is_malformed_is_refused(folder: Path, name: str, value: np.ndarray | None, why: str):
    made(folder)
    tensors = load_file(folder / EVALUATION) | ({} if value is None else {name: value})
    if value is None:
        del tensors[name]
    save_file(tensors, folder / EVALUATION)
    with pytest.raises(BundleError, match=why):
        _ = seal(folder).evaluation


@pytest.mark.parametrize("wrong", [0, -1, VOCABULARY])
def test_ids_that_the_graph_does_not_know_are_refused(folder: Path, wrong: int):
    made(folder)
    tensors = load_file(folder / EVALUATION)
    tensors["ids"][5] = wrong
    save_file(tensors, folder / EVALUATION)
    with pytest.raises(BundleError, match="ids from 1"):
        _ = seal(folder).evaluation


def test_what_is_no_safetensors_is_refused(folder: Path):
    (folder / EVALUATION).write_bytes(b"no tensors")
    with pytest.raises(BundleError, match="safetensors"):
        _ = seal(folder).evaluation


def test_it_is_verified_when_it_is_read(folder: Path):
    bundle = made(folder)
    (folder / EVALUATION).write_bytes(b"no tensors")
    with pytest.raises(BundleError, match="SHA-256"):
        _ = bundle.evaluation


def test_the_events_to_judge_by_are_the_set_or_else_the_golden_vectors(bundle: Bundle, folder: Path):
    found = events_of(bundle)
    assert found is not None
    assert bundle.golden is not None
    same(found[0], batch_of(bundle.golden))
    assert not found[1]
    found = events_of(made(folder))
    assert found is not None
    assert len(found[0]) == COUNT
    assert found[1]
    for name in (EVALUATION, "golden.safetensors"):
        (folder / name).unlink()
    assert events_of(seal(folder)) is None
    assert samples(seal(folder), "text") == []


@pytest.mark.parametrize("tower", ["text", "image", "audio", "head"])
def test_samples_are_what_the_graph_is_given(folder: Path, tower: str):
    import onnxruntime

    bundle = made(folder)
    found = samples(bundle, tower)
    session = onnxruntime.InferenceSession(bundle.read(bundle.graph_name(tower)))
    assert {own.name for own in session.get_inputs()} == set(found[0])
    rows = 0
    for inputs in found:
        answers = session.run(None, dict(inputs))
        assert all(np.isfinite(answer).all() for answer in answers)
        rows += len(next(iter(inputs.values())))
    assert bundle.evaluation is not None
    counts = {name: len(getattr(bundle.evaluation, name)) for name in ("text", "images", "audio")}
    assert rows == (COUNT if tower == "head" else counts.get(tower, counts.get(f"{tower}s")))


def events(count: int, seed: int = 0) -> tuple[dataset.Events, tuple]:
    """Events of two languages, most of them texts, and inputs of which half are shared."""
    random = np.random.default_rng(seed)
    patterns = random.choice([1, 1, 1, 2, 3, 4, 5, 7], count)
    half = count // 2
    inputs = (
        [(random.integers(1, 9, random.integers(1, 30), dtype=np.int32),) for _ in range(half)],
        [random.integers(0, 9, (4, 4, 3), dtype=np.uint8) for _ in range(half)],
        [random.integers(-9, 9, random.integers(10, 500), dtype=np.int16) for _ in range(half)],
    )
    rows = np.where((patterns[:, None] >> np.arange(3)) & 1, random.integers(0, half, (count, 3)), -1)
    found = dataset.gather(
        rows.tolist(),
        random.integers(-1, 3, count).tolist(),
        (random.random((count, 3)) < (0.3, 0.05, 0.01)).astype(int).tolist(),
        random.choice(4, count, p=[0.7, 0.1, 0.15, 0.05]).tolist(),
        [False] * count,
        lang=random.choice(["en", "zh"], count, p=[0.95, 0.05]).tolist(),
    )
    return found, inputs


def test_no_event_that_taught_goes_with_the_bundle():
    found, inputs = events(4000)
    picked = telling(inputs, found, most=3000, size=10**9)
    assert len(picked) == (found.split != 0).sum()
    assert (found.split[picked] != 0).all()


def test_test_events_come_first():
    found, inputs = events(4000)
    assert (found.split[telling(inputs, found, most=300)] == 2).all()


def test_rare_kinds_of_events_are_there():
    found, inputs = events(6000)
    picked = telling(inputs, found, most=400)
    assert len(picked) == 400
    assert set(found.presence[picked]) == {1, 2, 3, 4, 5, 7}
    share = Counter(found.lang[picked].tolist())
    assert share["zh"] > 0.2 * 400 or share["zh"] == ((found.lang == "zh") & (found.split == 2)).sum()
    rare = (found.labels[:, 2] == 1) & (found.labels[:, :2] == 0).all(axis=1) & (found.split == 2)
    assert set(np.flatnonzero(rare)) <= set(picked.tolist())


def test_bytes_stay_within_the_budget(tmp_path: Path):
    found, inputs = events(4000)
    count = write_telling(tmp_path, inputs, found, ("ids",), most=2000, size=40_000)
    assert 0 < count < 2000
    tensors = load_file(tmp_path / EVALUATION)
    assert sum(tensors[name].nbytes for name in ("ids", "pixels", "samples")) <= 40_000


def test_the_same_events_are_picked_again():
    found, inputs = events(2000)
    np.testing.assert_array_equal(telling(inputs, found, 150), telling(inputs, found, 150))


def test_where_nothing_was_held_out_nothing_is_written(tmp_path: Path):
    found, inputs = events(500)
    assert write_telling(tmp_path, inputs, found.of("train"), ("ids",)) == 0
    assert not (tmp_path / EVALUATION).exists()
