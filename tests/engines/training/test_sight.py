"""The starter's image tower: small, the same in ONNX, rows apart, and able to learn."""

import dataclasses

import numpy as np
import onnxruntime
import pytest
import torch

from engines.export import export
from engines.model.config import ModelConfig
from engines.training.image import Course, train_image
from engines.training.sights import evaluate_image, table_of
from engines.training.stickers import PALE
from engines.training.taxonomy import NEGATIVE, NEUTRAL, POSITIVE, UNKNOWN, Part

pytestmark = pytest.mark.train
CONFIG = ModelConfig(labels=("harassment", "violence/graphic", "spam/ads"))
COLOURS = {NEGATIVE: (190, 30, 30), NEUTRAL: (128, 128, 128), POSITIVE: (30, 190, 30)}
SHORT = Course(epochs=6, rows=16)


def plain(colour: tuple[int, int, int], shade: int) -> bytes:
    """The bytes of a picture in one colour."""
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (40, 40), tuple(min(255, c + shade) for c in colour)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def parts() -> list[Part]:
    out = []
    for shade in range(40):
        for feeling, colour in COLOURS.items():
            labels = {"violence/graphic": int(feeling == NEGATIVE), "spam/ads": int(feeling == POSITIVE)}
            split = "test" if shade % 5 == 0 else "train"
            out.append(Part(plain(colour, shade), "sticker face", feeling, labels, split=split))
    return out


@pytest.fixture(scope="module")
def learnt(parts):
    said: list[str] = []
    seen = train_image(parts, CONFIG, 0, said.append, SHORT)
    assert len(said) == SHORT.epochs
    return seen


@pytest.fixture(scope="module")
def graph(learnt, tmp_path_factory):
    path = tmp_path_factory.mktemp("sight") / "image.onnx"
    export("image", learnt.tower, path)
    return path


def pixels(rows: int) -> torch.Tensor:
    """Random pictures, uint8 [rows, 64, 64, 3]."""
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (rows, 64, 64, 3), np.uint8))


def test_the_graph_is_small(graph):
    assert graph.stat().st_size <= 1_500_000


def test_onnx_gives_what_torch_gives(learnt, graph):
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    rows = pixels(5)
    with torch.inference_mode():
        expected = learnt.tower(rows).numpy()
    assert expected.shape == (5, CONFIG.image_tokens, CONFIG.width)
    assert np.abs(session.run(None, {"pixels": rows.numpy()})[0] - expected).max() <= 1e-4


def test_no_row_depends_on_its_batch(learnt):
    rows = pixels(6)
    with torch.inference_mode():
        whole = learnt.tower(rows)
        alone = torch.cat([learnt.tower(row[None]) for row in rows])
    assert (whole - alone).abs().max() <= 1e-4


def test_what_no_part_is_annotated_with_is_not_spoken_of(learnt):
    with torch.inference_mode():
        said = learnt.expert(learnt.tower(pixels(4)).flatten(1))
    assert (said[:, 3] == 0).all()
    assert (said[:, 4:] != 0).any()
    assert learnt.taught.tolist() == [1, 0, 1, 1]


def test_the_same_seed_learns_the_same(parts, learnt):
    again = train_image(parts, CONFIG, 0, lambda _: None, SHORT)
    assert torch.equal(again.expert.weight, learnt.expert.weight)


def test_figures_tell_what_was_learnt_and_become_a_table(parts, learnt):
    judged = [part for part in parts if part.split == "test"]
    figures = evaluate_image(learnt, {"colours": judged}, CONFIG.labels)
    own = figures["colours"]
    assert own.recall.value > 0.9
    assert own.recall.low <= own.recall.value <= own.recall.high
    assert set(own.labels) == {"violence/graphic", "spam/ads"}
    assert own.labels["violence/graphic"] > 0.9
    assert "| colours | 24 |" in table_of(figures)


def test_pictures_that_say_nothing_leave_a_text_its_say(parts):
    pale = [dataclasses.replace(part, kind=PALE, sentiment=NEUTRAL, labels={}) for part in parts]
    unknown = [dataclasses.replace(part, sentiment=UNKNOWN, labels={}) for part in parts]
    for rows in (pale, unknown):
        seen = train_image(rows, CONFIG, 0, lambda _: None, SHORT)
        own = evaluate_image(seen, {"grounds": rows}, CONFIG.labels)["grounds"]
        assert 0.5 < own.neutral < 0.85
        assert own.sure == 0.0
