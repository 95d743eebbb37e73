"""Every supported architecture as a tower: tiny, random, offline, exported and compared with torch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from safetensors.numpy import save_file

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from engines.errors import EngineError  # noqa: E402
from engines.export import FORBIDDEN, export  # noqa: E402
from engines.model.architectures import ARCHITECTURES  # noqa: E402
from engines.model.checkpoint import open_checkpoint  # noqa: E402
from engines.model.preparation import audio_spec, image_spec, text_spec  # noqa: E402
from engines.model.pretrained import PretrainedTower, body_of  # noqa: E402
from engines.preprocess.text import text_encoder  # noqa: E402
from tests.tiny_checkpoints import SIDE, save  # noqa: E402

pytestmark = pytest.mark.train

TOKENS, WIDTH = 2, 8
BOUND = 1e-4
KINDS = sorted(ARCHITECTURES)


@pytest.fixture(autouse=True)
def _calm():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def rows_of(modality: str, count: int) -> list[dict[str, np.ndarray]]:
    """Inputs of one row each, of different lengths where there are lengths."""
    random = np.random.default_rng(5)
    if modality == "text":
        return [{"ids": random.integers(2, 40, (1, 3 + 9 * k), dtype=np.int32)} for k in range(count)]
    if modality == "image":
        shape = (1, SIDE, SIDE, 3)
        return [{"pixels": random.integers(0, 256, shape, dtype=np.uint8)} for _ in range(count)]
    sizes = [4000 + 3700 * k for k in range(count)]
    return [
        {
            "samples": (3000 * random.standard_normal((1, n))).astype(np.float32),
            "lengths": np.array([n], np.int32),
        }
        for n in sizes
    ]


def together(rows: list[dict[str, np.ndarray]], extra: int = 0) -> dict[str, np.ndarray]:
    """The rows as one batch, padded with zeros, and by `extra` more."""
    joined = {}
    for name in rows[0]:
        parts = [row[name] for row in rows]
        if parts[0].ndim == 2:
            longest = max(part.shape[1] for part in parts) + extra
            parts = [np.pad(part, ((0, 0), (0, longest - part.shape[1]))) for part in parts]
        joined[name] = np.concatenate(parts)
    return joined


@pytest.mark.parametrize("kind", KINDS)
def test_every_architecture_is_a_tower_and_its_graph_agrees_with_torch(kind: str, tmp_path: Path):
    modality = ARCHITECTURES[kind].modality
    tower = PretrainedTower.load(modality, save(kind, tmp_path / "it"), TOKENS, WIDTH).eval()
    path = tmp_path / "tower.onnx"
    export(modality, tower, path)
    model = onnx.load(path)
    assert model.opset_import[0].version == 20
    assert not {node.op_type for node in model.graph.node} & FORBIDDEN
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    rows = rows_of(modality, 3)
    alone = np.concatenate([session.run(["tokens"], row)[0] for row in rows])
    batch = together(rows)
    with torch.no_grad():
        wanted = tower(*(torch.from_numpy(batch[name]) for name in tower.inputs)).numpy()
    assert alone.shape == (3, TOKENS, WIDTH)
    assert np.ptp(alone, axis=0).max() > 1e-2, "the tower must hear its input"
    assert session.run(["tokens"], batch)[0] == pytest.approx(wanted, abs=BOUND)
    assert alone == pytest.approx(wanted, abs=BOUND), "a row scores the same alone and in a padded batch"
    if modality != "image":
        assert session.run(["tokens"], together(rows, extra=11))[0] == pytest.approx(wanted, abs=BOUND)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if ARCHITECTURES[kind].modality == "text"])
def test_a_text_gets_the_hidden_states_that_transformers_gives_it(kind: str, tmp_path: Path):
    checkpoint = open_checkpoint(save(kind, tmp_path), "text")
    body = body_of(checkpoint)
    encoded = text_encoder(text_spec(checkpoint)).encode("a good film not 坏 " * 4)
    ids = torch.from_numpy(encoded.channels[0])[None]
    with torch.no_grad():
        hidden, _ = body(ids)
        wanted = body.model(input_ids=ids.long() - 1, attention_mask=torch.ones_like(ids)).last_hidden_state
    assert ids.shape[1] > 20
    assert hidden.numpy() == pytest.approx(wanted.numpy(), abs=BOUND)


@pytest.mark.parametrize("stable", [False, True])
@pytest.mark.parametrize("kind", ["wav2vec2", "hubert", "wavlm"])
def test_a_sound_in_a_padded_batch_gets_what_transformers_gives_it_alone(kind, stable, tmp_path: Path):
    change = {"do_stable_layer_norm": stable, "feat_extract_norm": "layer" if stable else "group"}
    body = body_of(open_checkpoint(save(kind, tmp_path, **change), "audio"))
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=True)
    rows = rows_of("audio", 2)
    with torch.no_grad():
        hidden, valid = body(*map(torch.from_numpy, together(rows, 5000).values()))
        for k, row in enumerate(rows):
            given = extractor(row["samples"][0] / 32768, sampling_rate=16_000, return_tensors="pt")
            wanted = body.model(given.input_values).last_hidden_state[0].numpy()
            assert int(valid[k].sum()) == len(wanted)
            assert hidden[k, : len(wanted)].numpy() == pytest.approx(wanted, abs=BOUND)


def sounds(seed: int = 3) -> list[np.ndarray]:
    """int16: something like a voice, noise, a click too short for a frame, silence."""
    random, time = np.random.default_rng(seed), np.arange(14_000)
    voice = sum(np.sin(time * 0.04 * k + k) / k for k in range(1, 9)) * (1 + np.sin(time * 0.002))
    noise = random.standard_normal(9_001)
    parts = (voice * 3000 + 30 * random.standard_normal(len(voice)), noise * 4000, noise[:300] * 900)
    return [*(part.astype(np.int16) for part in parts), np.zeros(5000, np.int16)]


def features(kind: str, folder: Path, **prepared) -> np.ndarray:
    """What the graph makes of `sounds`, in a batch that is padded with noise."""
    save(kind, folder)
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | prepared))
    entry = body_of(open_checkpoint(folder, "audio")).entry
    clips = sounds()
    table = np.full((len(clips), 15_000), 777.0, np.float32)
    for row, clip in zip(table, clips, strict=True):
        row[: len(clip)] = clip
    lengths = torch.tensor([len(clip) for clip in clips], dtype=torch.int32)
    return entry.features(torch.from_numpy(table), lengths).numpy()


def test_whispers_features_are_those_of_transformers(tmp_path: Path):
    extractor = transformers.WhisperFeatureExtractor(feature_size=8, chunk_length=1)
    wanted = [extractor(clip / 32768, sampling_rate=16_000)["input_features"][0] for clip in sounds()]
    assert features("whisper", tmp_path) == pytest.approx(np.stack(wanted), abs=1e-3)


def test_asts_features_are_those_of_transformers(tmp_path: Path):
    extractor = transformers.ASTFeatureExtractor(num_mel_bins=16, max_length=64)
    found = features("audio-spectrogram-transformer", tmp_path)
    for mine, clip in zip(found, sounds(), strict=True):
        if len(clip) >= 400:  # less than a frame is nothing to transformers but an error
            wanted = extractor((clip / 32768).astype(np.float32), sampling_rate=16_000)["input_values"][0]
            assert mine == pytest.approx(np.asarray(wanted), abs=1e-3)


@pytest.mark.parametrize("truncation", ["fusion", "rand_trunc"])
@pytest.mark.parametrize("padding", ["repeatpad", "repeat", "pad"])
def test_claps_features_are_those_of_transformers(truncation, padding, tmp_path: Path):
    extractor = transformers.ClapFeatureExtractor(
        feature_size=16, max_length_s=1, truncation=truncation, padding=padding
    )
    found = features("clap", tmp_path, truncation=truncation, padding=padding)
    for mine, clip in zip(found, sounds(), strict=True):
        wave = (clip / 32768).astype(np.float32)
        wanted = np.asarray(extractor(wave, sampling_rate=48_000)["input_features"][0])
        # in bel, the scale of Whisper's: CLAP's own unit is the tenth of it
        assert mine / 10 == pytest.approx(wanted[:1] / 10, abs=1e-3)


def test_pixels_are_prepared_as_the_image_processor_does(tmp_path: Path):
    from PIL import Image

    from engines.preprocess.image import ImageLimits, decode_image

    save("clip", tmp_path)
    prepared = {
        "do_resize": True, "size": {"shortest_edge": 36}, "do_center_crop": True, "crop_size": SIDE,
        "image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28], "resample": 3,
    }  # fmt: skip
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(prepared))
    checkpoint = open_checkpoint(tmp_path, "image")
    ramp = np.linspace(0, 255, 50 * 70 * 3).reshape(50, 70, 3).astype(np.uint8)
    Image.fromarray(ramp).save(tmp_path / "it.png")
    spec = image_spec(checkpoint)
    pixels = decode_image((tmp_path / "it.png").read_bytes(), spec, ImageLimits())[0]
    given, _ = body_of(checkpoint).entry(torch.from_numpy(pixels)[None])
    wanted = transformers.CLIPImageProcessorPil(**prepared)(Image.fromarray(ramp), return_tensors="np")
    assert (spec.fit, spec.edge, spec.resample) == ("crop", 36, "bicubic")
    assert given["pixel_values"].numpy() == pytest.approx(wanted["pixel_values"], abs=0.02)


def test_the_window_of_an_audio_tower_is_the_models(tmp_path: Path):
    seconds = {"whisper": 1.0, "audio-spectrogram-transformer": 0.655, "clap": 1.0, "wav2vec2": 7.0}
    for kind, wanted in seconds.items():
        spec = audio_spec(open_checkpoint(save(kind, tmp_path / kind), "audio"), seconds=7.0)
        assert spec.seconds == pytest.approx(wanted)
        assert spec.rate == (48_000 if kind == "clap" else 16_000)


def test_a_frozen_encoder_keeps_still_while_the_rest_learns(tmp_path: Path):
    tower = PretrainedTower.load("text", save("bert", tmp_path), TOKENS, WIDTH)
    assert not any(weight.requires_grad for weight in tower.body.model.parameters())
    assert all(weight.requires_grad for weight in tower.resampler.parameters())
    tower.train()
    assert not tower.body.model.training, "nothing is dropped out where nothing learns"
    tower.tune("full")
    assert tower.body.model.training
    assert all(weight.requires_grad for weight in tower.body.model.parameters())


@pytest.mark.parametrize("kind", ["bert", "vit", "wav2vec2", "wavlm"])
def test_lora_learns_few_weights_and_is_merged_for_export(kind: str, tmp_path: Path):
    modality = ARCHITECTURES[kind].modality
    tower = PretrainedTower.load(modality, save(kind, tmp_path / "it"), TOKENS, WIDTH, "lora").eval()
    encoder = [(name, weight) for name, weight in tower.body.named_parameters() if weight.requires_grad]
    assert encoder
    assert all("lora" in name for name, _ in encoder)
    inputs = [torch.from_numpy(array) for array in together(rows_of(modality, 2)).values()]
    with torch.no_grad():
        before = tower(*inputs)
        for name, weight in encoder:
            weight += 0.2 * torch.randn_like(weight) if "lora_B" in name else 0.0
        learnt = tower(*inputs)
        tower.merge()
        merged = tower(*inputs)
    assert (learnt - before).abs().max() > 1e-3
    assert merged.numpy() == pytest.approx(learnt.numpy(), abs=BOUND)
    assert not any("lora" in name for name, _ in tower.named_parameters())
    export(modality, tower, tmp_path / "merged.onnx")


def test_a_pickle_is_refused_by_name_and_with_a_remedy(tmp_path: Path):
    folder = save("bert", tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(EngineError, match=r"pytorch_model\.bin.*pickle.*save_pretrained"):
        open_checkpoint(folder)


def test_an_unsupported_architecture_is_told_what_is_supported(tmp_path: Path):
    folder = save("bert", tmp_path)
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    with pytest.raises(EngineError, match=r"gpt2 is not supported.*bert.*modernbert.*wav2vec2"):
        open_checkpoint(folder)
    with pytest.raises(EngineError) as caught:
        open_checkpoint(folder, "image")
    assert "siglip" in str(caught.value)
    assert "roberta" not in str(caught.value)


def used(folder: Path) -> None:
    checkpoint = open_checkpoint(folder, "text")
    checkpoint.encoder()
    text_spec(checkpoint)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda folder: (folder / "config.json").unlink(), r"config\.json.*cannot be read"),
        (lambda folder: (folder / "config.json").write_text("{"), r"config\.json.*not JSON"),
        (lambda folder: (folder / "model.safetensors").unlink(), r"holds no model\.safetensors"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"no"), "transformers cannot load it"),
        (lambda folder: save_file({"x": np.ones(3)}, folder / "model.safetensors"), "no weights for"),
        (lambda folder: (folder / "adapter_config.json").write_text("{}"), "is an adapter"),
        (lambda folder: (folder / "tokenizer.json").write_text("{}"), "no tokenizer"),
        (lambda folder: (folder / "tokenizer.json").unlink(), r"tokenizer\.json.*missing"),
    ],
)
def test_a_spoilt_folder_is_refused_with_the_reason(spoil, why: str, tmp_path: Path):
    folder = save("bert", tmp_path)
    spoil(folder)
    with pytest.raises(EngineError, match=why):
        used(folder)


def test_a_checkpoint_of_another_modality_is_refused(tmp_path: Path):
    with pytest.raises(EngineError, match="vit is for image, not for text"):
        open_checkpoint(save("vit", tmp_path), "text")


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(EngineError, match="no such folder"):
        open_checkpoint(tmp_path / "nowhere")


def test_loading_a_checkpoint_writes_nothing_to_the_terminal(tmp_path, capfd):
    folder = save("bert", tmp_path / "tiny")
    capfd.readouterr()
    open_checkpoint(folder).encoder()
    assert capfd.readouterr() == ("", "")
    assert transformers.utils.logging.is_progress_bar_enabled()
