"""Checkpoints of single modalities become one bundle, which scores as they do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from safetensors.numpy import load_file, save_file  # noqa: E402

from engines.batch import Batch, Example  # noqa: E402
from engines.bundle import Bundle  # noqa: E402
from engines.engine import open_engine  # noqa: E402
from engines.errors import EngineError  # noqa: E402
from engines.preprocess.text import text_encoder  # noqa: E402
from engines.training.importing import import_bundle  # noqa: E402
from tests.tiny_checkpoints import SIDE, save  # noqa: E402

pytestmark = pytest.mark.train

TEXTS = ["a good film", "the slow bad film was not great", "好 电 影", ""]
MAP = {
    "name": "mine",
    "licence": "Apache-2.0",
    "seconds": 3,
    "labels": [
        {"name": "harassment", "description": "toxic to someone"},
        {"name": "sexual/explicit"},
        {"name": "profanity"},
    ],
    "checkpoints": [
        {
            "modality": "text", "folder": "mood", "activation": "softmax",
            "map": {"NEG": "negative", "MEH": "neutral", "POS": "positive"},
        },
        {
            "modality": "text", "folder": "toxic", "activation": "sigmoid",
            "map": {"insult": "harassment", "threat": "harassment", "obscene": "profanity", "male": "ignore"},
        },
        {
            "modality": "image", "folder": "nsfw", "activation": "softmax",
            "map": {"drawing": "ignore", "nsfw": "sexual/explicit", "hentai": "sexual/explicit"},
        },
        {
            "modality": "audio", "folder": "voice", "activation": "softmax",
            "map": {"ang": "negative", "sad": "negative", "hap": "positive"},
        },
    ],
}  # fmt: skip


def classes(folder: str) -> list[str]:
    return [str(name) for each in MAP["checkpoints"] if each["folder"] == folder for name in each["map"]]


def quiet(text: str) -> None:
    assert text


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four checkpoints, and the map beside them."""
    torch.set_num_threads(1)
    place = tmp_path_factory.mktemp("import")
    save("distilbert", place / "mood", classes("mood"), seed=1)
    save("roberta", place / "toxic", classes("toxic"), seed=2)
    (place / "toxic" / "tokenizer.json").write_text(other_words(place))
    save("vit", place / "nsfw", classes("nsfw"), seed=3)
    save("wav2vec2", place / "voice", classes("voice"), seed=4, use_weighted_layer_sum=True)
    (place / "map.yaml").write_text(yaml.safe_dump(MAP))
    return place


def other_words(place: Path) -> str:
    """Another tokenizer, which knows some of the words by other numbers."""
    tree = json.loads((place / "mood" / "tokenizer.json").read_text())
    words = tree["model"]["vocab"]
    tree["model"]["vocab"] = {word: (k if k < 4 else len(words) + 3 - k) for word, k in words.items()}
    return json.dumps(tree)


@pytest.fixture(scope="module")
def bundle(place: Path) -> Bundle:
    said: list[str] = []
    made = import_bundle(place / "map.yaml", place / "out" / "bundle", said.append)
    assert any("not calibrated" in line for line in said)
    return made


def events(bundle: Bundle) -> list[Example]:
    """Texts, images, sounds, alone and together."""
    random, encode = np.random.default_rng(9), text_encoder(bundle.preprocess.text).encode
    texts = [encode(text).channels for text in TEXTS]
    images = [random.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8) for _ in range(2)]
    sounds = [(random.standard_normal(n) * 3000).astype(np.int16) for n in (9000, 30_000)]
    return [
        *(Example(text) for text in texts),
        *(Example(None, [image]) for image in images),
        *(Example(None, [], [sound]) for sound in sounds),
        Example(texts[1], [images[1]], [sounds[0]]),
    ]


def test_it_is_a_bundle_like_any_other_and_says_that_it_is_not_calibrated(bundle: Bundle):
    assert (bundle.name, bundle.labels.names) == ("mine", ("harassment", "sexual/explicit", "profanity"))
    assert "calibrated" not in bundle.manifest["provenance"]
    assert not any(fit.calibrated for fit in bundle.calibration.values())
    assert "Not calibrated" in bundle.read("MODEL_CARD.md").decode()
    assert bundle.preprocess.text.channels == ("ids", "ids_2")
    weights = bundle.manifest["provenance"]["checkpoints"][0]["weights"]
    assert len(weights["model.safetensors"]) == 64


def test_the_golden_vectors_are_torchs_and_hold_on_the_engine(bundle: Bundle):
    engine = open_engine(bundle, "onnxruntime", "fp32", threads=1)
    engine.warm_up()
    assert engine.golden_error() < 1e-4
    assert not engine.info.calibrated
    engine.close()


def logits(place: Path, name: str, kind: str, **given) -> np.ndarray:
    """What transformers' own class says."""
    model = getattr(transformers, kind).from_pretrained(place / name).eval()
    with torch.no_grad():
        return model(**given).logits[0].numpy()


def softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max())
    return powers / powers.sum()


def odds(values: np.ndarray) -> np.ndarray:
    return values / (1 - values)


def test_every_modality_alone_scores_as_its_checkpoints_do(place: Path, bundle: Bundle):
    engine = open_engine(bundle, "onnxruntime", "fp32", threads=1)
    rows = events(bundle)
    out = engine.infer(Batch.of(rows))
    engine.close()
    for k in range(len(TEXTS)):
        ids = [torch.from_numpy(channel)[None].long() - 1 for channel in rows[k].text]
        mood = logits(place, "mood", "DistilBertForSequenceClassification", input_ids=ids[0])
        assert out.sentiment[k] == pytest.approx(softmax(mood), abs=1e-4)
        toxic = np.exp(
            logits(
                place, "toxic", "RobertaForSequenceClassification", input_ids=ids[1],
                position_ids=torch.arange(ids[1].shape[1])[None] + 2,
            )
        )  # fmt: skip
        assert odds(out.moderation[k, 0]) == pytest.approx(toxic[0] + toxic[1], rel=1e-3)
        assert odds(out.moderation[k, 2]) == pytest.approx(toxic[2], rel=1e-3)
        assert np.isnan(out.moderation[k, 1]), "no text model knows it"
    extractor = transformers.ViTImageProcessorPil.from_pretrained(place / "nsfw")
    for k in (4, 5):
        pixels = extractor(rows[k].images[0], do_resize=False, return_tensors="pt").pixel_values
        nsfw = softmax(logits(place, "nsfw", "ViTForImageClassification", pixel_values=pixels))
        assert out.moderation[k, 1] == pytest.approx(nsfw[1] + nsfw[2], abs=1e-4)
        assert np.isnan(out.sentiment[k]).all(), "no image model tells of sentiment"
        assert np.isnan(out.unimodal[k]).all()
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=True)
    for k in (6, 7):
        wave = extractor(rows[k].audio[0] / 32768, sampling_rate=16_000, return_tensors="pt")
        angry, sad, happy = logits(
            place, "voice", "Wav2Vec2ForSequenceClassification", input_values=wave.input_values.float()
        )
        negative = np.logaddexp(angry, sad)
        wanted = softmax(np.array([negative, (negative + happy) / 2, happy]))
        assert out.sentiment[k] == pytest.approx(wanted, abs=1e-4)


def test_together_sentiments_are_multiplied_and_labels_keep_their_modality(bundle: Bundle):
    engine = open_engine(bundle, "onnxruntime", "fp32", threads=1)
    out = engine.infer(Batch.of(events(bundle)))
    engine.close()
    product = out.sentiment[1] * out.sentiment[6]
    assert out.sentiment[-1] == pytest.approx(product / product.sum(), abs=1e-4)
    alone = [out.moderation[1, 0], out.moderation[5, 1], out.moderation[1, 2]]
    assert out.moderation[-1] == pytest.approx(np.array(alone), abs=1e-4)


def write(place: Path, folder: Path, change) -> Path:
    """A map beside copies of nothing: its folders are still those of `place`."""
    tree = json.loads(json.dumps(MAP))
    for entry in tree["checkpoints"]:
        entry["folder"] = str(place / entry["folder"])
    change(tree)
    path = folder / "map.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


def only(tree: dict, k: int, **changes) -> None:
    """Keep one checkpoint, changed."""
    tree["checkpoints"] = [{**tree["checkpoints"][k], **changes}]
    del tree["labels"]


def test_stars_become_three_classes(tmp_path: Path):
    save("bert", tmp_path / "stars", [f"{k} stars" for k in range(1, 6)])
    save("bert", tmp_path / "rude", ["no", "yes"], seed=3)
    tree = {
        "checkpoints": [
            {"modality": "text", "folder": "stars", "activation": "softmax", "map": "stars"},
            {"modality": "text", "folder": "rude", "activation": "softmax", "map": {0: "ignore", 1: "rude"}},
        ]
    }
    (tmp_path / "map.yaml").write_text(yaml.safe_dump(tree))
    made = import_bundle(tmp_path / "map.yaml", tmp_path / "out", quiet)
    assert made.preprocess.text.channels == ("ids",), "the same tokenizer is kept once"
    engine = open_engine(made, "onnxruntime", "fp32", threads=1)
    engine.warm_up()
    ids = text_encoder(made.preprocess.text).encode(TEXTS[1]).channels
    out = engine.infer(Batch.of([Example(ids)]))
    engine.close()
    given = {"input_ids": torch.from_numpy(ids[0])[None].long() - 1}
    five = softmax(logits(tmp_path, "stars", "BertForSequenceClassification", **given))
    wanted = [five[0] + five[1], five[2], five[3] + five[4]]
    assert out.sentiment[0] == pytest.approx(np.array(wanted), abs=1e-4)
    rude = softmax(logits(tmp_path, "rude", "BertForSequenceClassification", **given))
    assert out.moderation[0, 0] == pytest.approx(rude[1], abs=1e-4)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda t: t["checkpoints"][1]["map"].pop("male"), "leaves out male.*write ignore"),
        (lambda t: t["checkpoints"][1]["map"].update(bogus="hate"), "name the same: hate|none is bogus"),
        (lambda t: t["checkpoints"][1]["map"].update(bogus="ignore"), "insult, .*none is bogus"),
        (lambda t: t["checkpoints"][0].update(map="stars"), "is for models of 5"),
        (lambda t: t["checkpoints"][0]["map"].update(POS="neutral"), "both a negative and a positive"),
        (lambda t: t["checkpoints"][0]["map"].update(POS="Bad Name"), "'Bad Name', which is no name"),
        (lambda t: t["checkpoints"][0].pop("activation"), "needs an `activation`.*softmax where"),
        (lambda t: t["checkpoints"][0].update(modality="video"), "needs a `modality`"),
        (lambda t: t["checkpoints"][0].update(modality="image"), "distilbert is for text, not for image"),
        (lambda t: t["checkpoints"][0].update(colour=1), "unknown keys: colour"),
        (lambda t: t["checkpoints"][0].update(folder="nowhere"), "no such folder"),
        (lambda t: t.update(labels=[{"name": "hate"}]), "do not name the same"),
        (lambda t: t.update(seconds="long"), "`seconds` is no float"),
        (lambda t: t.update(checkpoints=[]), "a list `checkpoints`"),
        (lambda t: only(t, 0, map=dict.fromkeys(classes("mood"), "ignore")), "the bundle would say nothing"),
        (lambda t: only(t, 2, map=dict.fromkeys(classes("nsfw"), "nsfw")), "it would always hold"),
    ],
)
def test_a_wrong_map_is_refused_with_the_reason(change, why: str, place: Path, tmp_path: Path):
    path = write(place, tmp_path, change)
    with pytest.raises(EngineError, match=why):
        import_bundle(path, tmp_path / "out", quiet)
    assert not (tmp_path / "out").exists()


def rename(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def lose_head(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    kept = {name: value for name, value in weights.items() if not name.startswith("classifier")}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})


def foreign(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "t5"}))


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (rename, r"pytorch_model\.bin.*pickle"),
        (lose_head, "no weights for"),
        (foreign, "t5 is not supported.*bert"),
        (lambda folder: (folder / "tokenizer.json").unlink(), r"tokenizer\.json"),
    ],
)
def test_a_spoilt_checkpoint_is_refused_with_the_reason(spoil, why: str, tmp_path: Path):
    spoil(save("bert", tmp_path / "rude", ["no", "yes"]))
    entry = {
        "modality": "text",
        "folder": "rude",
        "activation": "softmax",
        "map": {"no": "ignore", "yes": "hate"},
    }
    (tmp_path / "map.yaml").write_text(yaml.safe_dump({"checkpoints": [entry]}))
    with pytest.raises(EngineError, match=why):
        import_bundle(tmp_path / "map.yaml", tmp_path / "out", quiet)


def test_a_map_that_is_not_there_or_not_yaml_is_refused(tmp_path: Path):
    with pytest.raises(EngineError, match="cannot be read"):
        import_bundle(tmp_path / "map.yaml", tmp_path / "out", quiet)
    (tmp_path / "map.yaml").write_text("{")
    with pytest.raises(EngineError, match="not YAML"):
        import_bundle(tmp_path / "map.yaml", tmp_path / "out", quiet)


def test_a_bundle_without_a_name_gets_that_of_its_folder(place: Path, tmp_path: Path):
    told = {**MAP, "checkpoints": [{**MAP["checkpoints"][0], "folder": str(place / "mood")}]}
    del told["name"], told["labels"]
    (tmp_path / "map.yaml").write_text(yaml.safe_dump(told))
    made = import_bundle(tmp_path / "map.yaml", tmp_path / "joined", quiet)
    assert made.name == "joined"


def test_a_map_that_is_missing_is_told_without_numbers(tmp_path: Path):
    with pytest.raises(EngineError, match="No such file or directory") as caught:
        import_bundle(tmp_path / "map.yaml", tmp_path / "out", quiet)
    assert "Errno" not in str(caught.value)
    assert "Name the map's file" in caught.value.remedy


def test_nothing_is_written_over(place: Path, tmp_path: Path):
    (tmp_path / "precious").write_text("mine")
    with pytest.raises(EngineError, match="there is something already"):
        import_bundle(place / "map.yaml", tmp_path, quiet)
