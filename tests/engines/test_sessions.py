"""Backends agree, and the choice among them is measured, kept, explained and can be pinned."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engines.bundle import Bundle
from engines.errors import EngineError
from engines.sessions import openvino
from engines.sessions.base import Terms
from engines.sessions.choose import AUTO, BACKENDS, GPU, Measured, candidates, choose
from tests.tiny_bundle import TOKENS, WIDTH

REAL = pytest.mark.parametrize("name", AUTO)


def head_inputs(rows: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(rows)
    inputs = {m: random.normal(size=(rows, k, WIDTH)).astype(np.float32) for m, k in TOKENS.items()}
    return inputs | {"presence": random.integers(0, 2, (rows, 3)).astype(np.float32)}


def trial(seconds: dict[tuple[str, str], float], error: float | None = 0.0):
    """Trials with made-up results, and the list of those that ran."""
    ran: list[tuple[str, str]] = []

    def run(backend: str, precision: str, budget: float) -> Measured:
        ran.append((backend, precision))
        return Measured(seconds[backend, precision], error)

    return run, ran


def able(monkeypatch: pytest.MonkeyPatch, *precisions: str) -> None:
    monkeypatch.setitem(
        BACKENDS,
        "openvino",
        type(openvino.BACKEND)(
            "openvino", lambda: None, lambda: precisions, lambda: "OpenVINO", openvino.BACKEND.open
        ),
    )


@REAL
def test_a_backend_runs_any_number_of_rows(bundle: Bundle, name: str):
    session = BACKENDS[name].open(bundle, "head", "fp32", Terms())
    for rows in (1, 3, 2, 17):
        answer = session.run(head_inputs(rows))
        assert answer["sentiment"].shape == (rows, 3)
        assert answer["unimodal"].shape == (rows, 3, 3)
    session.close()


def test_the_backends_agree(bundle: Bundle):
    one, other = (BACKENDS[name].open(bundle, "head", "fp32", Terms()).run(head_inputs(9)) for name in AUTO)
    for name, value in one.items():
        np.testing.assert_allclose(value, other[name], atol=1e-5, rtol=1e-5)


@REAL
def test_an_answer_is_not_overwritten_by_the_next(bundle: Bundle, name: str):
    session = BACKENDS[name].open(bundle, "head", "fp32", Terms())
    first = session.run(head_inputs(4))["sentiment"]
    kept = first.copy()
    session.run({k: v * 2 for k, v in head_inputs(4).items()})
    np.testing.assert_array_equal(first, kept)


@REAL
def test_absent_slots_may_hold_nan(bundle: Bundle, name: str):
    session = BACKENDS[name].open(bundle, "head", "fp32", Terms())
    inputs = head_inputs(5)
    inputs["image"][:] = np.nan
    inputs["presence"][:, 1] = 0
    assert np.isfinite(session.run(inputs)["moderation"]).all()


@REAL
def test_what_a_backend_cannot_run_is_an_engine_error(bundle: Bundle, name: str):
    session = BACKENDS[name].open(bundle, "text", "fp32", Terms())
    with pytest.raises(EngineError, match="A graph failed"):
        session.run({"ids": np.zeros((2, 3, 4), np.int32)})


@REAL
def test_a_graph_that_is_none_is_an_engine_error(folder: Path, name: str):
    from tests.tiny_bundle import seal

    (folder / "text.onnx").write_bytes(b"not a graph")
    with pytest.raises(EngineError, match="cannot be loaded"):
        BACKENDS[name].open(seal(folder), "text", "fp32", Terms())


def test_openvino_computes_at_the_precision_that_was_asked_for(bundle: Bundle):
    session = openvino.OpenVinoSession(bundle, "text", "fp32", Terms())
    assert session._compiled.get_property("INFERENCE_PRECISION_HINT").to_string() == "f32"
    if "bf16" in openvino.BACKEND.native():
        session = openvino.OpenVinoSession(bundle, "text", "bf16", Terms())
        assert session._compiled.get_property("INFERENCE_PRECISION_HINT").to_string() == "bf16"


def test_the_head_stays_exact_at_lower_precisions(bundle: Bundle):
    session = openvino.OpenVinoSession(bundle, "head", "bf16", Terms())
    assert session._compiled.get_property("INFERENCE_PRECISION_HINT").to_string() == "f32"


def test_the_fastest_is_chosen_and_the_reason_names_all(
    bundle: Bundle, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    able(monkeypatch, "fp32", "bf16")
    times = {("onnxruntime", "fp32"): 0.03, ("openvino", "fp32"): 0.02, ("openvino", "bf16"): 0.01}
    choice = choose(bundle, "auto", "auto", 2, trial(times)[0])
    assert (choice.backend, choice.precision) == ("openvino", "bf16")
    assert all(part in choice.why for part in ("onnxruntime fp32 30.0 ms", "openvino fp32", "openvino bf16"))


def test_what_is_not_exact_enough_is_not_chosen(bundle: Bundle, cache: Path, monkeypatch: pytest.MonkeyPatch):
    able(monkeypatch, "fp32", "bf16")

    def run(backend: str, precision: str, budget: float) -> Measured:
        return Measured(0.01, 0.2) if precision == "bf16" else Measured(0.02, 1e-6)

    choice = choose(bundle, "openvino", "auto", 2, run)
    assert choice.precision == "fp32"
    assert "not exact enough" in choice.why


def test_without_golden_vectors_only_fp32_is_trusted(
    bundle: Bundle, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    able(monkeypatch, "fp32", "bf16")
    times = {("openvino", "fp32"): 0.02, ("openvino", "bf16"): 0.01}
    assert choose(bundle, "openvino", "auto", 2, trial(times, error=None)[0]).precision == "fp32"


def test_a_backend_that_fails_its_trial_is_passed_over(bundle: Bundle, cache: Path):
    def run(backend: str, precision: str, budget: float) -> Measured:
        if backend == "openvino":
            raise EngineError("broken")
        return Measured(0.5, 0.0)

    choice = choose(bundle, "auto", "fp32", 2, run)
    assert choice.backend == "onnxruntime"
    assert "openvino fp32 failed: broken" in choice.why


def test_the_choice_is_kept_and_not_measured_again(bundle: Bundle, cache: Path):
    times = {("onnxruntime", "fp32"): 0.01, ("openvino", "fp32"): 0.02}
    run, ran = trial(times)
    first = choose(bundle, "auto", "fp32", 2, run)
    assert choose(bundle, "auto", "fp32", 2, run) == first
    assert len(ran) == 2


def test_other_threads_are_another_choice(bundle: Bundle, cache: Path):
    run, ran = trial({("onnxruntime", "fp32"): 0.01, ("openvino", "fp32"): 0.02})
    choose(bundle, "auto", "fp32", 1, run)
    choose(bundle, "auto", "fp32", 2, run)
    assert len(ran) == 4


def test_a_choice_made_in_a_hurry_is_not_kept(bundle: Bundle, cache: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("engines.sessions.choose.SECONDS", 0.0)
    run, _ = trial({("onnxruntime", "fp32"): 0.01, ("openvino", "fp32"): 0.02})
    assert "openvino fp32 not measured" in choose(bundle, "auto", "fp32", 2, run).why
    assert not cache.exists()


@pytest.mark.parametrize(
    "junk", [b"", b"{", b"[]", json.dumps({"backend": "gone", "precision": "fp32", "why": ""}).encode()]
)
def test_a_spoiled_cache_is_measured_again(bundle: Bundle, cache: Path, junk: bytes):
    run, ran = trial({("onnxruntime", "fp32"): 0.01, ("openvino", "fp32"): 0.02})
    choose(bundle, "auto", "fp32", 2, run)
    (kept,) = (cache / "tidegate" / "engines").iterdir()
    kept.write_bytes(junk)
    choose(bundle, "auto", "fp32", 2, run)
    assert len(ran) == 4


def test_a_cache_that_cannot_be_written_is_no_reason_to_fail(bundle: Bundle, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/none")
    run, _ = trial({("onnxruntime", "fp32"): 0.01, ("openvino", "fp32"): 0.02})
    assert choose(bundle, "auto", "fp32", 2, run).backend == "onnxruntime"


def test_a_full_pin_is_not_measured(bundle: Bundle, cache: Path):
    run, ran = trial({})
    choice = choose(bundle, "onnxruntime", "fp32", 2, run)
    assert (choice.backend, choice.precision, choice.why) == ("onnxruntime", "fp32", "pinned")
    assert not ran


@pytest.mark.parametrize(
    ("backend", "precision", "why"),
    [
        ("abacus", "auto", "no backend"),
        ("auto", "int8", "not calibrated"),
        ("onnxruntime", "bf16", "cannot run"),
    ],
)
def test_an_impossible_pin_says_what_to_set_instead(bundle: Bundle, backend: str, precision: str, why: str):
    with pytest.raises(EngineError, match=why) as caught:
        candidates(bundle, backend, precision)
    assert "auto" in caught.value.remedy


def test_auto_never_takes_the_fake(bundle: Bundle):
    assert "fake" not in {name for name, _ in candidates(bundle, "auto", "auto")}


def test_auto_on_a_processor_takes_no_backend_for_gpus(bundle: Bundle):
    assert not {name for name, _ in candidates(bundle, "auto", "auto")} & set(GPU)


def test_backends_for_gpus_are_imported_when_they_are_asked_for():
    script = (
        "import sys\n"
        "from engines.sessions.choose import BACKENDS, GPU\n"
        "assert not {f'engines.sessions.{name}' for name in GPU} & sys.modules.keys()\n"
        "for name in GPU: print(BACKENDS[name].missing())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == len(GPU)


def test_without_openvino_the_rest_works():
    script = (
        "import sys; sys.modules['openvino'] = None\n"
        "import importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda n, *a: None if n == 'openvino' else find(n, *a)\n"
        "from engines.sessions.choose import BACKENDS\n"
        "print(BACKENDS['openvino'].missing(), '|', BACKENDS['onnxruntime'].missing())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "the package openvino is not installed | None"
