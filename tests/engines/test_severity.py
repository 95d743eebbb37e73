"""Grades of severity: whole way from a head's output to the bundle's labels that are graded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from engines.batch import Batch
from engines.bundle import Bundle
from engines.engine import EngineChoice, FusedEngine
from engines.errors import BundleError
from engines.labels import Labels
from tests.tiny_bundle import LABELS, build, examples, seal

GRADED = Labels(tuple(replace(x, severity=x.name != "spam/ads") for x in LABELS.labels))


def opened(bundle: Bundle, backend: str = "onnxruntime") -> FusedEngine:
    return FusedEngine(bundle, EngineChoice(backend, "fp32"), threads=1)


@pytest.fixture(scope="module")
def graded(tmp_path_factory) -> Path:
    """The tiny bundle with a head that says of severity what it says of the labels."""
    folder = build(tmp_path_factory.mktemp("graded") / "b")
    model = onnx.load(folder / "head.onnx")
    model.graph.node.append(helper.make_node("Identity", ["moderation"], ["severity"]))
    shape = ["rows", len(LABELS)]
    model.graph.output.append(helper.make_tensor_value_info("severity", TensorProto.FLOAT, shape))
    onnx.save(model, folder / "head.onnx")
    GRADED.dump(folder / "labels.yaml")
    seal(folder)
    return folder


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_grade_runs_from_0_to_7_for_graded_labels_that_can_be_judged(graded: Path, backend: str):
    engine, batch = opened(Bundle.load(graded), backend), Batch.of(examples(7))
    logits = engine.logits(batch)[1].moderation
    severity = engine.infer(batch).severity
    engine.close()
    can = GRADED.evaluable(batch.presence) & GRADED.graded
    np.testing.assert_allclose(severity[can], 7 / (1 + np.exp(-logits[can])), rtol=1e-5)
    assert np.isnan(severity[~can]).all()
    assert np.isnan(severity[:, 3]).all()


def test_the_gravest_of_several_images_counts(graded: Path):
    engine, (event, other) = opened(Bundle.load(graded)), examples(9)[1::7]
    both = replace(event, images=[*event.images, *other.images])
    grades = engine.infer(Batch.of([event, other, both])).severity[:, 1]
    engine.close()
    assert grades[2] == max(grades[:2])


def test_a_head_that_grades_serves_labels_that_do_not(graded: Path, tmp_path: Path):
    folder = tmp_path / "b"
    folder.mkdir()
    for path in graded.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    LABELS.dump(folder / "labels.yaml")
    engine = opened(seal(folder))
    assert np.isnan(engine.infer(Batch.of(examples(7))).severity).all()
    engine.close()


def test_labels_that_promise_grades_need_a_head_that_gives_them(tmp_path: Path):
    folder = build(tmp_path / "b")
    GRADED.dump(folder / "labels.yaml")
    with pytest.raises(BundleError, match="promises grades") as caught:
        opened(seal(folder))
    assert caught.value.remedy


def test_the_fake_engine_grades_too(graded: Path):
    engine = opened(Bundle.load(graded), "fake")
    severity = engine.infer(Batch.of(examples(7))).severity
    engine.close()
    assert np.isfinite(severity[:, 0]).any()
