"""Plans are built once, as asked, kept, and found again; and why they cannot be is said in words."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines.bundle import GOLDEN, Bundle
from engines.errors import EngineError, NotBuilt, PlanRefused
from engines.precision import cast
from engines.sessions.base import Terms
from engines.sessions.tensorrt import BACKEND, opened
from engines.tensorrt.buckets import buckets_of
from engines.tensorrt.key import release_of
from engines.tensorrt.progress import Progress
from engines.tensorrt.signature import Signature
from engines.tensorrt.store import PlanStore
from tests.engines.tensorrt.towers import BUDGET, plans
from tests.standin import Gpu, Machine, environment
from tests.tiny_bundle import seal


def test_a_plan_is_built_once_and_found_again(gpu: Machine, bundle: Bundle, store: PlanStore):
    first = plans(bundle, store)
    again = plans(bundle, store)
    assert (again.buckets, again.signature) == (first.buckets, first.signature)
    assert [each.plan for each in again.stored] == [each.plan for each in first.stored]
    (made,) = gpu.built
    assert made.precision == "fp32"
    (kept,) = store.list()
    assert kept.key == first.stored[0].key
    assert kept.facts["bytes"] == len(first.stored[0].plan)
    assert kept.facts["seconds"] >= 0
    assert Signature.from_dict(kept.facts["signature"]) == first.signature


def test_where_nothing_may_be_built_what_is_not_there_is_said(gpu: Machine, bundle: Bundle, store: PlanStore):
    with pytest.raises(NotBuilt, match="no text plan was built yet") as caught:
        plans(bundle, store, build=False)
    assert "tidegate engine build tiny" in caught.value.remedy
    assert gpu.built == []
    made = plans(bundle, store)
    with pytest.raises(NotBuilt, match="precision"):
        plans(bundle, store, precision="bf16", build=False)
    assert [each.plan for each in plans(bundle, store, build=False).stored] == [
        each.plan for each in made.stored
    ]


def test_a_plan_that_is_refused_is_not_built_anew_where_nothing_may_be(
    gpu: Machine, bundle: Bundle, store: PlanStore
):
    for stored in plans(bundle, store).stored:
        store.put(stored.key, b"no plan at all", stored.facts)
    with pytest.raises(PlanRefused, match="tidegate engine build"):
        opened(bundle, "text", "fp32", Terms(budget=BUDGET, build=False), store=store)
    assert len(gpu.built) == 1


def test_plans_hold_every_bucket_and_keep_the_types_of_the_graph(
    gpu: Machine, bundle: Bundle, store: PlanStore
):
    found = plans(bundle, store, "image")
    assert found.buckets == buckets_of("image", found.signature, bundle.preprocess, BUDGET)
    assert {one.name: one.dtype for one in found.signature.inputs} == {"pixels": "uint8"}
    assert {one.name: one.dtype for one in plans(bundle, store).signature.inputs} == {"ids": "int32"}


@pytest.mark.parametrize(("version", "several"), [("10.6.0", False), ("10.8.0", True), ("11.4.0", True)])
def test_profiles_share_an_engine_where_that_computes_rightly(
    gpu: Machine, bundle: Bundle, store: PlanStore, version: str, several: bool
):
    gpu.tensorrt = version
    found = plans(bundle, store)
    assert (len(found.stored) == 1) == several
    assert sum(each.profiles for each in gpu.built) == len({bucket.axes for bucket in found.buckets})


def test_the_builder_is_bounded_and_computes_fp32_as_such(gpu: Machine, bundle: Bundle, store: PlanStore):
    gpu.gpus = [Gpu(memory=16 << 30)]
    plans(bundle, store)
    assert gpu.built[0].workspace == 4 << 30
    assert "TF32" not in gpu.built[0].flags


def test_what_one_build_measured_helps_the_next(gpu: Machine, bundle: Bundle, store: PlanStore):
    plans(bundle, store)
    plans(bundle, store, fresh=True)
    assert [each.known for each in gpu.built] == [False, True]


def test_timings_of_another_builder_are_done_without(
    gpu: Machine, bundle: Bundle, store: PlanStore, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(PlanStore, "timings", lambda self, key: b"of another age")
    plans(bundle, store)
    assert [each.known for each in gpu.built] == [False]


def test_timings_that_a_build_fails_with_are_done_without(
    gpu: Machine, bundle: Bundle, store: PlanStore, monkeypatch: pytest.MonkeyPatch
):
    import tests.standin.tensorrt as standin

    plans(bundle, store)
    whole = standin.Builder.build_serialized_network

    def picky(self: object, network: object, config: object) -> object:
        return None if config._cache._seen else whole(self, network, config)

    monkeypatch.setattr(standin.Builder, "build_serialized_network", picky)
    plans(bundle, store, fresh=True)
    assert [each.known for each in gpu.built] == [False, False]


def test_progress_only_grows_and_ends_whole(gpu: Machine, bundle: Bundle, store: PlanStore):
    gpu.tensorrt = "10.6.0"  # several engines: each is a part of the whole
    heard: list[tuple[str, float]] = []
    plans(bundle, store, progress=lambda what, share: heard.append((what, share)))
    shares = [share for _, share in heard]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 1)
    assert heard[0][0] == "text fp32: Building Engine"
    assert any("Tactic Selection" in what for what, _ in heard)


def test_phases_within_phases_are_parts_of_them():
    heard: list[float] = []
    progress = Progress("x", lambda what, share: heard.append(share))
    progress.phase_start("all", None, 2)
    progress.phase_start("part", "all", 4)
    progress.step_complete("part", 1)
    assert heard[-1] == 0.25
    progress.phase_finish("part")
    progress.step_complete("all", 0)
    assert heard[-1] == 0.5
    progress.phase_finish("all")
    assert heard[-1] == 1
    assert heard == sorted(heard)


def test_a_build_that_is_interrupted_ends_and_leaves_nothing(gpu: Machine, bundle: Bundle, store: PlanStore):
    def stop(what: str, share: float) -> None:
        if share > 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        plans(bundle, store, progress=stop)
    assert gpu.built == []
    assert list(store.list()) == []
    plans(bundle, store)


def test_what_the_parser_does_not_take_is_said_in_words(gpu: Machine, bundle: Bundle, store: PlanStore):
    gpu.unsupported = "Gather"
    with pytest.raises(EngineError, match=r"cannot read a graph.*Gather node: No importer") as caught:
        plans(bundle, store)
    assert "engine.backend" in caught.value.remedy


def test_what_the_builder_fails_with_is_said(gpu: Machine, bundle: Bundle, store: PlanStore):
    gpu.build_error = "Error Code 10: Could not find any implementation for node X"
    with pytest.raises(EngineError, match="Could not find any implementation for node X"):
        plans(bundle, store)


def marked(graph: bytes, kind: int) -> bytes:
    """A graph that names a type, as one that was cast does."""
    model = onnx.load_from_string(graph)
    one = numpy_helper.from_array(numpy_helper.to_array(model.graph.initializer[0])[:0], "mark")
    model.graph.initializer.append(one)
    model.graph.node.append(helper.make_node("Cast", ["mark"], ["marked"], to=kind))
    return model.SerializeToString()


def test_precisions_stand_side_by_side_and_the_head_is_never_cast(
    gpu: Machine, bundle: Bundle, store: PlanStore, monkeypatch: pytest.MonkeyPatch
):
    kinds = {"bf16": TensorProto.BFLOAT16, "fp16": TensorProto.FLOAT16}
    asked: list[str] = []

    def cast_graph(graph: bytes, precision: str, tower: str, *more: object) -> bytes:
        asked.append(precision)
        return marked(graph, kinds[precision])

    monkeypatch.setattr(cast, "cast_graph", cast_graph)
    for _ in range(2):
        for precision in ("fp32", "bf16", "fp16"):
            plans(bundle, store, "text", precision)
            plans(bundle, store, "head", precision)
    assert asked == ["bf16", "fp16"]  # once each: what is in the store needs no casting
    assert [each.precision for each in gpu.built] == ["fp32", "fp32", "bf16", "fp16"]
    assert len(store.list()) == 4


def test_a_graph_is_cast_once_for_all_its_plans_and_shows_that_it_lives(
    gpu: Machine, bundle: Bundle, store: PlanStore, monkeypatch: pytest.MonkeyPatch
):
    gpu.tensorrt = "10.6.0"
    asked: list[str] = []
    heard: list[str] = []

    def cast_graph(
        graph: bytes, precision: str, tower: str, samples: object, alive: Callable[[], None]
    ) -> bytes:
        asked.append(tower)
        alive()
        alive()
        return marked(graph, TensorProto.BFLOAT16)

    monkeypatch.setattr(cast, "cast_graph", cast_graph)
    found = plans(bundle, store, "text", "bf16", progress=lambda what, share: heard.append(what))
    assert len(found.stored) > 1
    assert asked == ["text"]
    assert heard.count("text bf16: casting") >= 3


def test_what_casts_a_graph_and_what_it_is_tried_on_are_in_the_key(
    gpu: Machine, bundle: Bundle, store: PlanStore, monkeypatch: pytest.MonkeyPatch
):
    kinds = {"bf16": TensorProto.BFLOAT16, "fp16": TensorProto.FLOAT16}
    monkeypatch.setattr(cast, "cast_graph", lambda graph, precision, *more: marked(graph, kinds[precision]))

    def options(precision: str, own: Bundle = bundle) -> dict[str, object]:
        return dict(plans(own, store, "text", precision).stored[0].key.options)

    assert not {"modelopt", "samples"} & options("fp32").keys()
    assert "samples" not in options("bf16")
    assert options("bf16")["modelopt"] == release_of("nvidia-modelopt")
    files = bundle.manifest["files"]
    assert str(files[GOLDEN]["sha256"]).startswith(str(options("fp16")["samples"]))
    less = {name: about for name, about in files.items() if name != GOLDEN}
    bare = replace(bundle, manifest=dict(bundle.manifest) | {"files": less})
    assert options("fp16", bare)["samples"] == "none"
    assert len(store.list()) == 4


def test_a_precision_that_needs_calibration_needs_a_graph_in_the_bundle(
    gpu: Machine, bundle: Bundle, store: PlanStore
):
    with pytest.raises(EngineError, match="cannot be built at fp8") as caught:
        plans(bundle, store, "text", "fp8")
    assert "export --precision fp8" in caught.value.remedy


def test_another_driver_or_tensorrt_or_gpu_is_another_plan(gpu: Machine, bundle: Bundle, store: PlanStore):
    plans(bundle, store)
    gpu.tensorrt = "11.4.0"
    from engines.tensorrt import api

    api.load.cache_clear()
    plans(bundle, store)
    gpu.gpus = [Gpu("NVIDIA L4", (8, 9), 24 << 30)]
    plans(bundle, store)
    assert len(gpu.built) == len(store.list()) == 3


def test_a_plan_that_tensorrt_refuses_is_built_anew_once(
    gpu: Machine, bundle: Bundle, store: PlanStore, caplog: pytest.LogCaptureFixture
):
    (kept,) = plans(bundle, store, "image").stored
    store.put(kept.key, kept.plan[:-9], kept.facts)  # signed, and yet not whole
    with caplog.at_level(logging.WARNING):
        session = opened(bundle, "image", "fp32", Terms(budget=BUDGET), store=store)
    session.close()
    assert len(gpu.built) == 2
    assert "built anew" in caplog.text
    gpu.refuse_plans = True
    with pytest.raises(EngineError, match="cannot be loaded"):
        opened(bundle, "image", "fp32", Terms(budget=BUDGET), store=store)
    assert len(gpu.built) == 3


def test_where_plans_cannot_be_kept_they_are_served_all_the_same(
    gpu: Machine, bundle: Bundle, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING):
        found = plans(bundle, PlanStore(Path("/proc/none/plans")))
    assert found.stored
    assert "without being kept" in caplog.text


def test_a_tower_without_a_graph_of_a_precision_that_others_have_is_built_at_fp32(
    gpu: Machine, folder: Path, store: PlanStore
):
    own = marked((folder / "text.onnx").read_bytes(), TensorProto.FLOAT8E4M3FN)
    (folder / "text.fp8.onnx").write_bytes(own)
    manifest = seal(folder).manifest
    graphs = {name: dict(files) for name, files in manifest["graphs"].items()}
    graphs["text"]["fp8"] = "text.fp8.onnx"
    bundle = replace(seal(folder), manifest=dict(manifest) | {"graphs": graphs})
    for tower in ("text", "image"):
        plans(bundle, store, tower, "fp8")
    assert [each.precision for each in gpu.built] == ["fp8", "fp32"]


@pytest.mark.parametrize("able", [(8, 9), (9, 0), (10, 0), (12, 0)])
def test_fp8_takes_a_compute_capability_of_8_9(gpu: Machine, able: tuple[int, int]):
    gpu.gpus = [Gpu("new", able), Gpu("NVIDIA A100-SXM4-80GB", (8, 0))]
    told = "it needs compute capability 8.9, NVIDIA A100-SXM4-80GB has 8.0"
    assert BACKEND.lacks("fp8", (0,)) is None
    assert told in (BACKEND.lacks("fp8", (0, 1)) or "")
    assert told in (BACKEND.lacks("fp8", None) or "")
    assert all(BACKEND.lacks(precision, None) is None for precision in ("fp32", "bf16", "fp16", "int8"))


def test_nothing_is_built_at_a_precision_that_the_device_does_not_support(
    gpu: Machine, bundle: Bundle, store: PlanStore
):
    gpu.gpus = [Gpu("NVIDIA A100-SXM4-80GB", (8, 0))]
    with pytest.raises(EngineError, match=r"not supported on this device: it needs compute capability 8\.9"):
        opened(bundle, "text", "fp8", Terms(), store=store)
    assert gpu.built == []


def test_two_processes_build_once(bundle: Bundle, tmp_path: Path):
    script = (
        "import json, sys; from tests.standin import machine; from engines import cuda\n"
        "from engines.bundle import Bundle; from engines.sessions.base import Terms\n"
        "from engines.tensorrt.build import built; from engines.tensorrt.store import PlanStore\n"
        "from pathlib import Path\n"
        "found = built(Bundle.load(sys.argv[1]), 'image', 'fp32', Terms(), cuda.devices()[0],\n"
        "              PlanStore(Path(sys.argv[2])))\n"
        "print(json.dumps([len(machine.built), len(found.stored)]))"
    )
    command = [sys.executable, "-c", script, str(bundle.folder), str(tmp_path / "plans")]
    own = os.environ | environment(build_seconds=1.0)
    pair = [subprocess.Popen(command, env=own, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [json.loads(each.communicate(timeout=60)[0]) for each in pair]
    assert sum(count for count, _ in answers) == 1
    assert [plans for _, plans in answers] == [1, 1]


def test_the_backend_says_what_is_missing_and_what_it_can(gpu: Machine):
    assert BACKEND.missing() is None
    assert BACKEND.on_gpu()
    assert BACKEND.native() == ("fp32", "bf16", "fp16")
    assert "NVIDIA H100" in BACKEND.describe()
    gpu.gpus = [Gpu("Tesla T4", (7, 5), 16 << 30)]
    assert BACKEND.native() == ("fp32", "fp16")
    assert "needs compute capability 8.0, Tesla T4 has 7.5" in (BACKEND.lacks("bf16", None) or "")
    gpu.gpus = []
    assert BACKEND.missing() == "there is no GPU"
