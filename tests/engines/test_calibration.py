"""Calibration turns logits into probabilities, each presence pattern by its own fit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from engines.calibration import Calibration, dump, parse, sigmoid, softmax
from engines.errors import BundleError

LOGITS = np.array([[1.0, 0.0, -1.0]], np.float32)
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


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"temperature": [1.0] * 7}, "shape"),
        ({"temperature": [0.0] * 8}, "above 0"),
        ({"scale": [[1.0, float("nan")]] * 8}, "finite"),
        ({"bias": "none"}, "malformed"),
    ],
)
def test_a_wrong_fit_is_refused_with_the_reason(change: dict, why: str):
    fit = Calibration.identity(2).to_dict() | change
    with pytest.raises(BundleError, match=why):
        parse(json.dumps({"precisions": {"fp32": fit}}).encode(), 2)


def test_a_file_without_any_precision_is_refused():
    with pytest.raises(BundleError, match="no precision"):
        parse(b'{"precisions": {}}', 2)
