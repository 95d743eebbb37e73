"""The samples: every form and modality, English and Chinese, and broken ones that break as they should."""

from __future__ import annotations

from itertools import islice

import pytest

from service.assembly import open_scoring
from service.config import EngineSettings, Settings
from service.record import Stored
from service.sampling import _folder, ready, samples, stream
from service.scoring import Failed


@pytest.fixture(scope="module")
def outcomes(tiny):
    settings = Settings(bundle=str(tiny), engine=EngineSettings(backend="onnxruntime", precision="fp32"))
    records = [
        Stored("samples", 0, number, 0, *ready(sample, sample.name)[:3])
        for number, sample in enumerate(samples())
    ]
    with open_scoring(settings) as scoring:
        return list(scoring.score(records))


def test_good_samples_are_scored_and_broken_ones_fail_for_their_reason(outcomes):
    found = {
        sample.name: outcome.error.reason if isinstance(outcome, Failed) else None
        for sample, outcome in zip(samples(), outcomes, strict=True)
    }
    assert found == {sample.name: sample.reason for sample in samples()}


def test_a_broken_picture_beside_good_text_costs_only_itself(outcomes):
    place = [sample.name for sample in samples()].index("broken-picture")
    assert b'"reason":"undecodable"' in outcomes[place].value


def test_all_forms_modalities_and_languages_are_there():
    assert {sample.form for sample in samples()} == {"json", "structured", "binary", "raw"}
    assert {"en", "zh"} <= {sample.event.get("lang") for sample in samples()}
    combined = {(bool(s.event.get("text")), bool(s.image), bool(s.audio)) for s in samples()}
    assert {(True, False, False), (True, True, False), (True, False, True), (True, True, True)} <= combined
    assert sum(sample.reason is not None for sample in samples()) >= 4
    assert len(samples()) >= 28


def test_all_eight_media_formats_are_there():
    kinds = {path.name.rpartition(".")[2] for path in (_folder / "media").iterdir()}
    assert kinds == {"jpg", "png", "webp", "gif", "wav", "flac", "ogg", "mp3"}


def test_they_are_small():
    assert sum(len(path.read_bytes()) for path in (_folder / "media").iterdir()) <= 600_000


def test_the_stream_goes_on_with_fresh_keys():
    taken = list(islice(stream(), 3 * len(samples())))
    assert len({each.key for each in taken}) == len(taken)
    assert all(each.about for each in taken)
