"""Towers: features as librosa's, masks that hide, graphs that say what torch says."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnxruntime = pytest.importorskip("onnxruntime")
librosa = pytest.importorskip("librosa")

from engines.export import FORBIDDEN, export  # noqa: E402
from engines.model.config import ModelConfig  # noqa: E402
from engines.model.logmel import LogMel  # noqa: E402
from engines.model.towers import AudioTower, ImageTower, TextTower  # noqa: E402

pytestmark = pytest.mark.train
CONFIG = ModelConfig(("a", "b", "c", "d"), vocabulary=500, text_tokens=3, audio_tokens=1)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def _inputs(name: str, rows: int, length: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(rows * 1000 + length)
    if name == "text":
        ids = rng.integers(2, CONFIG.vocabulary, (rows, length), dtype=np.int32)
        ids[0, length // 2 :] = 0
        return {"ids": ids}
    if name == "image":
        shape = (rows, CONFIG.image_height, CONFIG.image_width, 3)
        return {"pixels": rng.integers(0, 256, shape, dtype=np.uint8)}
    if name == "audio":
        samples = rng.normal(0, 3000, (rows, length)).astype(np.float32)
        return {"samples": samples, "lengths": rng.integers(1, length + 1, rows, dtype=np.int32)}
    raise AssertionError(name)


NETS = {"text": TextTower, "image": ImageTower, "audio": AudioTower}


@pytest.fixture(scope="module", params=NETS)
def exported(request, tmp_path_factory):
    """Name, network and file of each tower."""
    torch.manual_seed(0)
    net = NETS[request.param](CONFIG).eval()
    path = tmp_path_factory.mktemp("graphs") / f"{request.param}.onnx"
    export(request.param, net, path)
    return request.param, net, path


def test_an_exported_graph_says_what_torch_says_at_any_size(exported):
    name, net, path = exported
    session = onnxruntime.InferenceSession(path)
    for rows, length in ((1, 1), (5, 33), (3, 4001)):
        inputs = _inputs(name, rows, length)
        with torch.inference_mode():
            want = net(*(torch.from_numpy(v) for v in inputs.values()))
        (got,) = session.run(["tokens"], inputs)
        assert got.shape == tuple(want.shape)
        assert np.abs(got - want.numpy()).max() <= 1e-4


def test_an_exported_graph_holds_no_operator_whose_shape_depends_on_data(exported):
    import onnx

    _, _, path = exported
    assert not {node.op_type for node in onnx.load(path).graph.node} & FORBIDDEN


def test_an_exported_graph_tells_nothing_of_the_machine_that_made_it(exported):
    _, _, path = exported
    assert b"/engines/" not in path.read_bytes()


@pytest.mark.parametrize("samples", [1, 399, 16_000, 40_003])
def test_log_mel_is_librosas(samples):
    net = LogMel(16_000)
    wave = (
        np.sin(np.arange(samples) * 0.3) * 0.4 + np.random.default_rng(0).normal(0, 0.02, samples)
    ).astype(np.float32)
    spec = net.spec
    mel = librosa.feature.melspectrogram(
        y=wave, sr=16_000, n_fft=spec.n_fft, hop_length=spec.hop_length, n_mels=spec.n_mels, fmin=spec.fmin,
        fmax=spec.fmax, center=True, pad_mode="constant",
    )  # fmt: skip
    got = net(torch.from_numpy(wave * 32768)[None])[0].numpy()
    assert got.shape == mel.shape
    assert np.abs(got - np.log(mel + spec.floor)).max() <= 1e-4


@pytest.mark.parametrize("name", ["text", "audio"])
def test_padding_changes_nothing(name):
    net = NETS[name](CONFIG).eval()
    short = {k: torch.from_numpy(v[1:2]) for k, v in _inputs(name, 2, 700).items()}
    if name == "audio":
        short["lengths"] = torch.tensor([700], dtype=torch.int32)
    first = next(iter(short))
    longer = {**short, first: torch.nn.functional.pad(short[first], (0, 900))}
    with torch.inference_mode():
        assert torch.allclose(net(*short.values()), net(*longer.values()), atol=1e-5)
