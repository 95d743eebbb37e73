"""`tidegate engine`: what can run here, plans, verdicts and rates, and plain words where there is no GPU."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engines import ladder as ladders
from engines.bundle import Bundle, write_bundle
from engines.precision import cast
from engines.tensorrt.store import PlanStore
from engines.verify import Compared, Verdict
from service import doctor_gpu
from service.assembly import engine_of, open_scoring
from service.cli.engine_options import span
from service.cli.main import run
from service.config import Settings
from service.errors import Exit
from tests import standin
from tests.labelled import texts, write
from tests.tiny_bundle import build as build_bundle


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The tiny bundle's folder."""
    return str(build_bundle(tmp_path_factory.mktemp("bundle") / "tiny"))


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def gpu() -> Iterator[standin.Machine]:
    """A GPU host, as far as the two foreign modules go."""
    with standin.installed() as machine:
        yield machine


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    from engines.sessions import tensorrt
    from engines.sessions.choose import BACKENDS

    monkeypatch.setattr(tensorrt.api, "missing", lambda: "the package tensorrt is not installed")
    assert BACKENDS["tensorrt"].missing()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_list_says_what_can_run_and_why_the_others_cannot(no_gpu, capsys):
    assert run(["engine", "list", "--json"]) == Exit.OK
    found = {line["engine"]: line for line in lines(capsys)}
    assert found["tensorrt"]["usable"] is False
    assert "not installed" in found["tensorrt"]["why"]
    assert found["onnxruntime"]["usable"] is True
    assert "fp32" in found["onnxruntime"]["precisions"]


def test_list_without_plans_says_how_they_are_made(no_gpu, capsys):
    assert run(["engine", "list"]) == Exit.OK
    told = capsys.readouterr()
    assert "tidegate engine build" in told.err
    assert "onnxruntime" in told.out


@pytest.mark.parametrize(
    "verb", [["build"], ["verify", "--backend", "tensorrt"], ["bench", "--backend", "tensorrt"]]
)
def test_without_a_gpu_what_needs_one_is_not_reachable_and_says_what_to_do(verb, tiny, no_gpu, capsys):
    assert run(["engine", verb[0], tiny, *verb[1:]]) == Exit.UNREACHABLE
    told = capsys.readouterr().err
    assert "the package tensorrt is not installed" in told
    assert "tidegate doctor" in told


def test_a_bundle_that_is_none_is_a_matter_of_configuration(capsys):
    assert run(["engine", "build", "nothing"]) == Exit.CONFIG
    assert "There is no bundle" in capsys.readouterr().err


def test_plans_are_built_verified_listed_and_pruned(tiny, gpu, capsys):
    assert run(["engine", "build", tiny, "--precision", "fp32", "--json"]) == Exit.OK
    (made,) = lines(capsys)
    assert made["good"] is True
    assert made["precision"] == "fp32"
    assert made["plans"] >= 4
    assert made["bytes"] > 0
    assert run(["engine", "list", "--json"]) == Exit.OK
    plans = [line for line in lines(capsys) if line["schema"] == "tidegate.engine-plan/1"]
    assert {plan["graph"] for plan in plans} == {"text", "image", "audio", "head"}
    assert {plan["bundle"] for plan in plans} == {"tiny"}
    assert all("decisions differ" in plan["verified"] for plan in plans if plan["graph"] != "head")
    built = len(gpu.built)
    assert run(["engine", "build", tiny, "--precision", "fp32", "--json"]) == Exit.OK
    assert len(gpu.built) == built, "they were kept"
    capsys.readouterr()
    assert run(["engine", "prune", "--json"]) == Exit.OK
    assert lines(capsys)[0]["removed"] == 0, "all of them can be used here"
    assert run(["engine", "prune", "--all", "--json"]) == Exit.OK
    assert lines(capsys)[0]["removed"] >= made["plans"]


def plans_of(capsys: pytest.CaptureFixture[str]) -> list[dict]:
    capsys.readouterr()
    assert run(["engine", "list", "--json"]) == Exit.OK
    return [line for line in lines(capsys) if line["schema"] == "tidegate.engine-plan/1"]


def test_what_a_build_reports_is_of_the_engine_that_it_opened(tiny, gpu, capsys, tmp_path):
    build = ["engine", "build", tiny, "--json", "--precision"]
    assert run([*build, "fp32"]) == Exit.OK
    (first,) = lines(capsys)
    (card,) = gpu.gpus
    gpu.gpus = [replace(card, name="NVIDIA L4", capability=(8, 9))]
    gpu.noise = {"fp32": 50.0}
    store = PlanStore()
    others = {entry.path.name: entry.facts["verified"] for entry in store.list()}
    shutil.rmtree(tmp_path / "cache" / "tidegate" / "verdicts", ignore_errors=True)
    assert run([*build, "fp32"]) == Exit.CONFIG
    (second,) = lines(capsys)
    assert second["plans"] == first["plans"], "not those of the other GPU too"
    for entry in store.list():
        assert entry.key is not None
        if entry.path.name in others:
            assert entry.facts["verified"] == others[entry.path.name]
        else:
            assert entry.facts["verified"].startswith("refused")


def test_a_build_counts_the_head_and_notes_of_it_no_verdict_but_its_own(tiny, gpu, capsys, monkeypatch):
    monkeypatch.setattr(cast, "cast_graph", lambda graph, *more: graph)
    assert run(["engine", "build", tiny, "--json", "--precision", "fp16"]) == Exit.OK
    (made,) = lines(capsys)
    found = plans_of(capsys)
    assert made["plans"] == len(found)
    assert {plan["bundle"] for plan in found} == {"tiny"}
    assert {plan["graph"]: plan["precision"] for plan in found}["head"] == "fp32"
    assert all(bool(plan["verified"]) == (plan["graph"] != "head") for plan in found)


def test_every_verb_and_the_session_keep_plans_in_the_folder_that_is_set(tiny, gpu, capsys, tmp_path):
    engine = {"backend": "tensorrt", "precision": "fp32", "plans": str(tmp_path / "mine"), "tokens": 256}
    config = tmp_path / "tidegate.yaml"
    config.write_text(json.dumps({"bundle": tiny, "engine": engine}))
    assert run(["engine", "build", tiny, "--precision", "fp32", "-c", str(config), "--json"]) == Exit.OK
    (made,) = lines(capsys)
    assert made["plans"] == len(gpu.built) == len(list((tmp_path / "mine").glob("*.plan")))
    assert run(["engine", "list", "-c", str(config), "--json"]) == Exit.OK
    assert sum(line["schema"] == "tidegate.engine-plan/1" for line in lines(capsys)) == made["plans"]
    settings = Settings.model_validate({"bundle": tiny, "engine": engine, "limits": {"decode_workers": 1}})
    (told,) = [result for result in doctor_gpu.gpu(settings) if result.name == "plans"]
    assert (told.state, "built at fp32" in told.detail) == ("PASS", True)
    with open_scoring(settings) as scoring:
        assert scoring.engine.info.engine == "tensorrt"
    assert run(["engine", "verify", tiny, "--precision", "fp32", "-c", str(config)]) == Exit.OK
    assert len(gpu.built) == made["plans"], "the session found them"
    assert not list((tmp_path / "cache").rglob("*.plan"))


def test_a_build_that_fails_says_why_and_is_refused(tiny, gpu, capsys):
    gpu.build_error = "no kernel for this"
    assert run(["engine", "build", tiny, "--precision", "fp32"]) == Exit.CONFIG
    told = capsys.readouterr()
    assert "no kernel for this" in told.err + told.out
    assert " no " in told.out


def test_a_plan_that_decides_otherwise_is_refused(tiny, gpu, capsys):
    gpu.noise = {"fp32": 50.0}
    assert run(["engine", "verify", tiny, "--backend", "tensorrt", "--precision", "fp32"]) == Exit.CONFIG
    told = capsys.readouterr()
    assert "refused" in told.err
    assert "harassment" in told.out


def test_decisions_that_are_right_do_not_make_up_for_golden_vectors_that_are_not(tiny, gpu, capsys):
    gpu.noise = {"fp32": 0.005}
    assert run(["engine", "verify", tiny, "--backend", "tensorrt", "--precision", "fp32"]) == Exit.CONFIG
    assert "golden answers" in capsys.readouterr().err


def test_8_bits_are_refused_where_decisions_are_few_as_run_does(eight, gpu, capsys):
    asked = ["engine", "verify", eight, "--backend", "tensorrt", "--precision", "fp8", "--json"]
    assert run(asked) == Exit.CONFIG
    (told,) = lines(capsys)
    assert (told["good"], told["flipped"]) == (False, 0)
    assert "proves little" in told["why"]


def test_building_and_verifying_judge_anew_what_was_refused(tiny, gpu, capsys, monkeypatch):
    good, bad = ladders.verify, lambda *given: Verdict(1, 2000, 99, 0.1, nan=False)
    settings = Settings.model_validate(
        {"bundle": tiny, "engine": {"backend": "tensorrt", "precision": "fp32"}}
    )
    for verb in ("build", "verify"):
        monkeypatch.setattr(ladders, "verify", bad)
        assert run(["engine", "build", tiny, "--precision", "fp32"]) == Exit.CONFIG
        built = len(gpu.built)
        monkeypatch.setattr(ladders, "verify", good if verb == "build" else bad)
        assert run(["engine", verb, tiny, "--precision", "fp32"]) == Exit.OK
        engine_of(Bundle.load(tiny), settings.engine).close()
        assert len(gpu.built) == built


def test_pruning_all_drops_what_was_found_of_plans(tiny, gpu, capsys, tmp_path):
    assert run(["engine", "build", tiny, "--precision", "fp32"]) == Exit.OK
    found = tmp_path / "cache" / "tidegate" / "verdicts"
    assert list(found.glob("*.json"))
    assert run(["engine", "prune"]) == Exit.OK
    assert list(found.glob("*.json"))
    assert run(["engine", "prune", "--all"]) == Exit.OK
    assert not list(found.glob("*.json"))


@pytest.fixture
def eight(tiny: str, tmp_path: Path) -> str:
    """The tiny bundle, which says that its text graph is one of fp8 too."""
    folder = Path(shutil.copytree(tiny, tmp_path / "eight"))
    sealed = Bundle.load(folder).manifest
    (folder / "bundle.json").unlink()
    (folder / "text.fp8.onnx").write_bytes((folder / "text.onnx").read_bytes())
    graphs = {name: dict(files) for name, files in sealed["graphs"].items()}
    graphs["text"]["fp8"] = "text.fp8.onnx"
    write_bundle(
        folder, name="eight", version="1", synthetic=sealed["synthetic"], width=sealed["width"],
        tokens=sealed["tokens"], graphs=graphs, licence=sealed["licence"], provenance={},
    )  # fmt: skip
    return str(folder)


def test_a_precision_that_the_device_does_not_support_is_left_out_and_not_refused(
    eight, gpu, capsys, monkeypatch
):
    monkeypatch.setattr(cast, "cast_graph", lambda graph, *more: graph)
    (card,) = gpu.gpus
    gpu.gpus = [replace(card, name="NVIDIA A100-SXM4-80GB", capability=(8, 0))]
    why = "not supported on this device: it needs compute capability 8.9, NVIDIA A100-SXM4-80GB has 8.0"
    assert run(["engine", "verify", eight, "--backend", "tensorrt", "--json"]) == Exit.OK
    told = capsys.readouterr()
    assert [json.loads(line)["precision"] for line in told.out.splitlines()] == ["fp32", "bf16", "fp16"]
    assert f"tensorrt fp8 is left out: {why}" in told.err
    for verb in ("verify", "bench"):
        asked = ["engine", verb, eight, "--backend", "tensorrt", "--precision", "fp8"]
        assert run(asked) == Exit.UNREACHABLE
        assert why in capsys.readouterr().err
    assert run(["engine", "build", eight, "--precision", "fp8", "--json"]) == Exit.CONFIG
    (made,) = lines(capsys)
    assert made["good"] is False
    assert why in made["why"]
    settings = Settings.model_validate({"bundle": eight, "engine": {"precision": "fp8"}})
    (plans,) = [result for result in doctor_gpu.gpu(settings) if result.name == "plans"]
    assert why in plans.detail


def test_an_engine_that_decides_alike_is_told_label_by_label(tiny, capsys):
    assert run(["engine", "verify", tiny, "--backend", "onnxruntime", "--json"]) == Exit.OK
    (told,) = lines(capsys)
    assert told["good"] is True
    assert told["flipped"] == 0
    assert {"sentiment", "harassment"} <= told["by_label"].keys()


def test_verify_takes_events_of_ones_own(tiny, tmp_path, capsys):
    pytest.importorskip("torch")
    data = write(tmp_path / "events.jsonl", texts(30))
    code = run(
        [
            "engine",
            "verify",
            "edge",
            "--backend",
            "onnxruntime",
            "--precision",
            "fp32",
            "--data",
            str(data),
            "--json",
        ]
    )
    assert code == Exit.OK
    (told,) = lines(capsys)
    assert told["events"] == 30
    assert told["on"] == str(data)


def test_data_that_cannot_be_read_is_bad_data(tiny, tmp_path):
    (tmp_path / "events.jsonl").write_text("{")
    arguments = [
        "engine",
        "verify",
        tiny,
        "--backend",
        "onnxruntime",
        "--data",
        str(tmp_path / "events.jsonl"),
    ]
    assert run(arguments) == Exit.DATA


def test_bench_tells_rates_and_the_roofline_of_the_processor(tiny, capsys, monkeypatch):
    from engines import rates

    monkeypatch.setattr(rates, "SMALL", ((16, 16, 16),))
    quick = ["--seconds", "0.01", "--tower", "image", "--json"]
    assert run(["engine", "bench", tiny, "--backend", "onnxruntime", *quick]) == Exit.OK
    found = lines(capsys)
    assert [line["rows"] for line in found] == sorted(line["rows"] for line in found)
    for line in found:
        assert line["graph"] == "image"
        assert line["rows_per_second"] > 0
        assert line["of_roofline"] == pytest.approx(
            line["rows_per_second"] / line["roofline_rows_per_second"]
        )


def test_bench_without_a_roofline_still_tells_rates(tiny, gpu, capsys, monkeypatch):
    from engines import rates
    from engines.errors import EngineError

    def refuse(*given):
        raise EngineError("The GPU's rates cannot be measured", why="torch sees no GPU here")

    monkeypatch.setattr(rates, "gpu_rates", refuse)
    quick = ["--seconds", "0.01", "--tower", "head", "--precision", "fp32"]
    assert run(["engine", "bench", tiny, "--backend", "tensorrt", *quick]) == Exit.OK
    told = capsys.readouterr()
    assert "no roofline" in told.err
    assert "rows/s" in told.out


def test_bench_measures_each_gpu_alone_and_prices_the_head_at_fp32(tiny, gpu, capsys, monkeypatch):
    from engines import rates

    asked: list[tuple[str, int]] = []

    def measured(precision: str, device: int = 0, *more: object) -> rates.Rates:
        asked.append((precision, device))
        return rates.Rates(1e12 * (device + 1), 1e12 * (device + 1))

    monkeypatch.setattr(rates, "gpu_rates", measured)
    monkeypatch.setattr(cast, "cast_graph", lambda graph, *more: graph)
    gpu.gpus = [standin.Gpu(), standin.Gpu(uuid=bytes(range(1, 17)))]
    quick = ["--seconds", "0.01", "--tower", "image", "--tower", "head", "--precision", "fp16", "--json"]
    devices = ["--device", "0", "--device", "1"]
    assert run(["engine", "bench", tiny, "--backend", "tensorrt", *quick, *devices]) == Exit.OK
    assert asked == [("fp16", 0), ("fp32", 0), ("fp16", 1), ("fp32", 1)]
    found = lines(capsys)
    assert {line["device"] for line in found} == {0, 1}
    best = {(line["device"], line["graph"], line["rows"]): line["roofline_rows_per_second"] for line in found}
    for (device, graph, rows), rate in best.items():
        assert rate == pytest.approx(best[0, graph, rows] * (device + 1))


def test_verdicts_have_exit_codes_of_their_own():
    good = Verdict(1, 1000, 1, 0.1, False, {"x": Compared(1000, 1, 0.1)})
    assert good.good
    assert not Verdict(1, 1000, 2, 0.1, False, {}).good


def test_ages_are_told_in_their_largest_unit():
    assert [span(seconds) for seconds in (5, 90, 7200, 200_000)] == ["5 s", "2 min", "2 h", "2 d"]
