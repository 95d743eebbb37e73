"""The audio tower hears what sounds, not how loud, how padded or beside what; and learns from very little."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch")

from engines.export import export  # noqa: E402
from engines.model.config import ModelConfig  # noqa: E402
from engines.model.prosody import Prosody  # noqa: E402
from engines.model.voice import VoiceTower  # noqa: E402
from engines.training import audio  # noqa: E402
from engines.training.acoustics import elsewhere  # noqa: E402
from engines.training.sounds import sounds  # noqa: E402
from engines.training.voices import Voice  # noqa: E402

pytestmark = pytest.mark.train

CONFIG = ModelConfig(("profanity", "violence"))


def sung(pitch: float, count: int = 8_000) -> np.ndarray:
    """A buzz of a certain height, a little unsteady."""
    phase = np.cumsum(pitch * (1 + 0.05 * np.sin(np.arange(count) * 0.004))) / 16_000
    return (3_000 * ((phase % 1.0) - 0.5)).astype(np.float32)


def statistics(samples: np.ndarray, *lengths: int) -> np.ndarray:
    rows = np.atleast_2d(samples)
    own = torch.tensor(lengths or [rows.shape[1]], dtype=torch.int32)
    with torch.inference_mode():
        return Prosody()(torch.from_numpy(rows), own).numpy()


@pytest.mark.parametrize("count", [1, 320, 5_000, 48_000])
def test_what_lies_behind_a_sound_or_beside_it_changes_nothing(count: int) -> None:
    alone = sung(170, count)
    noise = np.random.default_rng(0).normal(0, 9_000, (2, count + 7_777)).astype(np.float32)
    noise[0, :count] = alone
    both = statistics(noise, count, count + 7_777)
    assert np.abs(both[0] - statistics(alone)[0]).max() < 1e-4


def test_loudness_of_the_recording_changes_nothing() -> None:
    assert np.abs(statistics(sung(170) * 0.1) - statistics(sung(170))).max() < 1e-3


def test_the_pitch_of_a_low_voice_is_heard() -> None:
    pitch = 110.0  # higher ones are drawn towards their lower octaves, which repeat as well
    with torch.inference_mode():
        frames = Prosody().frames(torch.from_numpy(sung(pitch))[None], torch.tensor([8_000]))
    assert abs(2 ** float(frames.pitch[0, 5:-5].mean()) / pitch - 1) < 0.04
    assert float(frames.voiced[0, 5:-5].min()) > 0.8


def test_the_graph_says_what_torch_says_at_any_length_and_of_silence(tmp_path: Path) -> None:
    torch.manual_seed(0)
    tower = VoiceTower(CONFIG).eval()
    export("audio", tower, tmp_path / "audio.onnx")
    assert (tmp_path / "audio.onnx").stat().st_size < 3_000_000
    session = onnxruntime.InferenceSession(str(tmp_path / "audio.onnx"), providers=["CPUExecutionProvider"])
    for samples in (sung(200, 320), sung(120, 30_000), sung(250, 480_000), np.zeros(16_000, np.float32)):
        rows, lengths = samples[None], np.array([len(samples)], np.int32)
        with torch.inference_mode():
            expected = tower(torch.from_numpy(rows), torch.from_numpy(lengths)).numpy()
        (got,) = session.run(None, {"samples": rows, "lengths": lengths})
        assert got.shape == (1, 2, 64)
        assert np.isfinite(got).all()
        assert np.abs(got - expected).max() < 1e-4


def test_elsewhere_is_another_length_and_never_clips() -> None:
    rng = np.random.default_rng(1)
    heard = [elsewhere(rng, sung(150, 40_000) / 32_768) for _ in range(20)]
    assert len({len(samples) for samples in heard}) > 10
    assert all(np.isfinite(samples).all() and np.abs(samples).max() < 1 for samples in heard)


def test_speakers_left_out_are_told_apart_by_what_the_others_taught() -> None:
    rng = np.random.default_rng(2)
    heights = (300.0, 80.0, 120.0, 190.0)  # one for each emotion
    voices = [
        Voice(sung(heights[emotion] * rng.uniform(0.95, 1.05)).astype(np.int16), speaker, emotion, "")
        for speaker in ("a", "b", "c")
        for emotion in (0, 1, 2, 3) * 3
    ]
    material = audio.prepare(voices, list(sounds(1, 40)), CONFIG, 1, lambda _: None, copies=0)
    plan = audio.Plan(steps=80, rows=32)
    unheard = audio.leave_speakers_out(material, CONFIG, 1, lambda _: None, plan)
    assert unheard.low <= unheard.mean <= unheard.high
    assert unheard.mean > 0.8
    assert sum(map(sum, unheard.confusion)) == len(voices)
    assert any("(3, each left out in turn)" in line for line in unheard.lines())
    heard = audio.train_audio(material, CONFIG, 1, lambda _: None, plan)
    assert heard.expert.weight.shape == (5, 128)
    assert heard.taught.tolist() == [1.0, 0.0, 1.0]  # nothing taught it profanity
