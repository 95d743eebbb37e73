"""`make gpu-check` resumes, keeps what a crash leaves, stops in time, and takes no rehearsal for real."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from engines.bundle import Bundle
from tests.gpu import __main__ as command
from tests.gpu import speed
from tests.gpu.ground import Ground
from tests.gpu.host import commit, host_of
from tests.gpu.page import days, failed, others, table, tally
from tests.gpu.parts import MOST, Part, parts
from tests.gpu.results import Check, Host, Results, Writer, at_least, at_most, folder_for, not_measured
from tests.gpu.running import Plan, run_all
from tests.gpu.soak import growth
from tests.gpu.starter import ready
from tests.standin import Gpu, installed

ROOT = Path(__file__).parents[2]
ABSENT = (
    "pydantic", "kafka", "librosa", "orjson", "soundfile", "soxr", "openvino", "rich", "crc32c", "lz4",
    "zstandard", "snappy", "sklearn", "service",
)  # fmt: skip
"""What such a host lacks."""


H100 = Host("NVIDIA H100 80GB HBM3", "570.86", "10.15.1.29", "2.9.0", "abc")


def part(name: str, seconds: int = 10) -> Part:
    return Part(name, seconds, lambda ground: None)


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(Results(tmp_path / "results"), tmp_path / "work", cuda=False, small=True, host=Host("x"))


class Starts:
    """Starts parts by noting them; how each ends can be said."""

    def __init__(self, **ends: str) -> None:
        self.ends, self.names = ends, []

    def __call__(self, one: Part, plan: Plan, seconds: float) -> str:
        self.names.append(one.name)
        Writer(plan.results.draft(one.name))(Check("found", "1"))
        return self.ends.get(one.name, "done")


def test_a_part_with_a_result_is_not_run_again_unless_it_is_named(plan: Plan):
    wanted = [part("a"), part("b")]
    assert run_all(wanted[:1], plan, Starts()) == []
    starts = Starts()
    run_all(wanted, plan, starts)
    assert starts.names == ["b"]
    run_all(wanted[:1], plan, starts, again=True)
    assert starts.names == ["b", "a"]


def test_a_part_that_crashed_keeps_what_it_found_and_says_that_it_crashed(plan: Plan):
    run_all([part("a"), part("b")], plan, Starts(a="signal SIGKILL"))
    first, second = plan.results.read(["a", "b"])
    assert [one.verdict for one in first.checks] == ["noted", "fail"]
    assert "SIGKILL" in first.checks[-1].reason
    assert second.ended == "done"


def test_the_line_that_was_being_written_is_left_out(plan: Plan):
    Writer(plan.results.draft("a"))(Check("whole", "1"))
    with plan.results.draft("a").open("a") as file:
        file.write('{"check": "half')
    assert [one.check for one in plan.results.close("a", "done", 1.0).checks] == ["whole"]


def test_no_part_begins_that_may_not_end_in_time(plan: Plan):
    limited = Plan(plan.results, plan.work, False, True, Host("x"), limit=60)
    starts = Starts()
    assert run_all([part("long", 400), part("short", 20)], limited, starts) == ["long"]
    assert starts.names == ["short"]


def test_what_the_limit_cut_off_has_no_result_and_what_overran_by_itself_has(plan: Plan):
    limited = Plan(plan.results, plan.work, False, True, Host("x"), limit=60)
    assert run_all([part("a")], limited, Starts(a="out of time")) == ["a"]
    assert not plan.results.has("a")
    assert run_all([part("a")], plan, Starts(a="out of time")) == []
    assert plan.results.read(["a"])[0].checks[-1].verdict == "fail"


def test_a_part_that_ran_out_of_time_is_tried_once_more(plan: Plan):
    starts = Starts(a="out of time")
    for _ in range(3):
        run_all([part("a")], plan, starts)
    assert starts.names == ["a", "a"]


def test_every_part_fits_its_time_and_every_name_is_a_file_name():
    for small in (False, True):
        for name, one in parts(small).items():
            assert one.seconds <= MOST <= 480
            assert name.replace("-", "").isalnum()
    wanted = {"environment", "bert-fp8", "decisions", "decisions-fp8", "soak-1", "soak-2", "failures"}
    assert wanted | {"torch-fp16"} <= parts(False).keys()


def test_plans_are_built_tower_by_tower_before_they_are_measured():
    names = list(parts(False))
    for precision in ("fp16", "bf16", "fp8"):
        towers = [names.index(f"build-starter-{tower}-{precision}") for tower in ("text", "image", "audio")]
        assert max(towers) < names.index(f"starter-{precision}")
    for each in ("bert-fp16", "bert-fp8", "vit-bf16", "wav2vec2-fp16"):
        assert names.index(f"build-{each}") == names.index(each) - 1
    assert names.index("build-starter-text-fp32") < names.index("decisions")


def test_fp8_of_the_bundles_that_ship_is_prepared_before_it_is_measured():
    names = list(parts(False))
    own = [names.index(name) for name in ("prepare-starter", "starter-fp8", "decisions-fp8")]
    assert own == sorted(own)


def test_fp8_is_for_bundles_with_attention_and_is_cast_for_them(
    ground: Ground, told: list[Check], monkeypatch: pytest.MonkeyPatch
):
    edge, starter = Bundle.load("edge"), Bundle.load("starter")
    monkeypatch.setattr(Ground, "at", lambda _, bundle, precision: (bundle.name, precision))
    monkeypatch.setattr("tests.gpu.starter.missing", lambda: None)
    assert ready(ground, edge, "fp8", "edge fp8", "≤ 1") is None
    assert [(one.check, one.bar, one.verdict) for one in told] == [("edge fp8", "≤ 1", "not measured")]
    assert "attention" in told[0].reason
    assert ready(ground, starter, "fp8", "starter fp8") == ("starter", "fp8")
    assert ready(ground, edge, "fp16", "edge fp16") is edge
    monkeypatch.setattr(Ground, "at", lambda *_: None)
    assert ready(ground, starter, "fp8", "starter fp8") is None
    assert told[-1].verdict == "not measured"


def test_what_the_device_does_not_support_is_not_measured_and_not_prepared(
    ground: Ground, told: list[Check], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Ground, "at", lambda *_: pytest.fail("graphs for nothing"))
    monkeypatch.setattr(speed, "bundle_of", lambda *_: None)
    with installed(gpus=[Gpu("NVIDIA A100-SXM4-80GB", (8, 0))]):
        assert ready(ground, Bundle.load("starter"), "fp8", "starter fp8", "≤ 1") is None
        speed.measure(ground, "bert", "fp8")
        monkeypatch.setattr(Ground, "precisions", ())
        speed.prepare(ground, "bert")
    found = [(one.check, one.verdict) for one in told if one.verdict != "noted"]
    model = ("bert fp8: of the serial roofline", "bert fp8: against others")
    checks = ("starter fp8", *model, "bert fp8: graphs")
    assert found == [(check, "not measured") for check in checks]
    assert all("needs compute capability 8.9" in one.reason for one in told if one.verdict != "noted")


def test_a_part_ends_with_the_call_that_started_it():
    child = "import time; from tests.gpu.running import with_parent\n"
    child += "with_parent(); print(1, flush=True); time.sleep(60)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    started = subprocess.Popen([sys.executable, "-c", parent], cwd=ROOT, stdout=subprocess.PIPE)
    assert started.stdout is not None
    assert started.stdout.readline() == b"1\n"
    started.kill()
    assert started.communicate(timeout=30)[0] == b"", "nobody holds the other end any more"


def test_checks_pass_and_fail_by_their_bars():
    assert at_least("x", 0.8, 0.8).verdict == "pass"
    assert at_least("x", 0.79, 0.8).verdict == "fail"
    assert at_most("x", 0.001, 0.001).verdict == "pass"
    assert at_most("x", float("inf"), 0.001).verdict == "fail"
    assert at_most("x", float("nan"), 0.001).verdict == "fail"
    assert not_measured("x", "no\nsuch").reason == "no such"


def test_the_table_names_what_is_missing_and_says_where_it_is_only_a_rehearsal(plan: Plan):
    Writer(plan.results.draft("a"))(Check("ratio | x", "0.9", "≥ 0.8", "pass", "of 2\nlines"))
    plan.results.close("a", "done", 3.0)
    page = table(plan.results.read(["a", "b"]), ["a", "b"], "GPU checks", rehearsal=True)
    assert "| a | ratio / x | 0.9 | ≥ 0.8 | pass | of 2 lines |" in page
    assert "| b | | | | not measured | this part has not run yet |" in page
    assert "1 pass, 0 fail, 0 not measured; 1 of 2 parts not run yet." in page
    assert "no copy" in page
    assert "under way at once" in page
    assert "no figure here is a measurement" in page
    assert "rehearsal" not in table([], [], "GPU checks", rehearsal=False)


def test_every_figure_says_which_software_it_is_of(plan: Plan):
    newer = replace(H100, driver="580.1", commit="def+")
    for name, host in (("a", H100), ("b", newer), ("c", H100)):
        Writer(plan.results.draft(name))(Check("found", "1"))
        plan.results.close(name, "done", 1.0, host)
    page = table(plan.results.read(["a", "b", "c"]), ["a", "b", "c"], "GPU checks", rehearsal=False)
    assert f"Measured with: {H100}." in page
    assert f"Measured where it is marked [2] with: {newer}." in page
    assert "| b [2] | found |" in page
    assert "| c | found |" in page
    for word in ("570.86", "TensorRT 10.15.1.29", "torch 2.9.0", "commit abc", "def+"):
        assert word in page


def test_a_part_keeps_its_host(plan: Plan):
    hosted = replace(plan, host=H100)
    run_all([part("a")], hosted, Starts())
    assert plan.results.read(["a"])[0].host == H100


def test_a_later_call_goes_on_with_the_folder_of_its_device_and_tensorrt_that_lacks_parts(tmp_path: Path):
    names = ["a", "b"]
    first = folder_for(tmp_path, H100, names, "2026-01-02")
    assert first.name == "2026-01-02-nvidia-h100-80gb-hbm3-trt-10-15-1-29"
    Results(first).close("a", "done", 1.0, H100)
    assert folder_for(tmp_path, replace(H100, driver="580"), names, "2026-01-03") == first
    older = folder_for(tmp_path, replace(H100, tensorrt="10.6.0"), names, "2026-01-03")
    assert older.name == "2026-01-03-nvidia-h100-80gb-hbm3-trt-10-6-0"
    assert folder_for(tmp_path, Host("NVIDIA H200"), names, "2026-01-03").name == "2026-01-03-nvidia-h200"
    Results(first).close("b", "done", 1.0)
    assert folder_for(tmp_path, H100, names, "2026-01-03").name.startswith("2026-01-03")


def test_a_tensorrt_that_was_tried_and_failed_stays_on_record(tmp_path: Path):
    newest = replace(H100, tensorrt="11.0.0")
    first = Results(folder_for(tmp_path, newest, ["a"], "2026-01-02"))
    first.close("a", "crashed", 1.0, newest)
    nvl = replace(H100, device="NVIDIA H100 80GB HBM3 NVL")
    Results(folder_for(tmp_path, nvl, ["a"], "2026-01-02")).close("a", "done", 1.0, nvl)
    now = folder_for(tmp_path, H100, ["a"], "2026-01-02")
    (line,) = others(now, H100, ["a"])
    assert "TensorRT 11.0.0" in line
    assert "1 fail" in line
    assert line in table([], ["a"], "GPU checks", False, [line])


def test_the_days_are_those_on_which_parts_ran(plan: Plan):
    assert days([], "2026-01-09") == "2026-01-09"
    run_all([part("a")], plan, Starts())
    one = plan.results.read(["a"])[0]
    first, last = replace(one, when="2026-01-02 10:00 UTC"), replace(one, when="2026-01-03 10:00 UTC")
    assert days([last, last], "2026-01-09") == "2026-01-03"
    assert days([last, first], "2026-01-09") == "2026-01-02 to 2026-01-03"


def test_a_check_that_failed_fails_the_command_once_the_table_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    results = Results(tmp_path / "res")
    for name in parts(False):
        results.close(name, "done", 1.0)
    with installed():
        assert command.main(["--results", str(tmp_path / "res")]) == 0
        results.close("soak-2", "crashed", 1.0)
        assert command.main(["--results", str(tmp_path / "res")]) == 1
    assert "0 pass, 1 fail, 0 not measured; 0 of" in capsys.readouterr().out
    page = (tmp_path / "res" / "res.md").read_text("utf-8")
    assert page.startswith(f"# GPU checks: NVIDIA H100 80GB HBM3, {results.read(['soak-2'])[0].when[:10]}")
    assert "| soak-2 | soak-2 |" in page


def test_parts_that_are_left_say_so_before_any_failure(tmp_path: Path):
    Results(tmp_path).close("soak-1", "crashed", 1.0)
    assert command.main(["--device", "cpu", "--small", "--results", str(tmp_path), "--limit", "1"]) == 75
    found = Results(tmp_path).read(list(parts(True)))
    assert failed(found)
    assert tally(found, list(parts(True))).endswith(f"{len(parts(True)) - 1} of {len(parts(True))} "
                                                    "parts not run yet.")  # fmt: skip


def test_the_host_names_device_driver_tensorrt_torch_and_commit(tmp_path: Path):
    with installed():
        found = host_of(True)
    assert found.device == "NVIDIA H100 80GB HBM3"
    assert found.tensorrt == "10.15.1.29"
    assert all((found.driver, found.torch, found.commit))
    assert commit(tmp_path) == "unknown"
    git(tmp_path, "init", "-q")
    (tmp_path / "file").write_text("1")
    git(tmp_path, "add", "file")
    git(tmp_path, "-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x")
    clean = commit(tmp_path)
    assert len(clean) == 12
    (tmp_path / "file").write_text("2")
    assert commit(tmp_path) == f"{clean}+"


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(folder), *arguments], check=True)


def test_memory_that_grows_is_told_from_memory_that_settles():
    settles = [(t, min(t, 10) * 1000) for t in range(100)]
    grows = [(t, t * 1000) for t in range(100)]
    assert growth(settles, 100) == 0
    assert growth(grows, 100) > 50_000
    assert growth([(0.0, 5)], 100) == 0


def test_it_needs_nothing_that_such_a_host_lacks():
    names = {path.stem for path in (ROOT / "tests" / "gpu").glob("[a-z]*.py")} - {"conftest"}
    modules = [f"tests.gpu.{name}" for name in sorted(names) if not name.startswith("test_")]
    modules += ["engines.training.importing", "engines.training.casting", "engines.ladder", "tests.standin"]
    script = (
        f"import sys; sys.modules.update(dict.fromkeys({ABSENT!r}))\n"
        f"from importlib import import_module\n"
        f"for name in {modules!r}: import_module(name)"
    )
    told = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr


def test_a_part_runs_here_as_a_rehearsal(tmp_path: Path):
    told = check("--device", "cpu", "--small", "--part", "environment", "--results", str(tmp_path))
    assert told.returncode == 0, told.stderr
    found = json.loads((tmp_path / "environment.json").read_text("utf-8"))
    assert found["ended"] == "done"
    assert "TensorRT" in [one["check"] for one in found["checks"]]
    assert "rehearsal" in next(tmp_path.glob("*.md")).read_text("utf-8")


def test_a_processor_only_rehearses():
    assert "add --small" in check("--device", "cpu").stderr


def test_a_part_that_is_none_is_refused():
    told = check("--device", "cpu", "--small", "--part", "nothing")
    assert told.returncode == 64
    assert "environment" in told.stderr


def test_without_a_gpu_it_says_what_to_do(tmp_path: Path):
    told = check("--results", str(tmp_path), CUDA_VISIBLE_DEVICES="")
    assert told.returncode == 69
    assert "--small" in told.stderr
    assert not list(tmp_path.iterdir())


def check(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.gpu", *arguments],
        cwd=ROOT, capture_output=True, text=True, env={**os.environ, **environment},
    )  # fmt: skip
