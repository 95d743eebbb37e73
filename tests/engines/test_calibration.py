"""Calibration turns logits into probabilities, each presence pattern by its own fit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engines.calibration import Calibration, Fitted, dump, equivalent, parse, serving, sigmoid, softmax
from engines.errors import BundleError, EngineError
from engines.thresholds import Thresholds

LOGITS = np.array([[1.0, 0.0, -1.0]], np.float32)
NONE = Thresholds(why="nothing to promise")
TEXT, IMAGE = np.array([1], np.uint8), np.array([2], np.uint8)


def test_identity_is_softmax_and_sigmoid():
    fit = Calibration.identity(3)
    np.testing.assert_allclose(fit.sentiment(LOGITS, TEXT), softmax(LOGITS))
    np.testing.assert_allclose(fit.moderation(LOGITS, TEXT), sigmoid(LOGITS))


def test_each_presence_pattern_has_its_own_temperature_scale_and_bias():
    fit = Calibration.identity(3)
    fit.temperature[2], fit.scale[2], fit.bias[2] = 2.0, 3.0, 0.5
    np.testing.assert_allclose(fit.sentiment(LOGITS, IMAGE), softmax(LOGITS / 2))
    np.testing.assert_allclose(fit.moderation(LOGITS, IMAGE), sigmoid(LOGITS * 3 + 0.5))
    np.testing.assert_allclose(fit.sentiment(LOGITS, TEXT), softmax(LOGITS))


def test_the_modalities_alone_have_a_temperature_each():
    fit = Calibration.identity(3)
    fit.unimodal_temperature[1] = 4.0
    logits = np.repeat(LOGITS[:, None], 3, axis=1)
    got = fit.unimodal(logits)
    np.testing.assert_allclose(got[:, 1], softmax(LOGITS / 4))
    np.testing.assert_allclose(got[:, 2], softmax(LOGITS))


def test_huge_logits_do_not_overflow():
    with np.errstate(over="raise", invalid="raise"):
        assert sigmoid(np.array([-1e30, 1e30], np.float32)).tolist() == [0.0, 1.0]
        assert softmax(np.array([[1e30, 0, 0]], np.float32)).tolist() == [[1.0, 0.0, 0.0]]


def test_what_is_written_is_read_back(tmp_path: Path):
    fit = Calibration.identity(2)
    fit.bias[5, 1] = 0.25
    dump(tmp_path / "calibration.json", {"fp32": fit, "bf16": Calibration.identity(2)})
    read = parse((tmp_path / "calibration.json").read_bytes(), 2)
    assert list(read) == ["fp32", "bf16"]
    np.testing.assert_array_equal(read["fp32"].bias, fit.bias)


def test_what_was_promised_and_on_what_is_read_back(tmp_path: Path):
    found = {"hate": Thresholds(0.2, None, 0.97, None, 0.9, 0.95, 400, 40, "too few"), "spam/ads": NONE}
    fitted = Fitted("onnxruntime", "ab" * 32, 400, {"openvino": 1e-6})
    fit = replace(Calibration.identity(2), thresholds=found, fitted=fitted, calibrated=True)
    dump(tmp_path / "calibration.json", {"fp32": fit})
    read = parse((tmp_path / "calibration.json").read_bytes(), 2)["fp32"]
    assert (read.thresholds, read.fitted, read.calibrated) == (found, fitted, True)


def test_a_file_from_before_there_were_thresholds_counts_as_calibrated():
    old = {name: value for name, value in Calibration.identity(2).to_dict().items() if name != "calibrated"}
    assert parse(json.dumps({"precisions": {"fp32": old}}).encode(), 2)["fp32"].calibrated


FITTED, RAW = replace(Calibration.identity(2), calibrated=True), Calibration.identity(2)


def test_a_precision_with_a_fit_is_served_with_it():
    assert serving({"fp32": RAW, "bf16": FITTED}, "bf16") == (FITTED, True)


@pytest.mark.parametrize("uncalibrated", ["auto", "refuse"])
@pytest.mark.parametrize("fits", [{"fp32": FITTED}, {"fp32": FITTED, "bf16": RAW}])
def test_a_precision_without_a_fit_is_refused(fits, uncalibrated):
    with pytest.raises(EngineError, match="calibrated for fp32, not for bf16") as caught:
        serving(fits, "bf16", uncalibrated)
    assert "engine.uncalibrated: warn" in caught.value.remedy


def test_tolerated_it_is_served_with_the_nearest_fit_and_without_its_thresholds():
    fit, own = serving({"fp32": replace(FITTED, thresholds={"hate": NONE})}, "bf16", "warn")
    assert fit.scale is FITTED.scale
    assert not own
    assert not fit.thresholds


def test_what_decides_as_fp32_does_is_served_with_the_fit_of_fp32():
    fits = {"fp32": replace(FITTED, thresholds={"hate": NONE}), "bf16": RAW}
    for precision in ("bf16", "fp16"):
        assert serving(equivalent(fits, precision), precision, "refuse") == (fits["fp32"], True)
    assert equivalent({"fp32": RAW}, "fp16") == {"fp32": RAW}


def test_a_bundle_that_says_it_is_not_calibrated_is_served_unless_that_is_refused():
    assert serving({"fp32": RAW}, "fp32")[1] is False
    with pytest.raises(EngineError, match="calibrated for none"):
        serving({"fp32": RAW}, "fp32", "refuse")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"temperature": [1.0] * 7}, "shape"),
        ({"temperature": [0.0] * 8}, "above 0"),
        ({"scale": [[1.0, float("nan")]] * 8}, "finite"),
        ({"bias": "none"}, "malformed"),
        ({"fitted": {"engine": "x"}}, "malformed"),
        ({"thresholds": {"hate": NONE.to_dict() | {"review": 1.5}}}, "from 0 to 1"),
        ({"thresholds": {"hate": NONE.to_dict() | {"review": 0.9, "block": 0.5}}}, "reviews only at"),
    ],
)
def test_a_wrong_fit_is_refused_with_the_reason(change: dict, why: str):
    fit = Calibration.identity(2).to_dict() | change
    with pytest.raises(BundleError, match=why):
        parse(json.dumps({"precisions": {"fp32": fit}}).encode(), 2)


def test_a_file_without_any_precision_is_refused():
    with pytest.raises(BundleError, match="no precision"):
        parse(b'{"precisions": {}}', 2)
