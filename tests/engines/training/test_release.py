"""The shipped bundles' recipe from towers to a sealed bundle, on towers that know nothing yet."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from engines.batch import MODALITIES
from engines.engine import open_engine
from engines.errors import EngineError
from engines.model.bags import BagTower
from engines.model.sight import SightTower
from engines.model.voice import VoiceTower
from engines.preprocess.spec import TextSpec
from engines.training import drawings
from engines.training.card import About
from engines.training.compose import Amounts
from engines.training.release import bundles, parts
from engines.training.release.labels import LABELS
from engines.training.release.recipe import Options, make
from engines.training.release.towers import Taught, config, edge_text
from engines.training.text import sentences
from engines.training.text.fit import Judged
from engines.training.text.held import divided, labelled
from engines.training.text.learn import WIDTH, Corpus
from engines.training.text.rows import table
from engines.training.watch import Watch
from engines.training.work import Work


@pytest.fixture
def corpus() -> Corpus:
    rows = sentences.own()[::25]
    split = divided(rows, (13, 13))
    held = [event for name in ("calibrate", "test") for event in labelled(split[name], name)]
    few = table(split["train"][:50])
    return Corpus(few, table(split["train"]), few, few, held, [])


def knowing(tower: nn.Module, names: tuple[str, ...]) -> Taught:
    marks = torch.tensor([1.0, *(float(label in names) for label in LABELS.names)])
    return Taught(tower.eval(), nn.Linear(2 * WIDTH, 3 + len(LABELS)), marks, 2)


def test_the_recipe_refuses_to_name_photographs_that_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(EngineError, match="scikit-image") as caught:
        make(Options(tmp_path / "data", tmp_path / "work", tmp_path / "out", None, 1), Watch())
    assert "tidegate[pictures]" in caught.value.remedy


def test_a_bundle_is_made_of_towers_and_says_what_it_can(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "FAMILIES", 300)
    monkeypatch.setattr(parts, "SOUNDS", 60)
    monkeypatch.setattr(parts, "AMOUNTS", Amounts(600, 200, "composed"))
    torch.manual_seed(0)
    data = parts.gathered(corpus, list(drawings.images(1, 150)), [], None, 1)
    image = knowing(SightTower(config(1)), ("violence/graphic", "spam/ads"))
    audio = knowing(VoiceTower(config(1)), ("violence",))
    here = bundles.Ground(data, image, audio, About(), 1, Work(tmp_path / "work"), Watch())
    bag = Judged(BagTower(8, 1, WIDTH), WIDTH)
    made = bundles.bundle(here, "edge", edge_text(bag), TextSpec(3, 64, "bag"), tmp_path / "edge")
    assert made.name == "edge"
    assert made.labels.names == LABELS.names
    assert made.synthetic == ("image",)
    assert made.calibrated
    card = (tmp_path / "edge" / "MODEL_CARD.md").read_text("utf-8")
    assert "edge" in card
    engine = open_engine(tmp_path / "edge", "onnxruntime", "fp32", contributions=False)
    assert engine.preprocess.text.channels == ("words", "chars")
    engine.close()
    assert set(MODALITIES) <= made.manifest["graphs"].keys()
