"""A bundle of sentiment alone, without a moderation label: made, calibrated, measured, and serving."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson
import pytest
import yaml

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from engines.batch import Batch, Example  # noqa: E402
from engines.bundle import Bundle  # noqa: E402
from engines.engine import open_engine  # noqa: E402
from engines.errors import BundleError, EngineError  # noqa: E402
from engines.labels import Label, Labels  # noqa: E402
from engines.preprocess.text import text_encoder  # noqa: E402
from engines.training import dataset, enough, learnable  # noqa: E402
from engines.training.card import About, card  # noqa: E402
from engines.training.document import markdown  # noqa: E402
from engines.training.evaluate import evaluate  # noqa: E402
from engines.training.importing import import_bundle  # noqa: E402
from engines.training.recalibrate import recalibrate  # noqa: E402
from service.event import Event  # noqa: E402
from service.intake.intake import InputReport, Prepared  # noqa: E402
from service.lint import unknown_labels  # noqa: E402
from service.policy import Policy  # noqa: E402
from service.policy_file import read_policy  # noqa: E402
from service.record import Stored  # noqa: E402
from service.score import Scorer, Timings  # noqa: E402
from tests.labelled import write  # noqa: E402
from tests.tiny_bundle import build, seal  # noqa: E402
from tests.tiny_checkpoints import save  # noqa: E402

pytestmark = pytest.mark.train
WORDS = ("good", "bad", "the", "film", "great", "slow", "not", "was", "a")
CLASSES = {"NEG": "negative", "MEH": "neutral", "POS": "positive"}


def quiet(text: str) -> None:
    assert text


def reviews(count: int, moods: tuple[str, ...] = ("negative", "neutral", "positive")) -> list[dict]:
    """Reviews that nobody annotated for moderation, of random words; a third of each split."""
    random = np.random.default_rng(3)
    return [
        {
            "text": f"{' '.join(random.choice(WORDS, 7))} {k}",
            "split": ("train", "calibrate", "test")[k % 3],
            "lang": "en",
            "labels": {"sentiment": moods[int(random.integers(len(moods)))]},
        }
        for k in range(count)
    ]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    place = tmp_path_factory.mktemp("alone")
    save("distilbert", place / "mood", list(CLASSES), seed=1)
    entry = {"modality": "text", "folder": "mood", "activation": "softmax", "map": CLASSES}
    (place / "map.yaml").write_text(yaml.safe_dump({"checkpoints": [entry]}))
    write(place / "events.jsonl", reviews(180))
    return place


@pytest.fixture(scope="module")
def imported(place: Path) -> Bundle:
    return import_bundle(place / "map.yaml", place / "imported", quiet)


@pytest.fixture(scope="module")
def calibrated(place: Path, imported: Bundle) -> Bundle:
    data = dataset.load(place / "events.jsonl")
    made, outcome = recalibrate(imported.folder, data, place / "calibrated", precisions=("fp32",), threads=1)
    assert set(outcome.errors["fp32"]) == {"sentiment"}
    return made


def batch(bundle: Bundle) -> Batch:
    """A text, an image, and both."""
    text = text_encoder(bundle.preprocess.text).encode("the good film").channels
    image = np.zeros((bundle.preprocess.image.height, bundle.preprocess.image.width, 3), np.uint8)
    return Batch.of([Example(text), Example(None, [image]), Example(text, [image])])


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_every_engine_serves_it_and_gives_no_label(imported: Bundle, backend: str):
    assert imported.labels.names == ()
    engine = open_engine(imported, backend, "fp32", threads=1)
    engine.warm_up()
    assert engine.golden_error() < 1e-3
    out = engine.infer(batch(imported))
    engine.close()
    assert out.moderation.shape == (3, 0)
    assert out.patterns.shape == (3, 8, 1)
    assert out.sentiment[[0, 2]].sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert np.isnan(out.sentiment[1]).all()


def test_calibration_fits_its_sentiment_and_has_no_thresholds(calibrated: Bundle):
    fit = calibrated.calibration["fp32"]
    assert fit.calibrated
    assert fit.scale.shape == (8, 0)
    assert fit.thresholds == {}
    assert fit.temperature[1] != 1


def test_its_card_measures_sentiment_and_says_that_there_are_no_labels(place: Path, calibrated: Bundle):
    engine = open_engine(calibrated, "onnxruntime", "fp32", threads=1)
    report = evaluate(engine, dataset.load(place / "events.jsonl"), ("test",))
    engine.close()
    whole = report.splits["test"].whole
    assert whole.sentiment.rows == 60
    assert whole.labels == {}
    assert report.invariance.holds
    text = markdown(card(report, About()))
    assert "The bundle has no moderation label." in text
    assert "**Sentiment**, 60 events" in text


def test_its_scores_have_no_moderation_and_are_allowed(calibrated: Bundle):
    engine = open_engine(calibrated, "onnxruntime", "fp32", threads=1)
    events = batch(calibrated)
    out = engine.infer(events)
    scorer = Scorer(engine.labels, engine.info, Policy.load(None), thresholds=engine.thresholds)
    engine.close()
    inputs = [
        InputReport("text", 0, "scored", None, "0" * 64, 1),
        InputReport("image", None, "absent"),
        InputReport("audio", None, "absent"),
    ]
    example = Example(events.text[0])
    made = scorer.encode(
        Stored("posts", 0, 0, 0, None, b"{}"), Prepared(Event(id="e"), "e", inputs, example, None), out, 0,
        Timings(0, 0, 0, 0),
    )  # fmt: skip
    score = orjson.loads(made.value)
    assert score["moderation"] == {}
    assert score["decision"]["action"] == "allow"
    assert score["sentiment"]["status"] == "scored"
    assert score["contributions"]["text"] == 1


def test_a_policy_that_names_a_label_is_refused_as_for_any_bundle(tmp_path: Path):
    path = tmp_path / "policy.yaml"
    path.write_text("{name: mine, mode: enforce, default: {review: 0.5}, labels: {rudeness: {review: 0.5}}}")
    policy, document = read_policy(path)
    (found,) = unknown_labels(policy, document, ())
    assert found.level == "error"
    assert "no label of the bundle is called 'rudeness'" in str(found)


def test_reviews_alone_are_enough_to_train_on(place: Path, tmp_path: Path):
    from engines.training.making import make
    from engines.training.recipe import parse
    from engines.training.work import Work

    recipe = parse({"text": {"tower": "bag", "epochs": 1}, "head": {"epochs": 1}})
    data = dataset.load(place / "events.jsonl")
    assert data.labels.names == ()
    made = make(data, recipe, tmp_path / "out", Work(tmp_path / "work"), threads=1)
    assert made.labels == Labels((), (frozenset({"text"}),))
    assert made.calibrated
    again = make(data, recipe, tmp_path / "again", Work(tmp_path / "work"), threads=1)
    assert again.manifest["files"]["head.onnx"] == made.manifest["files"]["head.onnx"]


def test_a_declared_empty_list_of_labels_refuses_rows_that_use_one(tmp_path: Path):
    rows = [*reviews(9), {"text": "you fool", "labels": {"sentiment": "negative", "moderation": {"hate": 1}}}]
    path = write(tmp_path / "events.jsonl", rows)
    with pytest.raises(EngineError, match="unknown label hate"):
        dataset.load(path, Labels(()))


def test_events_without_label_and_sentiment_teach_nothing(tmp_path: Path):
    data = dataset.load(write(tmp_path / "events.jsonl", reviews(9)))
    data.events.sentiment[:] = -1
    with pytest.raises(EngineError, match="no training row has a sentiment or a label"):
        enough.check(data)
    for part in data.parts[0]:
        object.__setattr__(part, "sentiment", -1)
    with pytest.raises(EngineError, match="There is nothing to learn"):
        learnable.narrowed(data, frozenset({"text"}))


def test_labels_must_be_as_many_as_the_head_has(tmp_path: Path):
    folder = build(tmp_path / "b")
    Labels((Label("hate"),)).dump(folder / "labels.yaml")
    tree = (folder / "calibration.json").read_bytes()
    fits = orjson.loads(tree)
    for fit in fits["precisions"].values():
        fit["scale"], fit["bias"] = [[1.0]] * 8, [[0.0]] * 8
    (folder / "calibration.json").write_bytes(orjson.dumps(fits))
    with pytest.raises(BundleError, match="are not those of its head"):
        open_engine(seal(folder), "onnxruntime", "fp32", threads=1)
